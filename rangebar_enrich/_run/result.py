"""What became of each provider in a run, and the columns that came out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import pyarrow as pa

from rangebar_enrich._bars.continuity import Gaps
from rangebar_enrich._bars.feature import FeatureColumn
from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich._bars.table import BarTable

Status = Literal["ok", "failed", "partial", "short_history", "left_out"]
"""`ok`: computed. `failed`: all null, in every series. `partial`: all null in the series that
failed. `short_history`: history too short to fix all values, null where it does not. `left_out`: the declaration
is broken or the provider cannot be loaded, no columns."""


@dataclass(frozen=True, slots=True)
class ProviderOutcome:
    """What became of one provider.

    Attributes:
        provider: Its name.
        version: Its version, or `None` where it could not be read.
        columns: The columns it has in the result; none for one that was left out.
        status: See `Status`.
        error: The cause in one readable line, or `None`.
        failed_series: Series in which it failed, where it did not fail in all.
        short_rows: Bars without its values because the history does not reach far enough back.
    """

    provider: str
    version: str | None
    columns: tuple[str, ...]
    status: Status
    error: str | None = None
    failed_series: tuple[SeriesKey, ...] = ()
    short_rows: int = 0

    @property
    def ok(self) -> bool:
        """Whether every value of every series was computed."""
        return self.status == "ok"


def feature_field(column: str, outcome: ProviderOutcome) -> pa.Field:
    """Return the Arrow field of a feature: float64, nullable, with who made it and how it went."""
    return _field(column, outcome.provider, outcome.version, outcome.status, outcome.failed_series)


@lru_cache(maxsize=256)
def feature_fields(outcomes: tuple[ProviderOutcome, ...]) -> tuple[pa.Field, ...]:
    """Return the Arrow fields of all features."""
    return tuple([feature_field(column, one) for one in outcomes for column in one.columns])


@lru_cache(maxsize=4096)
def _field(
    column: str, provider: str, version: str | None, status: str, failed: tuple[SeriesKey, ...]
) -> pa.Field:
    metadata = {"provider": provider, "version": version or "", "status": status}
    if failed:
        metadata["failed_series"] = json.dumps([list(key) for key in failed])
    return pa.field(column, pa.float64(), nullable=True, metadata=metadata)


class EnrichmentResult:
    """Bars with their features, and one outcome for each provider.

    Attributes:
        outcomes: One `ProviderOutcome` for each provider, in output order, those left out last.
        series: The series of the bars, in order of first appearance.
        gaps: Bars that begin later than the bar before them ended.
    """

    def __init__(
        self,
        bars: BarTable,
        features: Sequence[FeatureColumn],
        outcomes: Sequence[ProviderOutcome],
        *,
        series: Sequence[SeriesKey] = (),
        gaps: Gaps | None = None,
    ) -> None:
        self._bars = bars
        self._features = tuple(features)
        self.outcomes = tuple(outcomes)
        self.series = tuple(series)
        self.gaps = gaps or Gaps()

    @cached_property
    def table(self) -> pa.Table:
        """The caller's columns, as they were, then one float64 column for each feature."""
        return self._bars.to_arrow(self._features)

    @property
    def failed(self) -> tuple[ProviderOutcome, ...]:
        """Outcomes that are not `ok`."""
        return tuple(outcome for outcome in self.outcomes if not outcome.ok)

    def to_caller(self) -> Any:
        """Return bars and features in the container that the caller gave."""
        return self._bars.with_features(self._features)

    def __repr__(self) -> str:
        """Return rows, features and failures in a line."""
        failed = ", ".join(f"{one.provider}: {one.status}" for one in self.failed)
        tail = f", {failed}" if failed else ""
        return f"EnrichmentResult({self._bars.height} bars, {len(self._features)} features{tail})"
