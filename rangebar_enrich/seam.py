"""Where new bars meet those before them: order, repeats, gaps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from rangebar_enrich.bars.series import SeriesKey
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


def check_seam(
    key: SeriesKey, clock: str, last: pl.DataFrame, frame: pl.DataFrame, times: Times
) -> None:
    """Refuse bars before the last ones, and the last ones again.

    Args:
        key: The series.
        clock: The column that orders bars.
        last: From `last_bars`.
        frame: The bars that follow, in time order, with the columns of `last`.
        times: Their `clock`, as integers.

    Raises:
        BarOrderError: They do not follow.
    """
    old, new = last[clock].to_physical()[0], int(times[0])
    if new > old:
        return
    what = "is earlier than the last one"
    if new == old:
        tied = frame.head(int(np.searchsorted(times, old, side="right")))
        if not _rows(last) & _rows(tied):
            return
        what = "is one of the last bars again"
    msg = message(
        f"A bar pushed to {key} {what}: '{clock}' {new} after {old}.",
        hint="push each bar once, in time order.",
    )
    raise BarOrderError(msg)


def _rows(frame: pl.DataFrame) -> set[str]:
    # NOTE: as text a NaN equals itself.
    return {repr(row) for row in frame.rows()}


def last_bars(
    last: pl.DataFrame | None, frame: pl.DataFrame, clock: str | None, times: Times
) -> pl.DataFrame:
    """Return the bars that share the last time, in memory of their own."""
    if clock is None:
        return _copied(frame, frame.height - 1)
    start = int(np.searchsorted(times, times[-1], side="left"))
    if not start and last is not None and last[clock].to_physical()[0] == times[-1]:
        frame = pl.concat([last, frame])
    return _copied(frame, max(start, frame.height - _MOST_TIED))


def _copied(frame: pl.DataFrame, start: int) -> pl.DataFrame:
    # NOTE: a slice would keep all the rows before it alive.
    return frame[np.arange(start, frame.height)]


def find_gaps(last: pl.DataFrame | None, frame: pl.DataFrame) -> tuple[int, str]:
    """Count the bars that begin later than the bar before them ended.

    Returns:
        Their number, and where the first one is, in words.
    """
    pairs = [pair for pair in _INTERVALS if {*pair[:2]} <= {*frame.columns}]
    if not pairs:
        return 0, ""
    begins, ends, step = pairs[0]
    started, ended = frame[begins], frame[ends]
    if last is None:
        started = started.slice(1)
    else:
        ended = pl.concat([last[ends].tail(1), ended])
    ended = ended.head(len(started))
    found = (started > ended + step).arg_true()
    if not len(found):
        return 0, ""
    at = int(found[0])
    return len(
        found
    ), f"a bar begins at {begins} {started[at]}, the one before ended at {ended[at]}"
