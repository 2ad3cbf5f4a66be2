from __future__ import annotations

import polars as pl
import pytest

from rangebar_enrich._bars.containers import PolarsBars
from rangebar_enrich._bars.continuity import Gaps, Timeline, Watermark
from rangebar_enrich._bars.series import SeriesKey, split_series
from rangebar_enrich.errors import BarOrderError

NONE = [Watermark()]


def _timeline(times, **more):
    values = {"close_time": times, "close": [float(i) for i in range(len(times))], **more}
    bars = PolarsBars(pl.DataFrame(values))
    return Timeline(bars, split_series(bars))


def _marks(times, before=NONE, names=("close_time", "close"), **more):
    return _timeline(times, **more).marks(before, names)


def test_a_mark_says_where_bars_join():
    (mark,) = _marks([1, 2, 2])

    assert (mark.time, len(mark.tied), mark.end) == (2, 2, None)


def test_bars_of_one_time_gather():
    first = _marks([5, 5])
    (all_three,), (later,) = _marks([5], first), _marks([5, 6], first)

    assert (all_three.time, len(all_three.tied)) == (5, 3)
    assert (later.time, len(later.tied)) == (6, 1)


def test_remembered_bars_of_one_time_are_bounded():
    marks = NONE
    for _ in range(4):
        marks = _marks([5] * 400, marks)

    assert len(marks[0].tied) == 1_000


def test_ties_are_remembered_only_if_asked_for():
    assert _marks([1, 2], names=None) == [Watermark(2)]


@pytest.mark.parametrize(
    ("times", "increases"), [([1, 2, 3], True), ([1, 2, 2], False), ([1], True)], ids=str
)
def test_a_timeline_knows_whether_times_increase(times, increases):
    assert _timeline(times).increases is increases


def test_bars_out_of_order_are_refused():
    with pytest.raises(BarOrderError, match=r"1 row\(s\) of 'close_time' .* row 2 of A: 1 after 5"):
        _timeline([5, 2, 1, 3], symbol=["A", "B", "A", "B"])


def test_an_earlier_bar_is_a_break():
    found = _timeline([1]).first_break(_marks([1, 2]), ["close"])

    assert (found.row, found.clock, found.time, found.last) == (0, "close_time", 1, 2)
    assert not found.is_repeat


def test_a_bar_with_nan_is_repeated_too():
    names = ["close", "close_time", "x"]
    marks = _marks([3], names=names, x=[float("nan")])

    assert _timeline([3], x=[float("nan")]).first_break(marks, names).is_repeat
    assert _timeline([3], x=[1.0]).first_break(marks, names) is None


def test_the_first_break_of_several_series_is_told():
    symbols = {"symbol": ["A", "B", "C"]}
    marks = _marks([5, 5, 5], [Watermark()] * 3, **symbols)
    later = _timeline([6, 4, 3], **symbols)

    found = later.first_break(marks, ["close"])

    assert (found.key, found.row) == (SeriesKey("B"), 1)
    assert not later.joins_a_tie(marks)
    assert _timeline([6, 6, 5], **symbols).joins_a_tie(marks)


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
    found = _timeline([1, 2, 5], **more).gaps(NONE)

    assert found.count == sum(found.by_series.values()) == count
    assert bool(found.first) == bool(count)


def test_gaps_where_tables_meet():
    marks = _marks([1], first_trade_id=[1], last_trade_id=[5])
    ids = {"first_trade_id": pl.Series([8], dtype=pl.UInt64), "last_trade_id": [9]}

    found = _timeline([2], **ids).gaps(marks)

    text = "a bar begins at first_trade_id 8, the one before it ended at 5"
    assert (found.count, str(found.first)) == (1, text)


def test_ends_of_another_kind_are_not_compared():
    marks = _marks([1], first_trade_id=[1], last_trade_id=[5])

    assert _timeline([90], open_time=[80]).gaps(marks) == Gaps()


def test_gaps_are_told_by_series_and_by_row():
    found = _timeline(
        [1, 1, 9, 3, 12], open_time=[0, 0, 5, 1, 10], symbol=["A", "B", "A", "B", "A"]
    ).gaps([Watermark()] * 2)

    assert found.by_series == {SeriesKey("A"): 2}
    assert (found.first.key, found.first.row, found.first.begin) == (SeriesKey("A"), 2, 5)


def test_gaps_of_several_tables_add_up():
    one = _timeline([1, 9], open_time=[0, 5]).gaps(NONE)

    both = Gaps().plus(one, 10).plus(one, 20).plus(Gaps(), 30)

    assert (both.count, both.first.row, both.by_series) == (2, 11, {SeriesKey(): 2})


def test_the_clock_is_that_of_the_bars_beside():
    """A history that has a better clock than the bars is compared by theirs."""
    bars = PolarsBars(pl.DataFrame({"close_time_ms": [5, 6], "close_time": [6_000, 5_000]}))

    timeline = Timeline(bars, split_series(bars), clock="close_time_ms")

    assert [mark.time for mark in timeline.marks(NONE, None)] == [6]
    with pytest.raises(BarOrderError, match=r"'close_time' are earlier"):
        Timeline(bars, split_series(bars))
