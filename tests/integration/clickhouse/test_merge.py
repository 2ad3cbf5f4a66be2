"""What a write does not bring stays: every combination of stored and written features."""

from __future__ import annotations

import itertools
import threading

import polars as pl
import pyarrow as pa
import pytest
from corpus.tried import thinned

from rangebar_enrich.errors import WriteRefusedError

SERIES = {"symbol": "BTCUSDT", "threshold_decimal_bps": 250}
STORED = ["nothing", "other", "1.0", "2.0"]
WRITTEN = ["absent", "ok", "failed", "short_history", "partial-here", "partial-elsewhere"]


def with_momentum(bars: pa.Table, with_status, kind: str, version: str = "1.0") -> pa.Table:
    """Add `momentum_x` as an engine would that ran, failed, or did not run `momentum`."""
    if kind == "absent":
        return bars
    here = '[["BTCUSDT", 250, null]]'
    failed = here if kind == "partial-here" else '[["ETHUSDT", 250, null]]'
    status = kind.split("-", maxsplit=1)[0]
    more = {"failed_series": failed} if status == "partial" else {}
    lost = kind in {"failed", "short_history", "partial-here"}
    values = [None] * bars.num_rows if lost else [None, *map(float, range(1, bars.num_rows))]
    field = pa.field(
        "momentum_x", pa.float64(), metadata=with_status("momentum", version, status, **more)
    )
    return bars.append_column(field, pa.array(values, pa.float64()))


@pytest.mark.parametrize(("stored", "written"), thinned(itertools.product(STORED, WRITTEN), keep=3))
def test_merge_keeps_what_is_not_brought(store, make_bars, with_status, stored, written):
    before = make_bars(8, trend_y=("trend", "7"))
    if stored not in {"nothing", "other"}:
        values = pa.array([None, *(10.0 * i for i in range(1, 8))])
        field = pa.field("momentum_x", pa.float64(), metadata=with_status("momentum", stored))
        before = before.append_column(field, values)
    if stored != "nothing":
        store.write(before, **SERIES)
    store.write(with_momentum(make_bars(8), with_status, written), **SERIES)

    brought = written in {"ok", "partial-elsewhere"}
    had = stored not in {"nothing", "other"}
    expected = [None] * 8
    if brought or had:
        factor = 1.0 if brought else 10.0
        expected = [None, *(factor * i for i in range(1, 8))]
    store.migrate(["momentum_x", "trend_y"])
    actual = store.read("BTCUSDT", 250, columns=["momentum_x", "trend_y"])
    assert actual["momentum_x"].to_pylist() == expected
    trend = [None] * 8 if stored == "nothing" else before["trend_y"].to_pylist()
    assert actual["trend_y"].to_pylist() == trend

    versions = {(row.provider, row.version) for row in store.provenance("BTCUSDT", 250)}
    momentum = "1.0" if brought else stored if had else ""
    assert versions <= {("momentum", momentum), ("trend", "" if stored == "nothing" else "7")}


def test_merge_only_touches_rows_that_are_there(store, make_bars):
    bars = make_bars(12, momentum_x=("momentum", "1.0"))
    store.write(bars.slice(2, 6), **SERIES)
    result = store.write(bars.drop_columns(["momentum_x"]), **SERIES)
    values = bars["momentum_x"].to_pylist()
    expected = [None] * 2 + values[2:8] + [None] * 4
    assert (result.carried, result.chunks) == (6, 2)
    assert store.read("BTCUSDT", 250, columns=["momentum_x"])["momentum_x"].to_pylist() == expected
    found = {row.version: row.rows for row in store.provenance("BTCUSDT", 250)}
    assert found == {"1.0": 6, "": 6}


def test_merge_computed_nulls_replace_values(store, make_bars, with_status):
    store.write(make_bars(8, momentum_x=("momentum", "1.0")), **SERIES)
    field = pa.field("momentum_x", pa.float64(), metadata=with_status("momentum", "1.0"))
    store.write(make_bars(8).append_column(field, pa.nulls(8, pa.float64())), **SERIES)
    assert store.read("BTCUSDT", 250, columns=["momentum_x"])["momentum_x"].null_count == 8


@pytest.mark.parametrize("convert", [pl.from_arrow, lambda table: table.to_pandas()])
def test_merge_nulls_of_unknown_status_keep_values(store, make_bars, convert):
    stored = make_bars(8, momentum_x=("momentum", "1.0"))
    store.write(stored, **SERIES)
    bars = make_bars(8).append_column("momentum_x", pa.nulls(8, pa.float64()))
    store.write(convert(bars), **SERIES, features={"momentum_x": ("momentum", "1.0")})
    actual = store.read("BTCUSDT", 250, columns=["momentum_x"])["momentum_x"]
    assert actual.to_pylist() == stored["momentum_x"].to_pylist()


def test_merge_keeps_builder_columns(store, make_bars):
    full = make_bars(6).append_column("vwap", pa.array([float(i) for i in range(1, 7)]))
    full = full.append_column("lookback_hurst", pa.array([0.5, None] * 3))
    store.write(full.append_column("data_source", pa.array(["x", "y"] * 3)), **SERIES)
    store.write(make_bars(6), **SERIES)
    actual = store.read("BTCUSDT", 250, columns=["vwap", "lookback_hurst", "data_source"])
    assert actual["vwap"].to_pylist() == full["vwap"].to_pylist()
    assert actual["lookback_hurst"].to_pylist() == full["lookback_hurst"].to_pylist()
    assert actual["data_source"].to_pylist() == ["x", "y"] * 3


def test_merge_keeps_a_feature_that_rangebar_wrote(store, make_bars):
    store.write(make_bars(4), **SERIES)
    client = store.client
    client.command(f"ALTER TABLE {store.table} ADD COLUMN theirs_x Nullable(Float64)")
    others = "* EXCEPT (theirs_x, computed_at)"
    made = f"SELECT {others}, volume, computed_at + 5 FROM {store.table} FINAL"  # noqa: S608
    client.command(f"INSERT INTO {store.table} ({others}, theirs_x, computed_at) {made}")
    store.write(make_bars(4), **SERIES)
    bars = store.read("BTCUSDT", 250, columns=["volume"], plugin_features=True)
    assert bars["theirs_x"].to_pylist() == bars["volume"].to_pylist()


def test_changed_bars_mark_other_features_stale(store, make_bars):
    bars = make_bars(6, momentum_x=("momentum", "1.0"))
    store.write(bars, **SERIES)
    volume = [9.5, *bars["volume"].to_pylist()[1:]]
    changed = make_bars(6).set_column(6, "volume", pa.array(volume))
    assert (store.write(changed, **SERIES).stale, store.write(changed, **SERIES).stale) == (1, 0)
    actual = store.read("BTCUSDT", 250, columns=["volume", "momentum_x"])
    assert actual["volume"].to_pylist() == volume
    assert actual["momentum_x"].to_pylist() == bars["momentum_x"].to_pylist()
    found = {row.version: row.rows for row in store.provenance("BTCUSDT", 250)}
    assert found == {"1.0": 5, "1.0 (stale)": 1}
    asked = {"provider": "momentum", "version": "1.0"}
    outdated = store.outdated("BTCUSDT", 250, **asked, lookback=0)
    assert (outdated.rows, outdated.first_ms) == (1, bars["close_time_ms"][0].as_py())
    # NOTE: how far a provider looks back that no backfill knows, nobody can say.
    assert [store.outdated("BTCUSDT", 250, **asked, lookback=n).rows for n in (2, None)] == [3, 6]


def test_changed_bars_recompute_the_cascade_flag(store, make_bars):
    wide = make_bars(2).append_column("duration_us", pa.array([50_000, 50_000]))
    narrow = wide.set_column(3, "high", pa.array([200.0, wide["high"][1].as_py()]))
    store.write(wide, **SERIES)
    store.write(narrow, **SERIES)
    flags = store.read("BTCUSDT", 250, columns=["is_liquidation_cascade"]).column(0)
    assert flags.to_pylist() == [1, 0]


def test_new_version_with_all_columns_replaces(store, make_bars):
    store.write(make_bars(5, seed=1, m_a=("m", "1"), m_b=("m", "1")), **SERIES)
    second = make_bars(5, seed=1, m_a=("m", "2"), m_b=("m", "2"))
    store.write(second, **SERIES)
    assert [(row.version, row.rows) for row in store.provenance("BTCUSDT", 250)] == [("2", 5)]


def test_one_column_of_the_same_version_is_merged(store, make_bars):
    both = make_bars(5, m_a=("m", "1"), m_b=("m", "1"))
    store.write(both, **SERIES)
    store.write(both.drop_columns(["m_b"]), **SERIES)
    actual = store.read("BTCUSDT", 250, columns=["m_b"])["m_b"]
    assert actual.to_pylist() == both["m_b"].to_pylist()


def test_one_column_of_another_version_is_refused(store, make_bars):
    store.write(make_bars(5, m_a=("m", "1"), m_b=("m", "1")), **SERIES)
    before = store.read("BTCUSDT", 250, plugin_features=True)
    expected = (
        r"(?s)The bars bring only some columns of a provider.*Nothing was written\."
        r"\n- 'm' '2': 3 stored row\(s\) have m_b from another version\nHint: .*DROP COLUMN"
    )
    with pytest.raises(WriteRefusedError, match=expected):
        store.write(make_bars(5, m_a=("m", "2")), **SERIES)
    assert store.read("BTCUSDT", 250, plugin_features=True).equals(before)


def test_two_versions_of_a_provider_are_refused(store, make_bars):
    bars = make_bars(5, m_a=("m", "1"), m_b=("m", "2"))
    with pytest.raises(WriteRefusedError, match=r"'m': \['1', '2'\]"):
        store.write(bars, **SERIES)


def test_registry_names_versions_and_columns(store, make_bars):
    store.write(make_bars(5, m_a=("m", "1")), **SERIES)
    store.write(make_bars(5, m_a=("m", "1"), m_b=("m", "1")), **SERIES)
    store.write(make_bars(5, m_a=("m", "2"), m_b=("m", "2")), **SERIES)
    first, second = store.providers()
    assert (first.provider, first.version, first.columns) == ("m", "1", ("m_a", "m_b"))
    assert first.first_written_ms < first.last_written_ms < second.first_written_ms


def test_failed_provider_is_not_registered(store, make_bars):
    store.write(make_bars(5, m_a=("m", "1", "failed")), **SERIES)
    assert store.providers() == []
    assert store.outdated("BTCUSDT", 250, provider="m", version="1").rows == 5


def test_outdated_is_not_decided_by_null(store, make_bars):
    store.write(make_bars(5, m_a=("m", "1")), **SERIES)
    assert store.read("BTCUSDT", 250, columns=["m_a"])["m_a"].null_count == 2
    assert store.outdated("BTCUSDT", 250, provider="m", version="1").rows == 0
    assert store.outdated("BTCUSDT", 250, provider="m", version="2").rows == 5
    assert store.outdated("BTCUSDT", 250, provider="never_seen", version="1").rows == 5


def test_row_versions_survive_a_copy(store, connect, make_bars):
    bars = make_bars(6, m_a=("m", "1"))
    store.write(bars.slice(0, 3), **SERIES)
    store.write(make_bars(6, m_a=("m", "2")).slice(3), **SERIES)
    table = store.read("BTCUSDT", 250, columns=["_version_m", *bars.column_names])
    table = table.append_column("symbol", pa.array(["COPY"] * 6))
    store.write(
        store.read("BTCUSDT", 250, columns=bars.column_names),
        symbol="OTHER",
        threshold_decimal_bps=250,
    )
    labelled = store.read("BTCUSDT", 250, plugin_features=True)
    assert labelled.schema.field("m_a").metadata[b"versions"] == b'["1", "2"]'
    versions = table["_version_m"]
    store.write(
        labelled.append_column("_version_m", versions).drop_columns(["symbol"]), symbol="COPY"
    )
    found = {row.version: row.rows for row in store.provenance("COPY", 250)}
    assert found == {"1": 3, "2": 3}


def test_many_providers_write_at_once(connect, make_bars):
    names = [f"p{i}" for i in range(4)]
    stores = [connect() for _ in names]
    stores[0].ensure_table()
    failures = []

    def write(store, name) -> None:
        try:
            for version in ("1", "2", "3"):
                store.write(make_bars(7, **{f"{name}_x": (name, version)}), **SERIES)
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failures.append(error)

    pairs = zip(stores, names, strict=True)
    writers = [threading.Thread(target=write, args=pair) for pair in pairs]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert failures == []
    found = {(row.provider, row.version, row.rows) for row in stores[0].provenance("BTCUSDT", 250)}
    assert found == {(name, "3", 7) for name in names}
    table = stores[0].read("BTCUSDT", 250, plugin_features=True)
    for name in names:
        expected = make_bars(7, **{f"{name}_x": (name, "3")})[f"{name}_x"].to_pylist()
        assert table[f"{name}_x"].to_pylist() == expected


def test_threads_share_one_store(store, make_bars):
    store.ensure_table()
    series = [f"S{i}" for i in range(4)]

    def write(symbol) -> None:
        for _ in range(3):
            store.write(make_bars(5), symbol=symbol, threshold_decimal_bps=250)

    writers = [threading.Thread(target=write, args=(symbol,)) for symbol in series]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [(found.symbol, found.rows) for found in store.series()] == [(s, 5) for s in series]


def test_providers_of_a_table_without_registry(store):
    store.ensure_table()
    store.client.command(f"DROP TABLE {store.table}_providers")
    assert store.providers() == []
