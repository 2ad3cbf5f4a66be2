from __future__ import annotations

import datetime as dt
import hashlib

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from rangebar_enrich import Enricher
from rangebar_enrich.clickhouse import BarStore
from rangebar_enrich.errors import (
    BarColumnError,
    SchemaError,
    SeriesConflictError,
    StoreConnectionError,
    WriteRefusedError,
)

SERIES = {"symbol": "BTCUSDT", "threshold_decimal_bps": 250}
X = ("momentum", "1.0")


def assert_same(actual: pa.Table, expected: pa.Table) -> None:
    assert actual.cast(expected.schema).equals(expected)


def test_write_then_read_gives_the_same(store, make_bars):
    bars = make_bars(40, momentum_x=X)
    result = store.write(bars, **SERIES)
    actual = store.read("BTCUSDT", 250, columns=bars.column_names)
    assert (result.rows, result.chunks, result.retries) == (40, 1, 0)
    assert_same(actual, bars)


def test_write_twice_leaves_the_same_rows(store, make_bars):
    bars = make_bars(40, momentum_x=X)
    store.write(bars, **SERIES)
    store.write(bars, **SERIES)
    assert store.count("BTCUSDT", 250) == 40
    assert_same(store.read("BTCUSDT", 250, columns=bars.column_names), bars)


def test_write_a_b_a_ends_with_a(store, make_bars):
    a, b = make_bars(20, seed=1, momentum_x=X), make_bars(20, seed=2, momentum_x=X)
    for bars in (a, b, a):
        store.write(bars, **SERIES)
    assert_same(store.read("BTCUSDT", 250, columns=a.column_names), a)


def test_feature_values_are_bit_equal(store, make_bars):
    values = pa.array(
        [0.1, -0.0, 5e-324, 1.7976931348623157e308, float("inf"), -float("inf"), None]
    )
    bars = make_bars(7).append_column("momentum_x", values)
    store.write(bars, **SERIES, features={"momentum_x": X})
    actual = store.read("BTCUSDT", 250, columns=["momentum_x"]).column(0).combine_chunks()
    assert pc.is_null(actual).equals(pc.is_null(values))
    assert actual.buffers()[1].to_pybytes()[:48] == values.buffers()[1].to_pybytes()[:48]


def test_read_labels_features_without_providers(store, make_bars):
    store.write(make_bars(momentum_x=X), **SERIES)
    field = store.read("BTCUSDT", 250, plugin_features=True).schema.field("momentum_x")
    assert field.metadata == {b"provider": b"momentum", b"version": b"1.0", b"status": b"ok"}


def test_read_table_can_be_written_again(store, connect, make_bars):
    store.write(make_bars(momentum_x=X, trend_y=("trend", "2")), **SERIES)
    found = store.read("BTCUSDT", 250, plugin_features=True)
    store.write(found)
    assert store.read("BTCUSDT", 250, plugin_features=True).equals(found, check_metadata=True)
    assert [(row.provider, row.version) for row in store.provenance("BTCUSDT", 250)] == [
        ("momentum", "1.0"),
        ("trend", "2"),
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, range(12), id="all"),
        pytest.param({"start": 3}, range(3, 12), id="start"),
        pytest.param({"end": 3}, range(4), id="end"),
        pytest.param({"start": 3, "end": 5}, range(3, 6), id="both-inclusive"),
        pytest.param({"last": 4}, range(8, 12), id="last"),
        pytest.param({"end": 6, "last": 2}, range(5, 7), id="last-of-range"),
        pytest.param({"last": 0}, range(0), id="last-none"),
        pytest.param({"last": 99}, range(12), id="last-more-than-all"),
        pytest.param({"start": 5, "end": 4}, range(0), id="empty-range"),
    ],
)
def test_read_selects_rows(store, make_bars, options, expected):
    bars = make_bars(12)
    times = bars["close_time_ms"].to_pylist()
    store.write(bars, **SERIES)
    named = {f"{k}_ms": times[v] for k, v in options.items() if k != "last"}
    if "last" in options:
        named["last"] = options["last"]
    actual = store.read("BTCUSDT", 250, columns=["close_time_ms"], **named)
    assert actual["close_time_ms"].to_pylist() == [times[i] for i in expected]


def test_read_polars_equals_read(store, make_bars):
    store.write(make_bars(momentum_x=X), **SERIES)
    expected = pl.DataFrame(store.read("BTCUSDT", 250, plugin_features=True))
    assert store.read_polars("BTCUSDT", 250, plugin_features=True).equals(expected)


@pytest.mark.parametrize("rows", [1, 5, 12, 100])
def test_read_batches_equal_read(store, make_bars, rows):
    store.write(make_bars(12, momentum_x=X), **SERIES)
    options = {"columns": ["close"], "plugin_features": True}
    reader = store.read_batches("BTCUSDT", 250, rows=rows, **options)
    batches = list(reader)
    assert max(batch.num_rows for batch in batches) <= rows
    actual = pa.Table.from_batches(batches, reader.schema)
    assert actual.equals(store.read("BTCUSDT", 250, **options), check_metadata=True)


def test_read_missing_column_is_named(store, make_bars):
    store.write(make_bars(), **SERIES)
    with pytest.raises(
        BarColumnError, match=r"1 column\(s\) are not in table .*\n- 'nope'\nHint: "
    ):
        store.read("BTCUSDT", 250, columns=["close", "nope"])


def test_read_negative_last_is_refused(store, make_bars):
    store.write(make_bars(), **SERIES)
    with pytest.raises(BarColumnError, match="last=-1 is negative"):
        store.read("BTCUSDT", 250, last=-1)


def test_read_without_table_says_so(store):
    with pytest.raises(SchemaError, match=r"does not exist\.\nHint: call store.ensure_table"):
        store.read("BTCUSDT", 250)


def test_series_lists_what_is_stored(store, make_bars):
    store.write(make_bars(5), **SERIES)
    store.write(make_bars(3), symbol="ETHUSDT", threshold_decimal_bps=100, ouroboros_mode="week")
    first, second = store.series()
    assert (first.symbol, first.threshold_decimal_bps, first.ouroboros_mode) == (
        "BTCUSDT",
        250,
        "month",
    )
    assert (first.rows, second.rows, second.ouroboros_mode) == (5, 3, "week")
    assert (first.first_ms, first.last_ms) == (1_704_070_800_000, 1_704_085_200_000)


def test_several_series_in_one_table(store, make_bars):
    a, b = make_bars(6, seed=1, momentum_x=X), make_bars(6, seed=2, momentum_x=X)
    both = pa.concat_tables(
        table.append_column("symbol", pa.array([name] * 6)) for table, name in ((a, "A"), (b, "B"))
    ).take([0, 6, 1, 7, 8, 2, 9, 3, 4, 5, 10, 11])
    store.write(both, threshold_decimal_bps=250)
    assert_same(store.read("A", 250, columns=a.column_names), a)
    assert_same(store.read("B", 250, columns=b.column_names), b)


def test_one_insert_for_each_month(store, make_bars):
    bars = make_bars(100, step_ms=24 * 3_600_000)
    assert store.write(bars, **SERIES).chunks == 4
    assert store.count("BTCUSDT", 250) == 100


@pytest.mark.parametrize(
    "convert", [pl.from_arrow, lambda t: t.to_pandas(), lambda t: t.to_batches()[0]]
)
def test_containers_are_understood(store, make_bars, convert):
    bars = make_bars(8).append_column("momentum_x", pa.array([None, 1.0] * 4))
    store.write(convert(bars), **SERIES, features={"momentum_x": X})
    assert_same(store.read("BTCUSDT", 250, columns=bars.column_names), bars)


def test_pandas_with_time_index_and_capitals(store, make_bars):
    bars = make_bars(8)
    frame = bars.to_pandas().rename(
        columns={n: n.capitalize() for n in "open high low close volume".split()}
    )
    frame.index = frame.pop("close_time_ms").astype("datetime64[ms, UTC]")
    frame.index.name = "timestamp"
    store.write(frame, **SERIES)
    assert_same(store.read("BTCUSDT", 250, columns=bars.column_names), bars)


def test_series_from_schema_metadata(store, make_bars):
    notes = {b"symbol": b"BTCUSDT", b"threshold_decimal_bps": b"250"}
    store.write(make_bars(4).replace_schema_metadata(notes))
    assert store.count("BTCUSDT", 250) == 4


def test_series_argument_against_column_is_refused(store, make_bars):
    bars = make_bars(4).append_column("symbol", pa.array(["ETHUSDT"] * 4))
    with pytest.raises(SeriesConflictError, match="'symbol' is 'BTCUSDT', but the column says"):
        store.write(bars, **SERIES)


def test_mode_argument_against_column_is_refused(store, make_bars):
    bars = make_bars(4).append_column("ouroboros_mode", pa.array(["week"] * 4))
    with pytest.raises(
        SeriesConflictError, match="'ouroboros_mode' is 'year', but the column says"
    ):
        store.write(bars, **SERIES, ouroboros_mode="year")


def test_result_is_written_to_the_series_it_was_run_for(store, make_bars):
    bars = make_bars(12)

    store.write(Enricher([]).run(bars, **SERIES))

    assert_same(store.read("BTCUSDT", 250, columns=bars.column_names), bars)


def test_result_of_several_series_keeps_what_the_arguments_said(store, make_bars):
    thresholds = pa.array([250] * 6 + [500] * 6)
    bars = make_bars(12).append_column("threshold_decimal_bps", thresholds)

    store.write(Enricher([]).run(bars, symbol="BTCUSDT"))

    assert [store.count("BTCUSDT", threshold) for threshold in (250, 500)] == [6, 6]


def test_argument_against_the_result_is_refused(store, make_bars):
    result = Enricher([]).run(make_bars(3), **SERIES)

    with pytest.raises(SeriesConflictError, match=r"'ETHUSDT', but the result was computed for"):
        store.write(result, symbol="ETHUSDT")


def test_unknown_series_is_refused(store, make_bars):
    with pytest.raises(WriteRefusedError, match="symbol, threshold_decimal_bps unknown"):
        store.write(make_bars(4))


def test_no_rows_write_nothing(store, make_bars):
    assert store.write(make_bars(0, momentum_x=X), **SERIES).rows == 0
    assert store.series() == []
    assert "momentum_x" in store.schema().features


def test_stamps_are_those_of_rangebar(store, make_bars):
    store.write(make_bars(3), **SERIES, version="9.9")
    names = ["cache_key", "rangebar_version", "source_start_ts", "source_end_ts", "computed_at"]
    row = store.read("BTCUSDT", 250, columns=names).to_pylist()[0]
    text = b"BTCUSDT_250_1704067200000_1704078000000_month"
    assert row["cache_key"] == hashlib.md5(text, usedforsecurity=False).hexdigest()
    assert row["rangebar_version"] == "9.9"
    assert (row["source_start_ts"], row["source_end_ts"]) == (1_704_067_200_000, 1_704_078_000_000)
    assert abs(row["computed_at"] - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=5)


def test_builder_version_is_the_default(store, make_bars):
    from importlib.metadata import version

    store.write(make_bars(3), **SERIES)
    table = store.read("BTCUSDT", 250, columns=["rangebar_version"])
    assert set(table["rangebar_version"].to_pylist()) == {version("rangebar")}


def test_readers_of_rangebar_find_what_they_ask_for(store, make_bars):
    bars = make_bars(6).append_column("duration_us", pa.array([50_000, 0, 10**9] * 2))
    store.write(bars, **SERIES)
    names = "close_time_ms, is_liquidation_cascade, first_agg_trade_id, last_agg_trade_id"
    rows = store.client.query(
        f"SELECT {names} FROM {store.table} FINAL "  # noqa: S608
        "WHERE symbol = 'BTCUSDT' AND threshold_decimal_bps = 250 AND ouroboros_mode = 'month'"
        " AND rangebar_version != '' AND close_time_ms >= 0 AND close_time_ms <= 4102444800000"
        " ORDER BY close_time_ms"
    ).result_rows
    spans = zip(bars["open"], bars["high"], bars["low"], bars["duration_us"], strict=True)
    expected = [
        int(
            (high.as_py() - low.as_py()) / opened.as_py() >= 250 / 10000
            and 0 < us.as_py() <= 100_000
        )
        for opened, high, low, us in spans
    ]
    assert [row[1:] for row in rows] == [(flag, 0, 0) for flag in expected]


def test_verify_counts_the_rows(store, make_bars):
    assert store.write(make_bars(30), **SERIES, verify=True).rows == 30


def test_closed_store_is_refused(connect, make_bars):
    store = connect()
    store.close()
    store.close()
    with pytest.raises(StoreConnectionError, match=r"is closed\.\nHint: call BarStore.connect"):
        store.write(make_bars(), **SERIES)


def test_repr_says_where(store):
    assert repr(store).startswith("BarStore('")
    assert "range_bars" in repr(store)


def test_store_is_a_context_manager(url):
    with BarStore.connect(url) as opened:
        assert opened.client.query("SELECT 1").result_rows == [(1,)]
    with pytest.raises(StoreConnectionError, match="is closed"):
        _ = opened.client
