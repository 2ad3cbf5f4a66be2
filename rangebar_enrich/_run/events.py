"""Tell what became of the providers: to the caller, the log and the hooks."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Collection, Sequence
from typing import Literal

from rangebar_enrich._bars.continuity import Gaps
from rangebar_enrich._bars.series import SeriesKey, distinct
from rangebar_enrich._provider.declaration import Declaration, Rejection, cause
from rangebar_enrich._run.result import ProviderOutcome, Status
from rangebar_enrich._run.settings import Settings
from rangebar_enrich._run.workspace import SeriesRun
from rangebar_enrich.errors import BarGapError, ProviderError, ProviderWarning, message
from rangebar_enrich.hooks import HookEvent, emit_hook, new_trace_id

logger = logging.getLogger(__name__)


def outcomes_of(settings: Settings, runs: Sequence[SeriesRun]) -> tuple[ProviderOutcome, ...]:
    """Return one outcome for each provider, those left out last."""
    made = [_outcome(declaration, runs) for declaration in settings.declarations]
    return (*made, *(_left_out(rejection) for rejection in settings.rejections))


def _outcome(declaration: Declaration, runs: Sequence[SeriesRun]) -> ProviderOutcome:
    name = declaration.name
    causes = {run.key: cause(found) for run in runs if (found := run.error_of(name))}
    failed = [run for run in runs if run.key in causes]
    short_rows = sum(run.short_rows(name) for run in failed)
    status: Status = "ok"
    error = None
    if failed:
        status = "failed" if len(failed) == len(runs) else "partial"
        if status == "failed" and all(run.short_rows(name) for run in failed):
            status = "short_history"
        error = causes[failed[0].key]
        if len(runs) > 1:
            error = f"in {len(failed)} of {len(runs)} series, the first {failed[0].key}: {error}"
    return ProviderOutcome(
        provider=name,
        version=declaration.version,
        columns=declaration.columns,
        status=status,
        error=error,
        failed_series=tuple(run.key for run in failed) if status == "partial" else (),
        short_rows=short_rows,
    )


def _left_out(rejection: Rejection) -> ProviderOutcome:
    error = cause(rejection.error)
    return ProviderOutcome(rejection.name, rejection.version, (), "left_out", error)


OnGap = Literal["warn", "raise", "ignore"]


def check_on_gap(on_gap: OnGap) -> None:
    """Refuse what is none of the three things to do about gaps.

    Raises:
        ValueError: It is not.
    """
    if on_gap not in {"warn", "raise", "ignore"}:
        msg = f"'on_gap' is {on_gap!r}; expected 'warn', 'raise' or 'ignore'."
        raise ValueError(msg)


def refuse_gaps(gaps: Gaps, on_gap: OnGap) -> None:
    """Raise an error for gaps, if that is what was asked for.

    Raises:
        BarGapError: There are gaps, and they are not to be.
    """
    if on_gap == "raise" and gaps.first is not None:
        first = gaps.first
        lines = [f"{key}: {count} gap(s)" for key, count in sorted(gaps.by_series.items(), key=str)]
        msg = message(
            f"{gaps.count} bar(s) begin later than the bar before them ended, the first in row"
            f" {first.row} of {first.key}: {first}.",
            lines if len(lines) > 1 else (),
            "fetch the bars between, or pass on_gap='warn'.",
        )
        raise BarGapError(msg)


def log_gaps(gaps: Gaps, on_gap: OnGap, where: str) -> None:
    """Log gaps in one line."""
    if on_gap == "warn" and gaps.first is not None:
        more = f"; {gaps.count} gaps in {where}" if gaps.count > 1 else ""
        logger.warning("gap in %s: %s%s", gaps.first.key, gaps.first, more)


def warn_of(failed: Collection[str], *, stacklevel: int) -> None:
    """Warn the caller of `enrich_bars`, once, of providers whose columns are null."""
    if failed:
        names = ", ".join(f"'{name}'" for name in sorted(failed))
        text = f"columns of {len(failed)} provider(s) are null, wholly or in part: {names}; see the log"
        warnings.warn(text, ProviderWarning, stacklevel=stacklevel)


class Reporter:
    """Logs and announces the failures of runs.

    Args:
        settings: The providers, and those left out.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self.good = settings, outcomes_of(settings, [])
        self._versions = {made.name: made.version for made in settings.declarations}

    def outcomes(self, runs: Sequence[SeriesRun]) -> tuple[ProviderOutcome, ...]:
        """Return one outcome for each provider, those left out last."""
        if any(run.failures or run.short for run in runs):
            return outcomes_of(self._settings, runs)
        return self.good

    def log(self, outcomes: Sequence[ProviderOutcome]) -> None:
        """Log each failure once; providers left out were logged when they were."""
        for outcome in outcomes:
            if outcome.status != "ok" and outcome.columns:
                logger.error(
                    "provider '%s' %s %s: %s",
                    outcome.provider,
                    outcome.version,
                    outcome.status,
                    outcome.error,
                )

    def log_news(self, outcomes: Sequence[ProviderOutcome], told: dict[str, str | None]) -> None:
        """Log the failures whose cause is another than the one in `told`, and note it there."""
        # NOTE: how many bars of history are missing changes with every bar, and is one cause.
        now = {
            one.provider: "short history" if one.short_rows else one.error
            for one in outcomes
            if one.columns
        }
        self.log([one for one in outcomes if told.get(one.provider) != now.get(one.provider)])
        told.update(now)

    def announce(
        self,
        keys: Sequence[SeriesKey],
        runs: Sequence[SeriesRun],
        outcomes: Sequence[ProviderOutcome],
        height: int,
    ) -> None:
        """Tell the hooks of every failure, then that the run is complete."""
        trace_id = new_trace_id()
        symbol, threshold, _ = keys[0] if len(keys) == 1 else map(distinct, zip(*keys, strict=True))
        for run in runs:
            for name, error in {**run.short, **run.failures}.items():
                _emit_failure(run.key, name, self._versions.get(name), error, trace_id)
        for one in self._settings.rejections:
            _emit_failure(SeriesKey(symbol, threshold), one.name, one.version, one.error, trace_id)
        emit_hook(
            HookEvent.PLUGIN_ENRICH_COMPLETE,
            symbol,
            trace_id=trace_id,
            threshold_decimal_bps=threshold,
            provider_count=len(outcomes),
            failed_count=sum([outcome.status != "ok" for outcome in outcomes]),
            bar_count=height,
        )


def _emit_failure(
    key: SeriesKey, name: str, version: str | None, error: ProviderError, trace_id: str
) -> None:
    emit_hook(
        HookEvent.PLUGIN_ENRICH_FAILED,
        key.symbol,
        trace_id=trace_id,
        threshold_decimal_bps=key.threshold_decimal_bps,
        provider_name=name,
        provider_version=version,
        error=cause(error),
    )
