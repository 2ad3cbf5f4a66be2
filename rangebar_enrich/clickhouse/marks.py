"""What rows that a caller writes know of their own history; see `facts`.

Features that come with bars are believed as far as can be told from the table: those of bars at
the end of a series know everything up to their stamp. Whatever may touch stored bars that the
caller's features did not see is marked as unknown, so that the next backfill looks at it:

- a bar that changed, or stands before stored ones: its features, and all that read it later;
- the first bar of a batch whose run began in the middle of a series, unless the caller says
  that it went on from the bars stored before;
- all of a table that was read from the store before one of its bars changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rangebar_enrich.clickhouse.columns import BAR_AT, FOLLOWS
from rangebar_enrich.clickhouse.schema import made_column

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Marks:
    """How far the features of one batch of one series are believed.

    Attributes:
        stamp_ms: Stamp of the call.
        first_ms: Close time of the first bar of the batch.
        last_ms: Close time of the last bar stored before the call, or `None`.
        begins: Whether the first bar follows one that the caller's run did not see.
        is_current: Whether no stored bar changed since the caller read them.
        providers: Whose features the batch brings.
    """

    stamp_ms: int
    first_ms: int
    last_ms: int | None
    begins: bool
    is_current: bool
    providers: tuple[str, ...]

    def mark_new(self, rows: pa.Table) -> pa.Table:
        """Mark bars that were not stored so far; `_follows` is there already."""
        times = _ints(rows, "close_time_ms")
        is_last = times > (self.last_ms or 0)
        known = np.full(len(times), self.stamp_ms)
        return self._marked(rows, known, np.where(is_last, self.stamp_ms, 0))

    def mark_same(self, rows: pa.Table) -> pa.Table:
        """Mark bars that were stored with the same prices and volume; facts are there."""
        known = _ints(rows, BAR_AT)
        return self._marked(rows, known, np.full(len(known), self.stamp_ms))

    def mark_changed(self, rows: pa.Table) -> pa.Table:
        """Mark bars that replace others: nobody's features know them."""
        nothing = np.zeros(rows.num_rows, dtype=np.int64)
        stored = [name for name in rows.column_names if name.startswith(made_column(""))]
        rows = _with(rows, dict.fromkeys(stored, nothing))
        return self._marked(rows, np.full(rows.num_rows, self.stamp_ms), nothing)

    def _marked(self, rows: pa.Table, known: Ints, made: Ints) -> pa.Table:
        if not self.is_current and self.providers:
            known, made = np.full(len(known), self.stamp_ms), np.zeros_like(made)
        if self.begins and self.providers:
            is_first = _ints(rows, "close_time_ms") == self.first_ms
            known, made = np.where(is_first, 0, known), np.where(is_first, 0, made)
        columns = {made_column(provider): made for provider in self.providers}
        return _with(rows, {BAR_AT: known, **columns})


def with_follows(bars: pa.Table, before_ms: int | None) -> pa.Table:
    """Return bars of one series with the close time of the bar before each."""
    times = _ints(bars, "close_time_ms")
    return _with(bars, {FOLLOWS: np.concatenate([[before_ms or 0], times[:-1]])})


def _ints(rows: pa.Table, name: str) -> Ints:
    values: Ints = rows.column(name).to_numpy()
    return values


def _with(rows: pa.Table, columns: dict[str, Ints]) -> pa.Table:
    names: Iterable[str] = rows.column_names
    rows = rows.drop_columns([name for name in names if name in columns])
    for name, values in columns.items():
        rows = rows.append_column(name, pa.array(values, pa.int64()))
    return rows
