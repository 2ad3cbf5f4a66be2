"""Enrich table after table, each series going on from where it stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from rangebar_enrich._bars.containers import ArrowBars
from rangebar_enrich._bars.series import (
    SeriesKey,
    SeriesSplit,
    check_order,
    split_series,
    time_column,
    times_of,
)
from rangebar_enrich._plan.plan import Plan
from rangebar_enrich._plan.planner import Layout
from rangebar_enrich._run.events import Reporter, outcomes_of
from rangebar_enrich._run.inputs import slices
from rangebar_enrich._run.outputs import feature_columns
from rangebar_enrich._run.result import EnrichmentResult, ProviderOutcome
from rangebar_enrich._run.settings import Settings
from rangebar_enrich._run.workspace import SeriesRun
from rangebar_enrich._stream.stream import Carried, Carrier, Increment
from rangebar_enrich.errors import BarOrderError


@dataclass(slots=True)
class _Series:
    """One series on its way through the batches."""

    carrier: Carrier
    carried: Carried
    last_time: int | None = None


@dataclass(slots=True)
class _Tally:
    """What became of one provider over all batches.

    Attributes:
        total: The outcome over the batches so far.
        failed: Batches in which not all was computed.
        first: What `total` was made from: the outcome of the first of them.
        row: The first row of that batch.
    """

    total: ProviderOutcome
    failed: int = 0
    first: ProviderOutcome | None = None
    row: int = 0
    series: dict[SeriesKey, None] = field(default_factory=dict)


class BatchWalk(Iterator[pa.Table]):
    """Tables with their features, one after the other; made by `Enricher.iter_batches`.

    Every series starts with its first bar, and goes on from table to table.

    Args:
        tables: The bars, in tables of one schema.
        settings: The providers, and how to run them.
        symbol: Symbol of all bars, or `None`.
        threshold_decimal_bps: Threshold of all bars, or `None`.
    """

    def __init__(
        self,
        tables: Iterator[pa.Table],
        settings: Settings,
        *,
        symbol: str | None,
        threshold_decimal_bps: int | None,
    ) -> None:
        self._tables, self._settings, self._planner = tables, settings, settings.planner
        self._symbol, self._threshold = symbol, threshold_decimal_bps
        self._reporter = Reporter(settings)
        self._told: dict[str, str | None] = {}
        self._layout: Layout | None = None
        self._carriers: dict[int, tuple[Plan, Carrier]] = {}
        self._series: dict[SeriesKey, _Series] = {}
        outcomes = outcomes_of(settings, [])
        self._tallies = [_Tally(one) for one in outcomes]
        self._batches = 0
        self.rows = 0

    @property
    def outcomes(self) -> tuple[ProviderOutcome, ...]:
        """What became of each provider in all batches so far, as `Enricher.run` tells it."""
        return tuple(one.total for one in self._tallies)

    def __next__(self) -> pa.Table:
        """Return the next table with its features; rows stay in their order."""
        return self._enrich(next(self._tables))

    def _enrich(self, table: pa.Table) -> pa.Table:
        bars = ArrowBars(table)
        try:
            split = split_series(bars, symbol=self._symbol, threshold_decimal_bps=self._threshold)
            check_order(bars, split)
            runs, before = self._advance(bars, split) if bars.height else ([], [0])
        except BarOrderError as error:
            msg = f"In the batch from row {self.rows} on: {error}"
            raise BarOrderError(msg) from error
        outcomes = outcomes_of(self._settings, runs)
        self._reporter.log_news(outcomes, self._told)
        self._reporter.announce(split.keys, runs, outcomes, bars.height)
        if self._settings.raises:
            for run in runs:
                run.raise_first()
        self._count(outcomes, split, bars.height)

        lengths = split.lengths.tolist()
        values = {
            column: [run.values(column, rows) for run, rows in zip(runs, lengths, strict=True)]
            for column in (self._planner.columns if runs else ())
        }
        features = feature_columns(self._planner.declarations, outcomes, values, split, before)
        return EnrichmentResult(bars, features, outcomes, split.keys).table

    def _advance(self, bars: ArrowBars, split: SeriesSplit) -> tuple[list[SeriesRun], list[int]]:
        """Compute the features of a table; return runs and rows before, for each series."""
        if self._layout is None:
            self._layout = self._planner.layout(bars.dtypes)
        names = [name for name, _ in self._layout]
        series = [self._place(key) for key in split.keys]
        self._check_seams(bars, split, series)
        frames = slices(bars.to_polars(names).select(names), split)
        before = [one.carried.rows for one in series]
        made: list[SeriesRun | None] = [None] * len(series)
        for carrier in dict.fromkeys(one.carrier for one in series):
            places = [i for i, one in enumerate(series) if one.carrier is carrier]
            work = [Increment(split.keys[i], series[i].carried, frames[i]) for i in places]
            for place, (run, after) in zip(places, carrier.advance(work), strict=True):
                made[place], series[place].carried = run, after
        return [run for run in made if run is not None], before

    def _place(self, key: SeriesKey) -> _Series:
        if key not in self._series:
            layout = self._layout or ()
            plan = self._planner.plan(layout, key.symbol, key.threshold_decimal_bps)
            if id(plan) not in self._carriers:
                made = Carrier(self._settings, layout, plan)
                self._carriers[id(plan)] = plan, made
            carrier = self._carriers[id(plan)][1]
            self._series[key] = _Series(carrier, carrier.start())
        return self._series[key]

    def _check_seams(self, bars: ArrowBars, split: SeriesSplit, series: Sequence[_Series]) -> None:
        """Refuse a table that begins before the last one ended, in any series."""
        name = time_column(bars)
        if name is None:
            return
        times = times_of(bars, name)
        if split.order is not None:
            times = times[split.order]
        for one, start, end in zip(series, split.starts[:-1], split.starts[1:], strict=True):
            if one.last_time is not None and times[start] < one.last_time:
                row = split.row_of(int(start))
                key = split.keys[series.index(one)]
                msg = (
                    f"Bars are out of time order: '{name}' {times[start]} in row {row} of {key}"
                    f" is earlier than {one.last_time} before it."
                )
                raise BarOrderError(msg)
            one.last_time = int(times[end - 1])

    def _count(self, outcomes: Sequence[ProviderOutcome], split: SeriesSplit, height: int) -> None:
        self._batches += 1
        for tally, outcome in zip(self._tallies, outcomes, strict=True):
            if not outcome.ok and outcome.columns:
                tally.failed += 1
                tally.series |= dict.fromkeys(outcome.failed_series or split.keys)
                if tally.first is None:
                    tally.first, tally.row = outcome, self.rows
            if tally.first is not None:
                tally.total = self._total(tally, tally.first)
        self.rows += height

    def _total(self, tally: _Tally, first: ProviderOutcome) -> ProviderOutcome:
        if self._batches == 1:
            return first
        error = (
            f"in {tally.failed} of {self._batches} batches, the first from row {tally.row} on:"
            f" {first.error}"
        )
        if tally.failed == self._batches and first.status != "partial":
            return replace(first, error=error)
        return replace(first, status="partial", error=error, failed_series=tuple(tally.series))
