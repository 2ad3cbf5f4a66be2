from __future__ import annotations

import re

import pyarrow as pa
import pytest

from rangebar_enrich.clickhouse.guards import check_bars
from rangebar_enrich.clickhouse.ingest import read_incoming
from rangebar_enrich.errors import WriteRefusedError

HINT = "Hint: mend the bars and write them again."
START_MS = 1_704_067_200_000
T1, T2, T3 = (START_MS + 1000 * i for i in (1, 2, 3))


def check(bars, **options) -> None:
    features = options.pop("features", None)
    incoming = read_incoming(bars, symbol="X", threshold_decimal_bps=250, features=features)
    check_bars(incoming, **options)


def put(bars: pa.Table, name: str, row: int, value) -> pa.Table:
    values = bars[name].to_pylist()
    values[row] = value
    return bars.set_column(bars.column_names.index(name), name, pa.array(values))


def refused(*lines: str, bars: int = 3, rules: int = 1) -> str:
    head = f"{bars} bar(s) refused, nothing was written: {rules} rule(s) broken."
    return "^" + re.escape("\n".join([head, *(f"- {line}" for line in lines), HINT])) + "$"


def test_good_bars_pass(bars):
    check(bars)


@pytest.mark.parametrize(
    ("name", "row", "value", "line"),
    [
        pytest.param("high", 1, 99.0, "high_below_low: 1 row(s), the first is row 1: low 100.0, high 99.0", id="high-below-low"),
        pytest.param("open", 2, 103.0, "open_outside: 1 row(s), the first is row 2: open 103.0, low 100.0, high 102.0", id="open-outside"),
        pytest.param("close", 0, 99.0, "close_outside: 1 row(s), the first is row 0: close 99.0, low 99.5, high 101.5", id="close-outside"),
        pytest.param("volume", 2, -1.0, "negative_volume in 'volume': 1 row(s), the first is row 2: got -1.0", id="negative-volume"),
        pytest.param("close", 1, None, "null in 'close': 1 row(s), the first is row 1: is null", id="null-price"),
        pytest.param("volume", 1, float("nan"), "not_finite in 'volume': 1 row(s), the first is row 1: got nan", id="nan-volume"),
        pytest.param("open_time_ms", 1, T3, f"open_after_close in 'open_time_ms': 1 row(s), the first is row 1: open {T3}, close {T2}", id="open-after-close"),
        pytest.param("close_time_ms", 1, T1, f"duplicate_key in 'close_time_ms': 1 row(s), the first is row 1: X@250/month has another bar that closes at {T1}", id="duplicate-key"),
        pytest.param("close_time_ms", 1, T3 + 5, f"time_order in 'close_time_ms': 1 row(s), the first is row 2: {T3} follows {T3 + 5} in X@250/month", id="time-order"),
    ],
)  # fmt: skip
def test_guard_says_rule_count_and_first_row(bars, name, row, value, line):
    with pytest.raises(WriteRefusedError, match=refused(line)):
        check(put(bars, name, row, value))


@pytest.mark.parametrize(
    ("factor", "rule"), [(1000, "us_as_ms"), (0.001, "seconds_as_ms")], ids=["us", "seconds"]
)
def test_guard_knows_other_units(bars, factor, rule):
    scaled = bars
    for i, name in ((0, "close_time_ms"), (1, "open_time_ms")):
        values = [int(value * factor) for value in bars[name].to_pylist()]
        scaled = scaled.set_column(i, name, pa.array(values))
    first = [int(START_MS * factor), int(T1 * factor)]
    lines = [
        f"{rule} in '{name}': 3 row(s), the first is row 0: got {value}"
        for name, value in zip(("open_time_ms", "close_time_ms"), first, strict=True)
    ]
    with pytest.raises(WriteRefusedError, match=refused(*lines)):
        check(scaled)


def test_guard_knows_ms_given_as_us(bars):
    raw = bars.rename_columns(["close_time", "open_time", *bars.column_names[2:]])
    with pytest.raises(WriteRefusedError, match=r"seconds_as_ms in 'close_time_ms': 3 row\(s\)"):
        check(raw)


def test_guard_gathers_everything(bars):
    bad = put(put(put(bars, "volume", 0, -1.0), "high", 1, 1.0), "close_time_ms", 2, T1)
    with pytest.raises(WriteRefusedError, match=r"6 rule\(s\) broken") as caught:
        check(bad.append_column("junk", pa.array([1, 2, 3])))
    rules = {violation.rule for violation in caught.value.violations}
    assert rules == {
        "negative_volume", "high_below_low", "duplicate_key", "time_order", "unknown_column",
        "open_after_close",
    }  # fmt: skip


def test_guard_counts_rows_and_shows_the_callers_first(bars):
    two = pa.concat_tables([bars, bars]).append_column("symbol", pa.array(["B", "A"] * 3))
    times = [T1, T1, T2, T2, T3, T3]
    two = two.set_column(0, "close_time_ms", pa.array(times))
    two = two.set_column(1, "open_time_ms", pa.array([START_MS] * 6))
    two = two.set_column(6, "volume", pa.array([1.0, -5.0, -2.0, 1.0, -3.0, 1.0]))
    line = "negative_volume in 'volume': 3 row(s), the first is row 1: got -5.0"
    with pytest.raises(WriteRefusedError, match=re.escape(line)):
        check_bars(read_incoming(two, threshold_decimal_bps=250))


@pytest.mark.parametrize(
    ("name", "values", "line"),
    [
        pytest.param("exchange_session_tokyo", [0, 300, 1], "value in 'exchange_session_tokyo': 1 row(s), the first is row 1: 300 does not fit uint8", id="300-to-uint8"),
        pytest.param("duration_us", [1.0, 3.9, 2.0], "value in 'duration_us': 1 row(s), the first is row 1: 3.9 does not fit int64", id="3.9-to-int64"),
        pytest.param("individual_trade_count", [1, -1, 2], "value in 'individual_trade_count': 1 row(s), the first is row 1: -1 does not fit uint32", id="negative-to-uint32"),
        pytest.param("vwap", ["1", "x", "2"], "type in 'vwap': got string, expected double", id="text-to-float"),
        pytest.param("vwap", [1, (1 << 53) + 1, 3], f"value in 'vwap': 1 row(s), the first is row 1: {(1 << 53) + 1} does not fit double", id="integer-beyond-float"),
        pytest.param("vwap", [1.0, None, 2.0], "null in 'vwap': 1 row(s), the first is row 1: is null", id="null-to-not-null"),
        pytest.param("data_source", [1, 2, 3], "type in 'data_source': got int64, expected string", id="number-to-text"),
        pytest.param("Vwap", [1.0, 2.0, 3.0], "unknown_column in 'Vwap': wrong case, the table has 'vwap'", id="wrong-case"),
        pytest.param("other", [1.0, 2.0, 3.0], "unknown_column in 'other': the table has no such column; name it in features= if it is a feature", id="unknown"),
        pytest.param("computed_at", [1, 2, 3], "stamp_column in 'computed_at': the store sets it; drop it from the bars", id="stamp"),
        pytest.param("turnover", [5e17, 0.0, 7.6e18], "turnover_unit in 'turnover': 2 row(s), the first is row 0: got 5e+17, price times volume 505.0", id="fixed-point"),
    ],
)  # fmt: skip
def test_guard_refuses_what_a_column_would_damage(bars, name, values, line):
    with pytest.raises(WriteRefusedError, match=refused(line)):
        check(bars.append_column(name, pa.array(values)))


def test_feature_of_text_is_refused(bars):
    line = "type in 'm_x': got string, expected double"
    with pytest.raises(WriteRefusedError, match=refused(line)):
        check(bars.append_column("m_x", pa.array(["1", "2", "3"])), features=["m_x"])


@pytest.mark.parametrize("name", ["open", "close", "open_time_ms", "close_time_ms", "volume"])
def test_missing_column_is_named(bars, name):
    line = f"missing_column in '{name}': the table needs '{name}'"
    with pytest.raises(WriteRefusedError, match=refused(line)):
        check(bars.drop_columns([name]))


def test_width_is_not_checked_by_default(bars):
    check(put(bars, "high", 0, 200.0))


def test_width_limit_is_in_thresholds(bars):
    wide = put(bars, "high", 2, 110.0)
    line = "too_wide: 1 row(s), the first is row 2: width in thresholds 39.8"
    with pytest.raises(WriteRefusedError, match=re.escape(line)):
        check(wide, max_width_multiple=10)
    check(wide, max_width_multiple=50)


def test_equal_close_times_of_two_series_pass(bars):
    two = pa.concat_tables([bars, bars]).append_column("symbol", pa.array(["A"] * 3 + ["B"] * 3))
    check_bars(read_incoming(two, threshold_decimal_bps=250))


def test_timestamp_that_contradicts_close_time_is_refused(bars):
    stamps = pa.array([T1, T2, T3 + 1], pa.timestamp("ms", "UTC"))
    line = "time_conflict in 'timestamp': 1 row(s), the first is row 2: is not 'close_time_ms'"
    with pytest.raises(WriteRefusedError, match=refused(line)):
        check(bars.append_column("timestamp", stamps))
