"""The bars of a run, series by series, each with the earlier bars that are its context."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from rangebar_enrich._bars.columns import MICROSECONDS, TIME_UNITS
from rangebar_enrich._bars.containers import BarTable
from rangebar_enrich._bars.series import (
    SeriesKey,
    SeriesSplit,
    check_order,
    split_series,
    time_column,
    times_of,
)
from rangebar_enrich.errors import BarColumnError, BarOrderError, HistoryError, message


def slices(frame: pl.DataFrame, split: SeriesSplit) -> list[pl.DataFrame]:
    """Return the rows of each series of a frame, in time order."""
    frame = split.sort(frame)
    if len(split.keys) == 1:
        return [frame]
    return [frame.slice(int(a), int(b - a)) for a, b in pairwise(split.starts)]


@dataclass(frozen=True)
class History:
    """Earlier bars of the series of a table.

    Attributes:
        bars: The earlier bars.
        split: Their series.
        places: For each series of the table, the series of `split`, or `None` without history.
        is_complete: Whether every series starts with the history given.
    """

    bars: BarTable
    split: SeriesSplit
    places: tuple[int | None, ...]
    is_complete: bool = False

    @property
    def rows(self) -> list[int]:
        """Rows of history of each series of the table."""
        lengths = self.split.lengths
        return [0 if place is None else int(lengths[place]) for place in self.places]


@dataclass(frozen=True)
class Source:
    """The bars of a run.

    Attributes:
        bars: The table.
        split: Its series.
        hidden: Columns that a running provider declares; shown to nobody.
        history: Earlier bars, or `None` where every series starts with the table.
        times_increase: Whether no two bars of a series, history included, share a time.
    """

    bars: BarTable
    split: SeriesSplit
    hidden: frozenset[str] = frozenset()
    history: History | None = None
    times_increase: bool = True

    @cached_property
    def before(self) -> list[int]:
        """Rows of history of each series."""
        return [0] * len(self.split.keys) if self.history is None else self.history.rows

    def frames(self, names: Collection[str]) -> list[pl.DataFrame]:
        """Return columns of each series in time order, history first.

        Raises:
            BarColumnError: The history lacks a column, or has it with another dtype.
        """
        frames = slices(self.bars.to_polars(names), self.split)
        if self.history is None:
            return frames
        _check_columns(self.bars, self.history.bars, names)
        earlier = slices(self.history.bars.to_polars(names), self.history.split)
        return [
            frame
            if place is None
            else pl.concat([earlier[place].select(frame.columns), frame], rechunk=True)
            for frame, place in zip(frames, self.history.places, strict=True)
        ]

    def legacy_frames(self) -> list[pl.DataFrame]:
        """Return all that a legacy provider may see of each series."""
        names = [name for name in self.bars.columns if name not in self.hidden]
        if self.history is not None:
            names = [name for name in names if name in self.history.bars.columns]
        return self.frames(names)

    def times(self) -> tuple[list[npt.NDArray[np.int64]] | None, str]:
        """Return the times of each series, history first, and their unit."""
        name = time_column(self.bars)
        if name is None:
            return None, MICROSECONDS
        dtype = self.bars.dtypes[name]
        unit = dtype.time_unit if isinstance(dtype, pl.Datetime) else TIME_UNITS[name]
        frames = self.frames([name])
        times = [frame.to_series().cast(pl.Int64).to_numpy() for frame in frames]
        return times, unit or MICROSECONDS


def _check_columns(bars: BarTable, history: BarTable, names: Collection[str]) -> None:
    wrong = [
        f"'{name}': got {history.dtypes.get(name, 'nothing')}, expected {bars.dtypes[name]}"
        for name in sorted(names)
        if history.dtypes.get(name) != bars.dtypes[name]
    ]
    if wrong:
        msg = message(
            f"History differs from the bars in {len(wrong)} column(s):",
            wrong,
            "give history with the columns and dtypes of the bars.",
        )
        raise BarColumnError(msg)


def _same_series(mine: SeriesKey, theirs: SeriesKey) -> bool:
    """Return whether two keys name one series; what only one side knows is no difference."""
    return all(a == b or a is None or b is None for a, b in zip(mine, theirs, strict=True))


def match_history(
    bars: BarTable, split: SeriesSplit, history: BarTable, *, is_complete: bool
) -> tuple[History, bool]:
    """Find the earlier bars of each series of a table.

    Args:
        bars: The new bars.
        split: Their series.
        history: Earlier bars; those of other series are ignored.
        is_complete: Whether each series starts with its history.

    Returns:
        The history, and whether no two bars of a series share a time.

    Raises:
        HistoryError: Two series of the history stand for one of the bars.
        BarOrderError: History is out of order, or ends after the bars begin.
    """
    earlier = split_series(history)
    increases = check_order(history, earlier)
    places: list[int | None] = []
    for key in split.keys:
        found = [i for i, other in enumerate(earlier.keys) if _same_series(key, other)]
        if len(found) > 1:
            exact = [i for i in found if earlier.keys[i] == key]
            found = exact or found
        if len(found) > 1:
            msg = f"History has {len(found)} series that could be the past of {key}."
            raise HistoryError(message(msg, hint="give history of the same series columns."))
        places.append(found[0] if found else None)
    made = History(history, earlier, tuple(places), is_complete)
    return made, _check_junction(bars, split, made) and increases


def _check_junction(bars: BarTable, split: SeriesSplit, history: History) -> bool:
    """Refuse history that ends after the bars begin; return whether it ends before."""
    name = time_column(bars)
    if name is None or not bars.height or not history.bars.height:
        return True
    _check_columns(bars, history.bars, [name])
    new = _sorted(times_of(bars, name), split)
    old = _sorted(times_of(history.bars, name), history.split)
    strictly = True
    for index, place in enumerate(history.places):
        if place is None or history.split.lengths[place] == 0:
            continue
        first = new[split.starts[index]]
        last = old[history.split.starts[place + 1] - 1]
        if last > first:
            msg = message(
                f"History of {split.keys[index]} ends after the bars begin:"
                f" '{name}' {last} in its last row, {first} in the first new row.",
                hint="give only bars that are earlier than the new ones.",
            )
            raise BarOrderError(msg)
        if last == first:
            _check_repeat(bars, split, history, index, place)
        strictly = strictly and bool(last < first)
    return strictly


def _check_repeat(
    bars: BarTable, split: SeriesSplit, history: History, index: int, place: int
) -> None:
    """Refuse history that ends with the first new bar."""
    names = [name for name in bars.columns if name in history.bars.columns]
    first = split.row_of(int(split.starts[index]))
    last = history.split.row_of(int(history.split.starts[place + 1]) - 1)
    new = bars.to_polars(names).select(names).row(first)
    old = history.bars.to_polars(names).select(names).row(last)
    # NOTE: as text a NaN equals itself.
    if repr(new) == repr(old):
        msg = message(
            f"History of {split.keys[index]} ends with the first new bar.",
            hint="give only bars that are earlier than the new ones.",
        )
        raise BarOrderError(msg)


def _sorted(times: npt.NDArray[np.int64], split: SeriesSplit) -> npt.NDArray[np.int64]:
    return times if split.order is None else times[split.order]
