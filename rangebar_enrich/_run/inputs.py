"""The bars of a run, series by series, each with the earlier bars that are its context."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

import polars as pl

from rangebar_enrich._bars.containers import read_bars
from rangebar_enrich._bars.continuity import Break, Gaps, Ints, Timeline, Watermark
from rangebar_enrich._bars.fit import fitted
from rangebar_enrich._bars.series import SeriesKey, SeriesSplit, split_series, time_column, unit_of
from rangebar_enrich._bars.table import BarTable
from rangebar_enrich.errors import BarOrderError, HistoryError, message

_FEW_ROWS = 1_000
"""Mean rows of a chunk below which joining the chunks costs less than keeping them apart."""


def slices(frame: pl.DataFrame, split: SeriesSplit) -> list[pl.DataFrame]:
    """Return the rows of each series of a frame, in time order."""
    if split.order is not None:
        frame = split.sort(frame)
    if len(split.keys) == 1:
        return [frame]
    if frame.height < _FEW_ROWS * frame.n_chunks():
        # NOTE: each slice would hold on to every chunk, and there are as many slices as series.
        frame = frame.rechunk()
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


class Frames(Protocol):
    """The bars that plans run over: of each series a frame, earlier bars first."""

    @property
    def clock(self) -> str | None:
        """The column that orders bars."""

    @property
    def times_increase(self) -> bool:
        """Whether no two bars of a series share a time, as far as it is known."""

    def frames(self, names: Collection[str]) -> list[pl.DataFrame]:
        """Return columns of each series; of none named, one, since a frame needs rows."""

    def together(self, names: Collection[str]) -> pl.DataFrame:
        """Return columns of all series in one frame, one series after the other."""

    def legacy_frames(self) -> list[pl.DataFrame]:
        """Return all that a legacy provider may see of each series."""


@dataclass(frozen=True)
class Source:
    """The bars of a run.

    Attributes:
        bars: The table.
        split: Its series.
        hidden: Columns that a running provider declares; shown to nobody.
        history: Earlier bars, or `None` where every series starts with the table.
        times_increase: Whether no two bars of a series, history included, share a time.
        gaps: Gaps of the bars, those between them and the history included.
    """

    bars: BarTable
    split: SeriesSplit
    hidden: frozenset[str] = frozenset()
    history: History | None = None
    times_increase: bool = True
    gaps: Gaps = field(default_factory=Gaps)

    @property
    def clock(self) -> str | None:
        """The column that orders bars."""
        return time_column(self.bars.columns)

    def together(self, names: Collection[str]) -> pl.DataFrame:
        """Return columns of all series in one frame, one series after the other."""
        if self.history is not None:
            return pl.concat(self.frames(names))
        return self.split.sort(self.bars.to_polars(names or list(self.bars.columns)[:1]))

    def frames(self, names: Collection[str]) -> list[pl.DataFrame]:
        """Return columns of each series in time order, history first.

        Raises:
            BarColumnError: The history lacks a column, or does not fit the dtype of the bars.
        """
        names = names or list(self.bars.columns)[:1]
        frames = slices(self.bars.to_polars(names), self.split)
        if self.history is None:
            return frames
        earlier = slices(_past(self.history.bars, self.bars, names), self.history.split)
        return [
            frame if place is None else pl.concat([earlier[place], frame], rechunk=True)
            for frame, place in zip(frames, self.history.places, strict=True)
        ]

    def legacy_frames(self) -> list[pl.DataFrame]:
        """Return all that a legacy provider may see of each series."""
        names = [name for name in self.bars.columns if name not in self.hidden]
        if self.history is not None:
            names = [name for name in names if name in self.history.bars.columns]
        return self.frames(names)


def times_in(frames: Sequence[pl.DataFrame], clock: str) -> tuple[list[Ints], str]:
    """Return the times of each series, and their unit."""
    unit = unit_of(clock, frames[0].schema[clock])
    return [frame[clock].cast(pl.Int64).to_numpy() for frame in frames], unit


def _past(history: BarTable, bars: BarTable, names: Collection[str]) -> pl.DataFrame:
    """Return columns of the history with the dtypes that they have in the bars."""
    return fitted(
        history.to_polars(names),
        {name: dtype for name, dtype in bars.dtypes.items() if name in names},
        head="History differs from the bars in {} column(s):",
        hint="give history with the columns and dtypes of the bars.",
    )


def _same_series(mine: SeriesKey, theirs: SeriesKey) -> bool:
    """Return whether two keys name one series; what only one side knows is no difference."""
    return all(a == b or a is None or b is None for a, b in zip(mine, theirs, strict=True))


def read_source(
    bars: BarTable,
    split: SeriesSplit,
    own: Collection[str],
    history: Any = None,
    *,
    is_complete: bool = False,
) -> Source:
    """Put the history before the bars, and check how they follow one another.

    Args:
        bars: The new bars.
        split: Their series.
        own: Columns that the providers make.
        history: Earlier bars, in any kind, or `None`.
        is_complete: Whether each series starts with its history.

    Returns:
        The source of a run.

    Raises:
        BarsError: The bars or the history break a rule.
        HistoryError: Two series of the history stand for one of the bars.
    """
    hidden = frozenset(own & bars.columns.keys())
    timeline = Timeline(bars, split) if split.starts[-1] else None
    if timeline is not None:
        timeline.check_unit()
    earlier, marks, increases = None, [Watermark()] * len(split.keys), True
    if history is not None:
        earlier, marks, increases = match_history(
            bars, split, timeline, read_bars(history), is_complete=is_complete
        )
    if timeline is None:
        return Source(bars, split, hidden, earlier)
    increases = increases and timeline.increases
    return Source(bars, split, hidden, earlier, increases, timeline.gaps(marks))


def match_history(
    bars: BarTable,
    split: SeriesSplit,
    timeline: Timeline | None,
    history: BarTable,
    *,
    is_complete: bool,
) -> tuple[History, list[Watermark], bool]:
    """Find the earlier bars of each series of a table.

    Args:
        bars: The new bars.
        split: Their series.
        timeline: Their order, `None` without bars.
        history: Earlier bars; those of other series are ignored.
        is_complete: Whether each series starts with its history.

    Returns:
        The history, the last bar of each series in it, and whether no two bars share a time.

    Raises:
        HistoryError: Two series of the history stand for one of the bars.
        BarOrderError: History is out of order, ends after the bars begin, or with one of them.
    """
    earlier = split_series(history)
    places = tuple(_past_of(key, earlier.keys) for key in split.keys)
    made = History(history, earlier, places, is_complete)
    if not history.height:
        return made, [Watermark()] * len(places), True
    clock = None if timeline is None else timeline.clock
    if clock is not None:
        _past(history, bars, [clock])
    past = Timeline(history, earlier, clock=clock)
    past.check_unit()
    if timeline is None:
        return made, [Watermark()] * len(places), True
    names = [name for name in bars.columns if name in history.columns]
    marks = _marks(past, made, None)
    has_ties = timeline.joins_a_tie(marks)
    if has_ties:
        marks = _marks(past, made, names)
    found = timeline.first_break(marks, names)
    if found is not None:
        raise BarOrderError(_overlap(found))
    return made, marks, past.increases and not has_ties


def _past_of(key: SeriesKey, earlier: Sequence[SeriesKey]) -> int | None:
    """Return which series of the history is the past of one of the bars, `None` for none."""
    found = [i for i, other in enumerate(earlier) if _same_series(key, other)]
    if len(found) > 1:
        found = [i for i in found if earlier[i] == key] or found
    if len(found) > 1:
        msg = f"History has {len(found)} series that could be the past of {key}."
        raise HistoryError(message(msg, hint="give history of the same series columns."))
    return found[0] if found else None


def _marks(past: Timeline, history: History, names: Sequence[str] | None) -> list[Watermark]:
    """Return the last bar of history of each series of the table."""
    made = past.marks([Watermark()] * len(history.split.keys), names)
    return [Watermark() if place is None else made[place] for place in history.places]


def _overlap(found: Break) -> str:
    hint = "give only bars that are earlier than the new ones."
    if found.is_repeat:
        return message(f"History of {found.key} ends with the first new bar.", hint=hint)
    return message(
        f"History of {found.key} ends after the bars begin:"
        f" '{found.clock}' {found.last} in its last row, {found.time} in the first new row.",
        hint=hint,
    )
