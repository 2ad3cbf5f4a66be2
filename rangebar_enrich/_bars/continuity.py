"""How bars follow one another, within a table and where tables meet: order, repeats, gaps.

Every way of computing asks here, with the watermarks of what went before: nothing for a run from
the start, the last bars of a history, or where a stream stands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl
import xxhash

from rangebar_enrich._bars.columns import SPANS
from rangebar_enrich._bars.series import (
    SeriesKey,
    SeriesSplit,
    refuse_unit,
    time_column,
    times_of,
)
from rangebar_enrich._bars.table import BarTable
from rangebar_enrich.errors import BarOrderError, message

Ints = npt.NDArray[np.int64]

_INTERVALS = (
    ("first_trade_id", "last_trade_id", 1),
    ("first_agg_trade_id", "last_agg_trade_id", 1),
    ("open_time", "close_time", 0),
    ("open_time_ms", "close_time_ms", 0),
)
"""Where a bar begins, where it ends, and how far behind that the next one may begin. Ids come
first: in a quiet market no trade is missing, however long it lasts."""
_MOST_TIED = 1_000
"""Bars of one time that are remembered to tell a repeated one; real bursts are far shorter."""


@dataclass(frozen=True, slots=True)
class Watermark:
    """The last bar of a series so far, as much as is needed to join others to it.

    Attributes:
        time: Its time, `None` without a time column.
        tied: Hashes of the bars of that time, as far as they are remembered.
        ends: The column that says where it ended, `None` where bars do not tell.
        end: Where that was.
    """

    time: int | None = None
    tied: tuple[int, ...] = ()
    ends: str | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A bar that begins later than the bar before it ended.

    Attributes:
        key: The series.
        row: The bar's row in the table that was given.
        column: The column that says where it begins.
        begin: Where it begins: a trade id, or a time in the column's unit.
        end: Where the bar before it ended, likewise.
    """

    key: SeriesKey
    row: int
    column: str
    begin: int
    end: int

    def __str__(self) -> str:
        """Say where the bar begins, and where the one before it ended."""
        return f"a bar begins at {self.column} {self.begin}, the one before it ended at {self.end}"


@dataclass(frozen=True, slots=True)
class Gaps:
    """The gaps of a table, the one between it and the bars before it included.

    Attributes:
        count: How many there are.
        first: The first of them, `None` where there is none.
        by_series: How many there are in each series that has any.
    """

    count: int = 0
    first: Gap | None = None
    by_series: Mapping[SeriesKey, int] = field(default_factory=dict)

    def plus(self, later: Gaps, row: int) -> Gaps:
        """Return these gaps and those of a table that comes `row` rows after the first."""
        if later.first is None:
            return self
        first = self.first or replace(later.first, row=later.first.row + row)
        both = {**self.by_series}
        for key, count in later.by_series.items():
            both[key] = both.get(key, 0) + count
        return Gaps(self.count + later.count, first, both)


@dataclass(frozen=True, slots=True)
class Break:
    """A first bar that does not follow the last one before it.

    Attributes:
        key: The series.
        row: The bar's row in the table that was given.
        clock: The column that orders bars.
        time: Its time.
        last: The time of the bar before it.
    """

    key: SeriesKey
    row: int
    clock: str
    time: int
    last: int

    @property
    def is_repeat(self) -> bool:
        """Whether it is one of the last bars again, and not an earlier one."""
        return self.time == self.last


class Timeline:
    """The bars of a table in the order of their time, series by series.

    Args:
        bars: The table; it has rows.
        split: Its series.
        clock: The column that orders bars, where others beside them say which; else the first
            that is there.

    Attributes:
        increases: Whether no two bars of a series share a time: windows over time would look
            ahead within a tie. True where there is no time column.

    Raises:
        BarOrderError: A bar is earlier than the one before it in its series.
    """

    def __init__(self, bars: BarTable, split: SeriesSplit, *, clock: str | None = None) -> None:
        self._bars, self._split = bars, split
        self.clock = clock or time_column(bars.columns)
        self._times, self._unit = None, ""
        if self.clock is not None:
            times, self._unit = times_of(bars, self.clock)
            self._times = times if split.order is None else times[split.order]
        self.increases = self._check_order()

    def _sorted(self, values: Ints) -> Ints:
        return values if self._split.order is None else values[self._split.order]

    @property
    def _first(self) -> Ints:
        return self._split.starts[:-1]

    @property
    def _last(self) -> Ints:
        return self._split.starts[1:] - 1

    def _check_order(self) -> bool:
        times, name = self._times, self.clock
        if name is None or times is None or len(times) < 2:
            return True
        steps = np.diff(times)
        steps[self._last[:-1]] = 1
        least = steps.min()
        if least < 0:
            _raise_disorder(name, times, np.flatnonzero(steps < 0) + 1, self._split)
        return bool(least > 0)

    def check_unit(self) -> None:
        """Refuse times that are in another unit than they are taken for.

        Raises:
            BarColumnError: One is before 1990, or not before 2100.
        """
        if self.clock is None or self._times is None:
            return
        first, last = SPANS[self._unit]
        if self._times.min() < first or self._times.max() >= last:
            refuse_unit(self.clock, self._times, self._unit, self._split.row_of)

    def first_break(self, marks: Sequence[Watermark], names: Collection[str]) -> Break | None:
        """Return the first bar that does not follow what was before, if there is one.

        Args:
            marks: The last bar of each series before these.
            names: Columns that tell one bar from another of the same time, as for `marks`.
        """
        if self.clock is None or self._times is None:
            return None
        times = self._times[self._first].tolist()
        joins = [
            (place, mark.time)
            for place, (mark, time) in enumerate(zip(marks, times, strict=True))
            if mark.time is not None and time <= mark.time
        ]
        wrong = [one for one in joins if times[one[0]] < one[1]]
        wrong = wrong or self._repeats(joins, marks, names)
        if not wrong:
            return None
        rows = {place: self._split.row_of(int(self._first[place])) for place, _ in wrong}
        place, last = min(wrong, key=lambda one: rows[one[0]])
        return Break(self._split.keys[place], rows[place], self.clock, times[place], last)

    def joins_a_tie(self, marks: Sequence[Watermark]) -> bool:
        """Return whether a series begins at the very time at which the one before it ended."""
        times = self._times
        return times is not None and any(
            mark.time == times[row] for mark, row in zip(marks, self._first, strict=True)
        )

    def _repeats(
        self, ties: Sequence[tuple[int, int]], marks: Sequence[Watermark], names: Collection[str]
    ) -> list[tuple[int, int]]:
        """Return those of the series that begin at the time of their last bars with one of these."""
        if not ties or self._times is None:
            return []
        rows = []
        for place, time in ties:
            start, end = self._split.starts[place : place + 2]
            count = np.searchsorted(self._times[start:end], time, side="right")
            rows.append(np.arange(start, start + count))
        hashes = iter(self._hashes(np.concatenate(rows), names))
        made = [{next(hashes) for _ in mine} for mine in rows]
        return [one for one, mine in zip(ties, made, strict=True) if mine & {*marks[one[0]].tied}]

    def _hashes(self, rows: Ints, names: Collection[str]) -> list[int]:
        """Return a hash of each bar, by the columns that tell bars apart."""
        frame = self._bars.to_polars(names)
        frame = frame[rows if self._split.order is None else self._split.order[rows]]
        # NOTE: of the text, in which a NaN equals itself.
        bars = frame[sorted(frame.columns)].rows()
        return [xxhash.xxh3_64_intdigest(repr(bar).encode()) for bar in bars]

    def marks(self, before: Sequence[Watermark], names: Collection[str] | None) -> list[Watermark]:
        """Return the last bar of each series.

        Args:
            before: The last bar of each before these.
            names: Columns that tell one bar from another of the same time; `None`: which bars a
                later one could repeat is not remembered.
        """
        ends = self._interval[1] if self._interval else None
        ended = self._interval[4][self._last].tolist() if self._interval else [None] * len(before)
        if self._times is None:
            return [Watermark(ends=ends, end=end) for end in ended]
        times = self._times[self._last].tolist()
        tied = [()] * len(before) if names is None else self._tied(before, names)
        return [
            Watermark(time, hashes, ends, end)
            for time, hashes, end in zip(times, tied, ended, strict=True)
        ]

    def _tied(
        self, before: Sequence[Watermark], names: Collection[str]
    ) -> Iterator[tuple[int, ...]]:
        """Yield, for each series, the hashes of the bars that share the time of its last one."""
        times, starts = self._times, self._split.starts.tolist()
        if times is None:
            return
        rows = [
            np.arange(max(a + int(np.searchsorted(times[a:b], times[b - 1])), b - _MOST_TIED), b)
            for a, b in pairwise(starts)
        ]
        hashes = iter(self._hashes(np.concatenate(rows), names))
        for mark, mine, first, last in zip(before, rows, self._first, self._last, strict=True):
            made = tuple(next(hashes) for _ in mine)
            is_one_time = mark.time == times[last] and mine[0] == first
            yield (*mark.tied, *made)[-_MOST_TIED:] if is_one_time else made

    @cached_property
    def _interval(self) -> tuple[str, str, int, Ints, Ints] | None:
        """Return where bars begin and end, by the first columns that tell it of every bar."""
        for begins, ends, step in _INTERVALS:
            if begins in self._bars.columns and ends in self._bars.columns:
                pair = self._bars.to_polars((begins, ends))
                # NOTE: what is beyond an int64, such as a stand-in of 2^64 - 1, is no id.
                whole = pair.cast(pl.Int64, strict=False)
                if all(one.dtype.is_integer() for one in pair) and not _has_null(whole):
                    began, ended = (self._sorted(whole[one].to_numpy()) for one in (begins, ends))
                    return begins, ends, step, began, ended
        return None

    def gaps(self, marks: Sequence[Watermark]) -> Gaps:
        """Find the bars that begin later than the bar before them ended.

        Args:
            marks: The last bar of each series before these.
        """
        if self._interval is None:
            return Gaps()
        begins, ends, step, began, ended = self._interval
        before = np.roll(ended, 1)
        before[self._first] = [
            began[row] if mark.ends != ends or mark.end is None else mark.end
            for row, mark in zip(self._first.tolist(), marks, strict=True)
        ]
        found = np.flatnonzero(began - step > before)
        if not len(found):
            return Gaps()
        return self._told(found, begins, began, before)

    def _told(self, found: Ints, column: str, began: Ints, before: Ints) -> Gaps:
        split = self._split
        which = np.searchsorted(split.starts, found, side="right") - 1
        numbers = np.bincount(which, minlength=len(split.keys)).tolist()
        place = 0 if split.order is None else int(np.argmin(split.order[found]))
        at, key = int(found[place]), split.keys[int(which[place])]
        first = Gap(key, split.row_of(at), column, int(began[at]), int(before[at]))
        by_series = {key: count for key, count in zip(split.keys, numbers, strict=True) if count}
        return Gaps(len(found), first, by_series)


def _has_null(frame: pl.DataFrame) -> bool:
    return any(one.null_count() for one in frame.iter_columns())


def _raise_disorder(name: str, times: Ints, rows: Ints, split: SeriesSplit) -> None:
    # NOTE: the first offending row of the table, not of the sorted order.
    first = min(rows, key=lambda row: split.row_of(int(row)))
    which = int(np.searchsorted(split.starts, first, side="right")) - 1
    msg = message(
        f"Bars are out of time order: {len(rows)} row(s) of '{name}' are earlier than the row"
        f" before, the first in row {split.row_of(int(first))} of {split.keys[which]}:"
        f" {times[first]} after {times[first - 1]}.",
        hint=f"sort the bars by '{name}' within each series.",
    )
    raise BarOrderError(msg)
