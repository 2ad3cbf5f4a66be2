"""Enrich bars: one plan, run once, failures kept apart, columns appended.

What happens in a run, and where each step lives:

1. `_bars.containers` wraps what the caller holds; nothing is copied.
2. `_bars.series` finds the series, `_bars.continuity` refuses bars out of order and finds gaps.
3. `_plan.planner` compiles the providers for each series' context: once, then cached.
4. `_run.execution` runs the plans in one collect, and finds out who failed where that fails.
5. `_run.outputs` makes Arrow columns: warm-up and NaN become nulls in the validity bitmap.
6. `_run.events` logs and announces failures; outcomes say what became of whom.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import polars as pl

from rangebar_enrich._bars.batches import read_batches
from rangebar_enrich._bars.containers import read_bars
from rangebar_enrich._bars.relabel import Relabel
from rangebar_enrich._bars.series import SeriesKey, checked_threshold, split_series
from rangebar_enrich._provider.declaration import Declaration
from rangebar_enrich._provider.discovery import Discovery, discover
from rangebar_enrich._run.events import (
    OnGap,
    Reporter,
    check_on_gap,
    log_gaps,
    refuse_gaps,
    warn_of,
)
from rangebar_enrich._run.execution import Execution
from rangebar_enrich._run.inputs import read_source
from rangebar_enrich._run.lazy import lazy_features
from rangebar_enrich._run.outputs import feature_columns
from rangebar_enrich._run.process import check_process
from rangebar_enrich._run.result import EnrichmentResult
from rangebar_enrich._run.settings import Engine, OnError, Settings, Windows, settings_of
from rangebar_enrich._stream.batches import BatchWalk
from rangebar_enrich._stream.dependence import Dependence, dependences
from rangebar_enrich._stream.explanation import explain_plan, fixed_by
from rangebar_enrich._stream.live import LiveEnricher
from rangebar_enrich._stream.view import unseen
from rangebar_enrich.errors import UnsupportedBarsError, message


class Enricher:
    """Providers, checked and compiled once, to be run on bars often.

    Safe to share between threads. Plans are made at the first bars of each layout and context,
    and kept. It pickles where its providers do, with plans left behind. A process that was forked
    after something ran raises `ForkedProcessError`: Polars' threads do not survive a fork.

    Args:
        providers: Providers of either kind, or classes of them; their order is the order of the
            feature columns. `None`: those found by entry point.
        on_error: `"null"` turns a failed provider's columns into nulls; `"raise"` raises.
        engine: Engine of Polars: `"auto"` (see `explain`), `"in-memory"` or `"streaming"`.
        windows: `"relative"`: the same bits in every way of computing; `"polars"`: Polars' own.

    Raises:
        ProviderError: `on_error="raise"` and a provider breaks its declaration.
    """

    def __init__(
        self,
        providers: Iterable[Any] | None = None,
        *,
        on_error: OnError = "null",
        engine: Literal["auto"] | Engine = "auto",
        windows: Windows = "relative",
    ) -> None:
        self.__setstate__(settings_of(providers, on_error=on_error, engine=engine, windows=windows))

    def __getstate__(self) -> Settings:
        """Pickle how it was made: locks and plans are made anew, in any process."""
        return self._settings

    def __setstate__(self, settings: Settings) -> None:
        """Take up what `__getstate__` gave."""
        self._settings, self._planner = settings, settings.planner
        self._reporter = Reporter(settings)

    @property
    def declarations(self) -> tuple[Declaration, ...]:
        """What the providers say of themselves, those left out not among them."""
        return self._planner.declarations

    @property
    def columns(self) -> tuple[str, ...]:
        """Feature columns, in the order in which they are appended."""
        return self._planner.columns

    @property
    def history_bars(self) -> int | None:
        """How many earlier bars fix every value: the larger of lookback and warm-up.

        `None` where a provider's values depend on the whole series and it declares no `lookback`.
        Counted for the bars seen last, before any were seen for the Rust builder's columns.
        """
        return fixed_by(self._planner.latest())

    def explain(
        self,
        bars: Any = None,
        *,
        symbol: str | None = None,
        threshold_decimal_bps: int | None = None,
    ) -> str:
        """Return the plan in words: steps, reach of each feature, shared parts, failures.

        Args:
            bars: Bars to plan for, by columns and first series. `None`: as the builder emits.
            symbol: As for `run`.
            threshold_decimal_bps: As for `run`.

        Raises:
            BarsError: The bars break a rule.
        """
        view, key = unseen(self._planner, bars, symbol, threshold_decimal_bps)
        return explain_plan(view, key, self._settings)

    def not_continued(
        self,
        bars: Any = None,
        *,
        symbol: str | None = None,
        threshold_decimal_bps: int | None = None,
    ) -> Mapping[str, str]:
        """Return the providers that cannot go on from bar to bar, and why.

        Their values depend on the whole series, they declare no `lookback`, and no state of
        theirs can be held. `run` over the whole series is the only way for them.

        Args:
            bars: As for `explain`.
            symbol: As for `run`.
            threshold_decimal_bps: As for `run`.
        """
        return unseen(self._planner, bars, symbol, threshold_decimal_bps)[0].reasons

    def dependences(
        self,
        bars: Any = None,
        *,
        symbol: str | None = None,
        threshold_decimal_bps: int | None = None,
    ) -> Mapping[str, Dependence]:
        """Return what each provider's values depend on; arguments as for `explain`."""
        return dependences(unseen(self._planner, bars, symbol, threshold_decimal_bps)[0])

    @property
    def is_empty(self) -> bool:
        """Whether there is no provider at all, not even one that was left out."""
        return not self._planner.declarations and not self._settings.rejections

    def lazy(
        self,
        bars: pl.LazyFrame,
        *,
        symbol: str | None = None,
        threshold_decimal_bps: int | None = None,
        relabel: bool = False,
    ) -> pl.LazyFrame:
        """Add every provider's features to a lazy plan; nothing is collected.

        Args:
            bars: Bars in time order; the order is not checked.
            symbol: Symbol of all bars. Where it and the threshold are `None` and the bars have
                columns of those names, features are computed within each series by `over`.
            threshold_decimal_bps: Threshold of all bars, likewise.
            relabel: Columns of those names get the label given; else nobody looks at them.

        Returns:
            The plan with one float64 column for each feature; those of a provider that does not
            compile are null. What fails at run time raises in the caller's collect.

        Raises:
            UnsupportedBarsError: There is a legacy provider.
            ProviderError: `on_error="raise"` and a provider does not compile.
        """
        bars = Relabel(symbol, threshold_decimal_bps).lazy(bars) if relabel else bars
        return lazy_features(bars, self._settings, symbol, checked_threshold(threshold_decimal_bps))

    def run(
        self,
        bars: Any,
        *,
        symbol: str | None = None,
        threshold_decimal_bps: int | None = None,
        history: Any = None,
        history_is_complete: bool = False,
        on_gap: OnGap = "warn",
        relabel: bool = False,
    ) -> EnrichmentResult:
        """Compute every provider's features for `bars`.

        Args:
            bars: Any eager kind of bars that `enrich_bars` takes; one or several series, each in
                time order.
            symbol: Symbol of all bars; found in the bars where it is `None`.
            threshold_decimal_bps: Threshold of all bars, likewise.
            history: Earlier bars of the same series, in any kind: context that fixes the values
                of the new ones and does not come back. Without it each series starts with `bars`.
            history_is_complete: Each series starts with the history given, so warm-up is counted
                from there and history of any length will do. Otherwise the bars whose values the
                bars before them do not fix are null, and the status is `short_history`.
            on_gap: What to do where a bar begins later than the bar before it ended: `"warn"`
                logs one line, `"raise"` raises, `"ignore"` does neither; `result.gaps` counts.
            relabel: The arguments are right where the bars and the history say something else:
                series columns and metadata that come back say what was used.

        Returns:
            The bars, one float64 column for each declared feature, and the outcomes.

        Raises:
            BarsError: The bars or the history break a rule: see its leaves in `errors`.
            HistoryError: It is not clear which series of the history is meant.
            BarGapError: `on_gap="raise"`, and bars are missing.
            UnsupportedBarsError: The object holds no bars.
            ProviderError: `on_error="raise"` and a provider failed.
        """
        check_process()
        check_on_gap(on_gap)
        table = read_bars(bars)
        if relabel:
            label = Relabel(symbol, threshold_decimal_bps)
            table = label.bars(table)
            history = None if history is None else label.bars(read_bars(history))
        split = split_series(table, symbol=symbol, threshold_decimal_bps=threshold_decimal_bps)
        source = read_source(
            table, split, self._planner.own, history, is_complete=history_is_complete
        )
        refuse_gaps(source.gaps, on_gap)
        log_gaps(source.gaps, on_gap, "these bars")
        execution = Execution.of(source, self._settings)
        execution.run()
        runs, height = execution.runs, int(split.starts[-1])
        outcomes = self._reporter.outcomes(runs)
        self._reporter.log(outcomes)
        self._reporter.announce(split.keys, runs, outcomes, height)
        if self._settings.raises:
            for run in runs:
                run.raise_first()
        features = feature_columns(
            self._planner.declarations, outcomes, execution.values(), split, runs
        )
        return EnrichmentResult(table, features, outcomes, series=split.keys, gaps=source.gaps)

    def live(
        self,
        *,
        symbol: str | None = None,
        threshold_decimal_bps: int | None = None,
        ouroboros_mode: str | None = None,
        history: Any = None,
        history_is_complete: bool = False,
        on_gap: OnGap = "warn",
        relabel: bool = False,
    ) -> LiveEnricher:
        """Return an enricher that takes bars as they come, of one series or of any number.

        Args:
            symbol: Symbol of the series. `None`: the bars say it, and may be of any number of
                series, in one push as well.
            threshold_decimal_bps: Threshold of all series; the bars say it where it is `None`.
            ouroboros_mode: Mode of all series, where the bars have that column.
            history: Earlier bars of the series, in any kind. Without it each series starts with
                the first push that has bars of it.
            history_is_complete: Each series starts with the history given. Recursive features
                need that, unless their provider declares a `lookback`.
            on_gap: As for `run`, in every push; `live.gaps` counts them.
            relabel: As for `run`, in every push and in the history.

        Raises:
            BarsError: The history breaks a rule.
        """
        key = SeriesKey(symbol, checked_threshold(threshold_decimal_bps), ouroboros_mode)
        label = Relabel(symbol, threshold_decimal_bps) if relabel else None
        live = LiveEnricher(self._settings, key, on_gap=on_gap, relabel=label)
        if history is not None:
            live.absorb(history, is_complete=history_is_complete)
        return live

    def iter_batches(
        self,
        source: Any,
        *,
        rows: int = 500_000,
        symbol: str | None = None,
        threshold_decimal_bps: int | None = None,
        on_gap: OnGap = "warn",
        relabel: bool = False,
    ) -> BatchWalk:
        """Enrich bars that need not fit into memory, a batch at a time.

        Every series starts with its first bar in `source` and goes on from batch to batch, so
        the batches together equal one run over the whole.

        Args:
            source: A path to Parquet, Arrow IPC, CSV or a folder of such files; a reader or anything
                with `__arrow_c_stream__`; or any eager kind of bars.
            rows: Most bars of a batch.
            symbol: As for `run`.
            threshold_decimal_bps: As for `run`.
            on_gap: As for `run`, in every batch; `gaps` counts them.
            relabel: As for `run`, in every batch.

        Returns:
            An iterator over tables as `run` gives them, in the order of the source; its
            `outcomes` says what became of each provider in the batches so far.

        Raises:
            BarsError: The bars break a rule; in the batch where they do.
            UnsupportedBarsError: The source is none of these.
            ProviderError: `on_error="raise"` and a provider failed; in the batch where it did.
        """
        if rows < 1:
            msg = f"'rows' is {rows}; a batch has at least one row."
            raise ValueError(msg)
        return BatchWalk(
            read_batches(source, rows),
            self._settings,
            symbol=symbol,
            threshold_decimal_bps=checked_threshold(threshold_decimal_bps),
            on_gap=on_gap,
            relabel=Relabel(symbol, threshold_decimal_bps) if relabel else None,
        )


_defaults: dict[str, tuple[Discovery, Enricher]] = {}


def default_enricher(on_error: OnError = "null") -> Enricher:
    """Return the enricher of the providers found by entry point; made once for each discovery."""
    discovery = discover()
    known = _defaults.get(on_error)
    if known is None or known[0] is not discovery:
        known = _defaults[on_error] = (discovery, Enricher(on_error=on_error))
    return known[1]


def enrich_bars(
    bars: Any,
    symbol: str | None = None,
    threshold_decimal_bps: int | None = None,
    *,
    providers: Iterable[Any] | None = None,
    history: Any = None,
    on_error: OnError = "null",
    on_gap: OnGap = "warn",
    relabel: bool = False,
) -> Any:
    """Add every provider's features to `bars`, and return bars of the same kind.

    Args:
        bars: Closed range bars: any table, batch, reader or stream of Arrow's (gives a
            `pa.Table`), `pl.DataFrame`, `pl.LazyFrame` (nothing is collected), or `pd.DataFrame`
            (changed in place and returned). One or several series, each in time order.
        symbol: Symbol of all bars; found in the bars where it is `None`.
        threshold_decimal_bps: Threshold of all bars in decimal basis points, likewise.
        providers: Providers of either kind; `None`: those found by entry point.
        history: Earlier bars of the same series, in any kind: context that does not come back.
            Values that it does not fix are null; `Enricher.run` says how much is missing.
        on_error: `"null"` turns a failed provider's columns into nulls; `"raise"` raises.
        on_gap: What to do where a bar begins later than the bar before it ended: `"warn"` logs
            one line, `"raise"` raises, `"ignore"` does neither. Not looked for in a LazyFrame.
        relabel: The arguments are right where the bars say something else; see `Enricher.run`.

    Returns:
        The bars, then one float64 column for each declared feature; with no provider, `bars`
        itself.

    Warns:
        ProviderWarning: A provider failed, and its columns are null.

    Raises:
        BarsError: The bars break a rule: out of time order, a price that is no number, …
        UnsupportedBarsError: The object holds no bars, or a legacy provider met a LazyFrame.
        ProviderError: `on_error="raise"` and a provider failed.
    """
    told: Any = {"symbol": symbol, "threshold_decimal_bps": threshold_decimal_bps}
    default = providers is None
    enricher = default_enricher(on_error) if default else Enricher(providers, on_error=on_error)
    if enricher.is_empty:
        return bars
    if isinstance(bars, pl.LazyFrame):
        if history is not None:
            msg = message(
                "History cannot be given with a LazyFrame.",
                hint="put the earlier bars into the plan with pl.concat, and filter them out after.",
            )
            raise UnsupportedBarsError(msg)
        return enricher.lazy(bars, relabel=relabel, **told)
    result = enricher.run(bars, history=history, on_gap=on_gap, relabel=relabel, **told)
    failed = [one.provider for one in result.outcomes if one.status in {"failed", "partial"}]
    warn_of(failed, stacklevel=3)
    return result.to_caller()
