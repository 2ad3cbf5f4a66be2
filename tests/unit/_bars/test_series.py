from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rangebar_enrich._bars.containers import read_bars
from rangebar_enrich._bars.continuity import Timeline
from rangebar_enrich._bars.series import SeriesKey, split_series
from rangebar_enrich.errors import BarColumnError, BarOrderError, SeriesConflictError

ROWS = st.lists(
    st.tuples(st.sampled_from(["A", "B", None]), st.sampled_from([50, 250])), max_size=60
)


def _table(rows):
    return pa.table(
        {
            "symbol": pa.array([symbol for symbol, _ in rows], pa.string()),
            "threshold_decimal_bps": pa.array([bps for _, bps in rows], pa.uint32()),
            "row": pa.array(range(len(rows)), pa.int64()),
        }
    )


@given(ROWS)
def test_split_gathers_each_series_in_order_of_rows(rows):
    bars = read_bars(_table(rows))
    split = split_series(bars)
    frame = split.sort(bars.to_polars(["row"]))

    pieces = [
        frame["row"][int(a) : int(b)].to_list()
        for a, b in zip(split.starts, split.starts[1:], strict=False)
    ]
    expected = {}
    for place, key in enumerate(rows):
        expected.setdefault(key, []).append(place)
    assert pieces == (list(expected.values()) or [[]])
    if rows:
        assert [(key.symbol, key.threshold_decimal_bps) for key in split.keys] == list(expected)


@given(ROWS)
def test_unsort_undoes_sort(rows):
    bars = read_bars(_table(rows))
    split = split_series(bars)
    frame = bars.to_polars(["row"])

    assert split.unsort(split.sort(frame)).equals(frame)
    for place in range(len(rows)):
        assert split.row_of(place) == split.sort(frame)["row"][place]


@given(ROWS)
def test_rows_that_lie_together_are_not_sorted(rows):
    ordered = sorted(rows, key=str)

    assert split_series(read_bars(_table(ordered))).order is None


@pytest.mark.parametrize(
    ("columns", "metadata", "arguments", "expected"),
    [
        ({}, None, {}, SeriesKey()),
        ({}, None, {"symbol": "A", "threshold_decimal_bps": 50}, SeriesKey("A", 50)),
        ({"symbol": ["A"]}, None, {}, SeriesKey("A")),
        ({"symbol": ["A"]}, None, {"symbol": "A"}, SeriesKey("A")),
        ({"threshold_decimal_bps": [50.0]}, None, {}, SeriesKey(None, 50)),
        ({}, {"symbol": "M", "threshold_decimal_bps": "250"}, {}, SeriesKey("M", 250)),
        ({}, {"symbol": "M"}, {"symbol": "M", "threshold_decimal_bps": 9}, SeriesKey("M", 9)),
        ({"symbol": ["A"]}, {"symbol": "M", "threshold_decimal_bps": "5"}, {}, SeriesKey("A", 5)),
        ({"symbol": pa.array([None], pa.string())}, {"symbol": "M"}, {}, SeriesKey("M")),
        ({"symbol": ["A"], "ouroboros_mode": ["month"]}, None, {}, SeriesKey("A", None, "month")),
        ({"symbol": pa.array(["A"]).dictionary_encode()}, None, {}, SeriesKey("A")),
    ],
)
def test_series_key_is_argument_then_column_then_metadata(columns, metadata, arguments, expected):
    table = pa.table({"close": [1.0], **columns}).replace_schema_metadata(metadata)

    split = split_series(read_bars(table), **arguments)

    assert split.keys == (expected,)
    assert all(type(part) in {str, int, type(None)} for part in split.keys[0])


@pytest.mark.parametrize(
    ("columns", "arguments", "text"),
    [
        ({"symbol": ["A", "A"]}, {"symbol": "B"}, r"Argument 'symbol' is 'B', .*says 'A'"),
        ({"symbol": ["B", "A"]}, {"symbol": "B"}, r"Argument 'symbol' is 'B', .*says 'A'"),
        (
            {"threshold_decimal_bps": [50, 50]},
            {"threshold_decimal_bps": 250},
            r"Argument 'threshold_decimal_bps' is 250, but the column says 50",
        ),
        ({"threshold_decimal_bps": [0, 0]}, {}, r"'column threshold_decimal_bps' is 0; it must"),
        ({"threshold_decimal_bps": [2.5, 2.5]}, {}, r"is 2\.5; it must be a whole number"),
    ],
)
def test_series_conflict_is_refused(columns, arguments, text):
    table = pa.table({"close": [1.0, 2.0], **columns})

    with pytest.raises(SeriesConflictError, match=text):
        split_series(read_bars(table), **arguments)


@pytest.mark.parametrize("value", [0, -5, 2.5, True, "many", float("nan"), float("inf"), []])
def test_threshold_that_is_no_whole_number_is_refused(value):
    with pytest.raises(SeriesConflictError, match=r"must be a whole number of decimal basis"):
        split_series(read_bars(pa.table({"close": [1.0]})), threshold_decimal_bps=value)


@pytest.mark.parametrize(
    "times",
    [
        {"close_time": pa.array([10, 30, 20, 15], pa.int64())},
        {"close_time_ms": pa.array([10, 30, 20, 15], pa.uint64())},
        {"open_time": pa.array([10, 30, 20, 15], pa.int64())},
        {"timestamp": pa.array([10, 30, 20, 15], pa.timestamp("ns", "UTC"))},
        {"timestamp": pa.array([10, 30, 20, 15], pa.timestamp("ms"))},
        {"close_time": pa.array([10, 30, 20, 15], pa.timestamp("us", "Asia/Tokyo"))},
    ],
    ids=["us", "ms", "open", "ns-utc", "ms-naive", "us-tokyo"],
)
def test_disorder_names_the_first_offending_row(times):
    bars = read_bars(pa.table(times))

    with pytest.raises(BarOrderError, match=r"2 row\(s\).*the first in row 2 .*: 20 after 30\."):
        Timeline(bars, split_series(bars))


def test_disorder_counts_rows_of_the_table_not_of_the_series():
    table = pa.table(
        {
            "symbol": ["A", "B", "A", "B", "B", "A"],
            "close_time": pa.array([1, 9, 2, 5, 6, 1], pa.int64()),
        }
    )
    bars = read_bars(table)

    with pytest.raises(BarOrderError, match=r"2 row\(s\).*first in row 3 of B: 5 after 9"):
        Timeline(bars, split_series(bars))


def test_order_is_of_the_close_time_where_there_are_several():
    table = pa.table({"open_time": [5, 4], "close_time": [6, 7], "timestamp": ["x", "y"]})
    bars = read_bars(table)

    assert Timeline(bars, split_series(bars)).increases


@given(st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 9)), max_size=30))
def test_order_is_judged_within_each_series(rows):
    table = pa.table(
        {
            "symbol": pa.array([symbol for symbol, _ in rows], pa.string()),
            "close_time": pa.array([time for _, time in rows], pa.int64()),
        }
    )
    series = [[time for symbol, time in rows if symbol == name] for name in "AB"]
    is_ordered = all(times == sorted(times) for times in series)
    increases = all(len(times) == len(set(times)) for times in series)
    bars = read_bars(table)
    split = split_series(bars)

    if is_ordered:
        assert Timeline(bars, split).increases == increases
    else:
        with pytest.raises(BarOrderError, match=r"out of time order"):
            Timeline(bars, split)


@pytest.mark.parametrize(
    ("times", "text"),
    [
        ({"close_time": ["a", "b"]}, r"'close_time' is String; expected int64 or a datetime"),
        ({"close_time": [1.0, 2.0]}, r"'close_time' is Float64; expected int64 or a datetime"),
        ({"timestamp": [1, 2]}, r"'timestamp' is Int64; expected a datetime"),
        ({"close_time_ms": [1, None]}, r"'close_time_ms' has 1 null\(s\), the first in row 1"),
    ],
)
def test_time_that_is_none_is_refused(times, text):
    bars = read_bars(pa.table(times))

    with pytest.raises(BarColumnError, match=text):
        Timeline(bars, split_series(bars))


def test_bars_without_time_are_taken_as_they_stand():
    bars = read_bars(pa.table({"close": [3.0, 1.0]}))

    assert Timeline(bars, split_series(bars)).increases


def test_index_is_time_in_pandas():
    frame = pl.DataFrame({"close": [1.0, 2.0]}).to_pandas()
    frame.index = np.array(["2024-01-02", "2024-01-01"], dtype="datetime64[ns]")
    bars = read_bars(frame)

    with pytest.raises(BarOrderError, match=r"'timestamp' are earlier.*first in row 1"):
        Timeline(bars, split_series(bars))
