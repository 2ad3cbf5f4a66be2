from __future__ import annotations

import pyarrow as pa
import pytest

from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich.clickhouse.ingest import read_incoming
from rangebar_enrich.errors import IdentifierError, UnsupportedBarsError, WriteRefusedError

SERIES = {"symbol": "X", "threshold_decimal_bps": 250}


def addresses(column: pa.ChunkedArray) -> list[int]:
    return [buffer.address for chunk in column.chunks for buffer in chunk.buffers() if buffer]


def test_right_columns_keep_their_buffers(bars):
    incoming = read_incoming(bars, **SERIES)
    for name in bars.column_names:
        assert addresses(incoming.table[name]) == addresses(bars[name])


def test_builder_units_become_the_tables(bars):
    raw = bars.rename_columns(["close_time", "open_time", *bars.column_names[2:]])
    for i, name in ((0, "close_time"), (1, "open_time")):
        times = pa.array([value * 1000 + 999 for value in raw[name].to_pylist()])
        raw = raw.set_column(i, name, times)
    raw = raw.append_column("turnover", pa.array([5e18, 0.0, 7.5e18]))
    raw = raw.append_column("first_trade_id", pa.array([1, 2, 3]))
    raw = raw.append_column("aggregation_density_f64", pa.array([1.0, 2.0, 3.0]))
    table = read_incoming(raw, **SERIES).table
    assert table["close_time_ms"].equals(bars["close_time_ms"])
    assert table["turnover"].to_pylist() == [500.0, 0.0, 750.0]
    assert table["first_agg_trade_id"].to_pylist() == [1, 2, 3]
    assert table["aggregation_density"].to_pylist() == [1.0, 2.0, 3.0]


def test_table_units_stay(bars):
    table = read_incoming(bars.append_column("turnover", pa.array([5.0, 0.0, 7.0])), **SERIES).table
    assert table["turnover"].to_pylist() == [5.0, 0.0, 7.0]


def test_open_time_comes_from_the_duration(bars):
    expected = bars["open_time_ms"]
    short = bars.drop_columns(["open_time_ms"]).append_column(
        "duration_us", pa.array([1_000_000] * 3)
    )
    assert read_incoming(short, **SERIES).table["open_time_ms"].equals(expected)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamp_of_any_unit_is_close_time(bars, unit):
    stamps = bars["close_time_ms"].cast(pa.timestamp("ms", "UTC")).cast(pa.timestamp(unit, "UTC"))
    timed = bars.drop_columns(["close_time_ms"]).append_column("timestamp", stamps)
    assert read_incoming(timed, **SERIES).table["close_time_ms"].equals(bars["close_time_ms"])


def test_result_is_read_by_its_table(bars):
    class Result:
        table = bars

    assert read_incoming(Result(), **SERIES).table.num_rows == 3


def test_mode_defaults_to_month(bars):
    incoming = read_incoming(bars, **SERIES)
    assert incoming.series[0].key == SeriesKey("X", 250, "month")


def test_mode_comes_from_a_column(bars):
    incoming = read_incoming(bars.append_column("ouroboros_mode", pa.array(["year"] * 3)), **SERIES)
    assert incoming.series[0].key.ouroboros_mode == "year"


def test_unknown_mode_is_refused(bars):
    with pytest.raises(WriteRefusedError, match=r"mode 'day' is unknown\.\nHint: use month, week"):
        read_incoming(bars, **SERIES, ouroboros_mode="day")


def test_threshold_beyond_the_column_is_refused(bars):
    with pytest.raises(WriteRefusedError, match="4294967296 is beyond UInt32"):
        read_incoming(bars, symbol="X", threshold_decimal_bps=1 << 32)


def test_unknown_container_is_refused():
    with pytest.raises(UnsupportedBarsError, match="cannot be read"):
        read_incoming([1, 2, 3], **SERIES)


def test_feature_that_is_not_there_is_refused(bars):
    with pytest.raises(WriteRefusedError, match="Feature 'm_x' is not a column of the bars"):
        read_incoming(bars, **SERIES, features=["m_x"])


def test_feature_with_a_bar_columns_name_is_refused(bars):
    with pytest.raises(IdentifierError, match="'close' is a column of the bar table"):
        read_incoming(bars, **SERIES, features=["close"])


@pytest.mark.parametrize(
    ("notes", "match"),
    [
        ({"status": "fine"}, "has the status 'fine'"),
        ({"status": "partial", "failed_series": "{"}, "malformed 'failed_series'"),
    ],
)
def test_malformed_metadata_is_refused(bars, notes, match):
    field = pa.field("m_x", pa.float64(), metadata={"provider": "m", **notes})
    with pytest.raises(WriteRefusedError, match=match):
        read_incoming(bars.append_column(field, pa.nulls(3, pa.float64())), **SERIES)


@pytest.mark.parametrize("kind", [pa.int32(), pa.bool_(), pa.float32(), pa.decimal128(21, 2)])
def test_numeric_features_become_float64(bars, kind):
    column = pa.array([1, 0, None]).cast(kind)
    incoming = read_incoming(bars.append_column("m_x", column), **SERIES, features=["m_x"])
    assert incoming.table["m_x"].to_pylist() == [1.0, 0.0, None]
    assert incoming.violations.found == []
