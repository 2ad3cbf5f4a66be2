"""Where new bars meet those before them: order, repeats, gaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import xxhash

from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich.errors import BarOrderError, message

Times = npt.NDArray[np.int64]

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
class Seam:
    """The end of the bars so far, as much as is needed to join others to it.

    Attributes:
        time: The last time, `None` without a time column.
        tied: Hashes of the bars of that time.
        end: Where the last bar ended, `None` where bars do not tell.
    """

    time: int | None = None
    tied: tuple[int, ...] = ()
    end: int | None = None

    def check(self, key: SeriesKey, clock: str, frame: pl.DataFrame, times: Times) -> None:
        """Refuse bars before the last ones, and the last ones again.

        Args:
            key: The series.
            clock: The column that orders bars.
            frame: The bars that follow, in time order.
            times: Their `clock`, as integers.

        Raises:
            BarOrderError: They do not follow.
        """
        if self.time is None or times[0] > self.time:
            return
        what = "is earlier than the last one"
        if times[0] == self.time:
            count = int(np.searchsorted(times, self.time, side="right"))
            if not {*self.tied} & {*_hashes(frame.head(count))}:
                return
            what = "is one of the last bars again"
        msg = message(
            f"A bar pushed to {key} {what}: '{clock}' {times[0]} after {self.time}.",
            hint="push each bar once, in time order.",
        )
        raise BarOrderError(msg)

    def after(self, frame: pl.DataFrame, times: Times | None) -> Seam:
        """Return the seam behind the bars that followed."""
        interval = _interval(frame)
        end = None if interval is None else frame[interval[1]][-1]
        if times is None:
            return Seam(end=end)
        start = int(np.searchsorted(times, times[-1], side="left"))
        tied = _hashes(frame.slice(start).tail(_MOST_TIED))
        if not start and self.time == times[-1]:
            tied = (*self.tied, *tied)[-_MOST_TIED:]
        return Seam(int(times[-1]), tied, end)

    def gaps(self, frame: pl.DataFrame) -> tuple[int, str]:
        """Count the bars that begin later than the bar before them ended.

        Returns:
            Their number, and where the first one is, in words.
        """
        interval = _interval(frame)
        if interval is None:
            return 0, ""
        begins, ends, step = interval
        started = frame[begins].cast(pl.Int64).to_numpy()
        ended = np.roll(frame[ends].cast(pl.Int64).to_numpy(), 1)
        ended[0] = started[0] if self.end is None else self.end
        found = np.flatnonzero(started > ended + step)
        if not len(found):
            return 0, ""
        at = int(found[0])
        text = f"a bar begins at {begins} {started[at]}, the one before it ended at {ended[at]}"
        return len(found), text


def _interval(frame: pl.DataFrame) -> tuple[str, str, int] | None:
    """Return the columns that tell where bars begin and end, if they do for every bar."""
    for begins, ends, step in _INTERVALS:
        if begins in frame.columns and ends in frame.columns:
            pair = (frame[begins], frame[ends])
            if all(one.dtype.is_integer() and not one.null_count() for one in pair):
                return begins, ends, step
    return None


def _hashes(frame: pl.DataFrame) -> tuple[int, ...]:
    # NOTE: of the text, in which a NaN equals itself.
    return tuple(xxhash.xxh3_64_intdigest(repr(row).encode()) for row in frame.rows())
