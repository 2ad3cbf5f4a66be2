from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from rangebar_enrich._bars.continuity import Seam
from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich.errors import BarOrderError

KEY = SeriesKey("SIM", 250)


def _bars(times, **more):
    values = {"close_time": times, "close": [float(i) for i in range(len(times))], **more}
    return pl.DataFrame(values), np.array(times)


def test_a_seam_says_where_bars_join():
    seam = Seam().after(*_bars([1, 2, 2]))

    assert (seam.time, len(seam.tied), seam.end) == (2, 2, None)


def test_bars_of_one_time_gather():
    seam = Seam().after(*_bars([5, 5])).after(*_bars([5])).after(*_bars([5, 6]))

    assert (seam.time, len(seam.tied)) == (6, 1)
    assert len(Seam().after(*_bars([5, 5])).after(*_bars([5])).tied) == 3


def test_remembered_bars_of_one_time_are_bounded():
    seam = Seam()
    for _ in range(4):
        seam = seam.after(*_bars([5] * 400))

    assert len(seam.tied) == 1_000


def test_earlier_bars_are_refused():
    seam = Seam().after(*_bars([1, 2]))

    with pytest.raises(
        BarOrderError, match=r"is earlier than the last one: 'close_time' 1 after 2\."
    ):
        seam.check(KEY, "close_time", *_bars([1]))


def test_a_bar_with_nan_is_repeated_too():
    frame = _bars([3], x=[float("nan")])
    seam = Seam().after(*frame)

    with pytest.raises(BarOrderError, match=r"is one of the last bars again"):
        seam.check(KEY, "close_time", *frame)
    seam.check(KEY, "close_time", *_bars([3], x=[1.0]))


@pytest.mark.parametrize(
    ("more", "count"),
    [
        ({"first_trade_id": [1, 6, 12], "last_trade_id": [5, 10, 20]}, 1),
        ({"first_trade_id": [1, 5, 10], "last_trade_id": [5, 10, 20]}, 0),
        (
            {"first_trade_id": [1, None, 10], "last_trade_id": [5, 10, 20], "open_time": [0, 1, 9]},
            1,
        ),
        ({"open_time": [0, 1, 2]}, 0),
        ({"open_time": [0, 2, 3]}, 2),
        ({}, 0),
    ],
    ids=["ids", "shared-trade", "unknown-ids", "touching", "apart", "nothing"],
)
def test_gaps(more, count):
    frame, _ = _bars([1, 2, 5], **more)

    found, text = Seam().gaps(frame)

    assert found == count
    assert bool(text) == bool(count)


def test_gaps_at_the_seam():
    seam = Seam().after(*_bars([1], first_trade_id=[1], last_trade_id=[5]))
    frame, _ = _bars([2], first_trade_id=pl.Series([8], dtype=pl.UInt64), last_trade_id=[9])

    assert seam.gaps(frame) == (1, "a bar begins at first_trade_id 8, the one before it ended at 5")
