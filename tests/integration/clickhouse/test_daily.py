"""What a pipeline owner does every day, and what may come between."""

# ruff: noqa: S608 - the statements name our own table

from __future__ import annotations

import copy
import multiprocessing
import pickle

import polars as pl
import pyarrow as pa
import pytest

import rangebar_enrich as rbe
from rangebar_enrich._stream.live import LiveEnricher
from rangebar_enrich.clickhouse import BarStore
from rangebar_enrich.clickhouse.rewrite import Rewriter
from rangebar_enrich.errors import StoreConnectionError

from .conftest import make_bars

SERIES = {"symbol": "BTCUSDT", "threshold_decimal_bps": 250}
CLOSE = pl.col("close")


class Provider:
    def __init__(self, name="reach", version="1", *, aside=None, **exprs):
        self.name, self.version, self.min_bars, self.aside = name, version, 0, aside
        self.exprs = {f"{name}_{key}": expr for key, expr in exprs.items()}
        self.columns = tuple(self.exprs)

    def expressions(self, context):
        return self.exprs


def windows(version="1"):
    five = sum(CLOSE.shift(i) for i in range(5))
    return Provider("window", version, sum=five)


def recursion():
    return Provider("endless", ema=CLOSE.ewm_mean(span=4))


def fill(store, *providers, **options):
    return store.enrich_new(rbe.Enricher(providers), "BTCUSDT", 250, **options)


def wrong(store, *providers):
    """Count the rows that differ from one run, for each provider."""
    stored = store.read("BTCUSDT", 250, plugin_features=True)
    fresh = rbe.Enricher(providers).run(store.read("BTCUSDT", 250), **SERIES).table
    return [
        sum(a != b for a, b in zip(stored[c].to_pylist(), fresh[c].to_pylist(), strict=True))
        for one in providers
        for c in one.columns
    ]


def outdated(store, *providers):
    return [
        store.outdated("BTCUSDT", 250, provider=one.name, version=one.version).rows
        for one in providers
    ]


def changed(bars, row):
    volume = pa.array([bars["volume"][row].as_py() + 1])
    return bars.slice(row, 1).set_column(6, "volume", volume)


FOREIGN = (
    "INSERT INTO {t} (symbol, threshold_decimal_bps, close_time_ms, open_time_ms, open, high, low,"
    " close, volume) SELECT symbol, threshold_decimal_bps, close_time_ms, open_time_ms, open,"
    " high, low, close + 0.125, volume FROM {t} FINAL WHERE close_time_ms = {time}"
)


@pytest.mark.parametrize("what", ["gap", "older", "corrected", "foreign"])
def test_everything_in_reach_is_done_again(store, what):
    bars, providers = make_bars(120), [windows(), recursion()]
    parts = {"gap": [(0, 40), (60, 60)], "older": [(30, 90)]}.get(what, [(0, 120)])
    for start, count in parts:
        store.write(bars.slice(start, count), **SERIES)
    fill(store, *providers)
    assert outdated(store, *providers) == [0, 0]
    if what == "gap":
        store.write(bars.slice(40, 20), **SERIES)
    elif what == "older":
        store.write(bars.slice(0, 30), **SERIES)
    elif what == "corrected":
        store.write(changed(bars, 20), **SERIES)
    else:
        time_ms = bars["close_time_ms"][20].as_py()
        store.client.command(FOREIGN.format(t=store.table, time=time_ms))
    told, differ = outdated(store, *providers), wrong(store, *providers)
    assert all(a >= b for a, b in zip(told, differ, strict=True))
    result = fill(store, *providers)
    assert [result.providers[one.name] for one in providers] == told
    assert (outdated(store, *providers), wrong(store, *providers)) == ([0, 0], [0, 0])


@pytest.mark.parametrize("writer", ["ours", "another program"])
def test_a_bar_that_changes_meanwhile_is_not_reverted(store, connect, monkeypatch, writer):
    bars, provider = make_bars(40), windows()
    store.write(bars, **SERIES)
    original, came = Rewriter.write, []
    time_ms = bars["close_time_ms"][20].as_py()

    def write(self, *args, **options):
        if not came:
            came.append(1)
            store.client.command(FOREIGN.format(t=store.table, time=time_ms))
        return original(self, *args, **options)

    if writer == "ours":
        read, other = LiveEnricher.push, connect()

        def push(self, bars_):
            if not came:
                came.append(1)
                other.write(changed(bars, 20), **SERIES)
            return read(self, bars_)

        monkeypatch.setattr(LiveEnricher, "push", push)
    else:
        monkeypatch.setattr(Rewriter, "write", write)
    fill(store, provider)
    monkeypatch.undo()
    assert came
    now = store.read("BTCUSDT", 250, start_ms=time_ms, end_ms=time_ms)
    was = bars.slice(20, 1)
    moved = (now["close"][0] != was["close"][0]) or (now["volume"][0] != was["volume"][0])
    assert moved
    fill(store, provider)
    assert (outdated(store, provider), wrong(store, provider)) == ([0], [0])


def test_read_enrich_write_leaves_what_changed_since(store, connect):
    bars, provider = make_bars(30), windows()
    store.write(bars, **SERIES)
    found = store.read("BTCUSDT", 250)
    connect().write(changed(bars, 7), **SERIES)
    made = rbe.Enricher([provider]).run(found, **SERIES)
    result = store.write(made, **SERIES)
    time_ms = bars["close_time_ms"][7].as_py()
    assert (result.rows, result.skipped) == (29, (time_ms,))
    now = store.read("BTCUSDT", 250, start_ms=time_ms, end_ms=time_ms)
    assert now["volume"].to_pylist() == changed(bars, 7)["volume"].to_pylist()
    fill(store, provider)
    assert (outdated(store, provider), wrong(store, provider)) == ([0], [0])


def test_one_series_stops_none_of_the_others(store, monkeypatch):
    for symbol in ("A", "B", "C"):
        store.write(make_bars(5), symbol=symbol, threshold_decimal_bps=250)
    original = Rewriter.write

    def write(self, *args, **options):
        if self._key.symbol == "B":
            msg = "told to fail"
            raise StoreConnectionError(msg)
        return original(self, *args, **options)

    monkeypatch.setattr(Rewriter, "write", write)
    seen = []
    reports = store.backfill(rbe.Enricher([windows()]), on_done=seen.append)
    assert seen == reports
    assert [(one.symbol, str(one.error or "")) for one in reports if one.error] == [
        ("B", "told to fail")
    ]
    monkeypatch.undo()
    again = store.backfill(rbe.Enricher([windows()]))
    assert [(one.symbol, one.result.rows) for one in again if one.result.rows] == [("B", 5)]


def test_stored_bars_that_break_a_guard_pass_through(store):
    bars, t = make_bars(9), store.table
    store.write(bars, **SERIES)
    store.client.command(
        f"INSERT INTO {t} (* EXCEPT computed_at) SELECT * EXCEPT (computed_at) REPLACE"
        f" ('day' AS ouroboros_mode, 0 AS open_time_ms, close + 1 AS low) FROM {t} FINAL"
    )
    reports = store.backfill(rbe.Enricher([windows()]))
    assert [(one.ouroboros_mode, one.result.rows) for one in reports] == [("day", 9), ("month", 9)]
    found = store.client.query(f"SELECT count() FROM {t} FINAL WHERE low > close").result_rows
    assert found == [(9,)]


def test_rows_keep_columns_of_types_that_arrow_cannot_carry(store):
    bars, t = make_bars(6), store.table
    store.write(bars, **SERIES)
    store.client.command(
        f"ALTER TABLE {t} ADD COLUMN tags Array(String) DEFAULT ['a'], ADD COLUMN id UUID,"
        " ADD COLUMN side Enum8('buy' = 1, 'sell' = 2) DEFAULT 'sell', ADD COLUMN day Date"
    )
    # NOTE: made by another program, so not by defaults alone.
    store.client.command(
        f"INSERT INTO {t} (* EXCEPT computed_at) SELECT * EXCEPT (computed_at) REPLACE ("
        f"['x', symbol] AS tags, toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0') AS id,"
        f" toDate('2024-01-02') AS day) FROM {t} FINAL"
    )
    sql = f"SELECT tags, toString(id), toString(side), toString(day) FROM {t} FINAL"
    before = store.client.query(sql).result_rows
    assert fill(store, windows()).rows == 6
    store.write(changed(bars, 2), **SERIES)
    assert fill(store, windows()).rows == 4
    assert store.client.query(sql).result_rows == before
    assert wrong(store, windows()) == [0]


def test_recompute_on_purpose(store):
    bars = make_bars(50)
    store.write(bars, **SERIES)
    fill(store, windows(), recursion())
    start = bars["close_time_ms"][30].as_py()
    enricher = rbe.Enricher([windows(), recursion()])
    options = {"start_ms": start, "providers": ["window"], "force": True}
    (report,) = [one for one in store.backfill(enricher, **options) if one.result.rows]
    assert (report.result.rows, dict(report.result.providers).keys()) == (20, {"window"})
    assert fill(store, windows(), recursion()).rows == 0


def test_a_new_version_is_found_where_nothing_else_changed(store):
    store.write(make_bars(30), **SERIES)
    fill(store, windows(), recursion())
    result = fill(store, windows("2"), recursion())
    assert dict(result.providers) == {"window": 30}
    assert outdated(store, windows("2"), recursion()) == [0, 0]


def test_features_of_a_run_that_began_in_the_middle_are_not_believed(store):
    bars, provider = make_bars(30), windows()
    enricher = rbe.Enricher([provider])
    store.write(enricher.run(bars.slice(0, 20), **SERIES))
    assert outdated(store, provider) == [0]
    store.write(enricher.run(bars.slice(20), **SERIES))
    assert wrong(store, provider) == [4]
    fill(store, provider)
    assert (outdated(store, provider), wrong(store, provider)) == ([0], [0])


def test_features_that_went_on_are_believed(store):
    bars, provider = make_bars(30), windows()
    enricher = rbe.Enricher([provider])
    store.write(enricher.run(bars.slice(0, 20), **SERIES))
    made = enricher.run(bars.slice(20), **SERIES, history=bars.slice(0, 20))
    store.write(made, is_continued=True)
    assert (outdated(store, provider), wrong(store, provider)) == ([0], [0])
    assert fill(store, provider).rows == 0


def test_optimize_leaves_one_version_of_a_row(store):
    store.write(make_bars(40, step_ms=24 * 3_600_000), **SERIES)
    fill(store, windows())
    assert store.optimize("BTCUSDT", 250) == 2
    rows = store.client.query(f"SELECT count() FROM {store.table}").result_rows
    assert rows == [(40,)]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])  # noqa: S301
def test_a_copied_store_connects_for_itself(store, copied):
    store.write(make_bars(3), **SERIES)
    with copied(store) as other:
        assert other.table == store.table
        assert other.count("BTCUSDT", 250) == 3
        assert repr(other) == repr(store)
        assert other.client is not store.client


def count_in_child(store):
    return store.count("BTCUSDT", 250)


@pytest.mark.slow
def test_a_pickled_store_works_after_spawn(standin):
    with BarStore.connect(standin.url, table="spawned.t") as store:
        store.write(make_bars(3), **SERIES)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.apply(count_in_child, (store,)) == 3
        store.client.command("DROP DATABASE spawned")


def test_bars_that_were_deleted_can_be_written_again(store):
    """A deduplicating table drops them: https://github.com/ClickHouse/ClickHouse/issues/61565."""
    bars, provider = make_bars(20), windows()
    for _ in range(2):
        store.write(bars, **SERIES, verify=True)
        assert fill(store, provider).rows == 20
        assert wrong(store, provider) == [0]
        store.client.command(f"DELETE FROM {store.table} WHERE 1")
    assert store.count("BTCUSDT", 250) == 0


def test_rows_that_come_late_with_an_old_time_are_seen(store):
    """Jobs that go by time miss them: https://github.com/feast-dev/feast/issues/4133."""
    bars, provider, t = make_bars(30), windows(), store.table
    store.write(bars.slice(0, 10), **SERIES)
    store.write(bars.slice(11), **SERIES)
    fill(store, provider)
    row = bars.slice(10, 1).to_pylist()[0]
    names, values = ", ".join(row), ", ".join(map(str, row.values()))
    store.client.command(
        f"INSERT INTO {t} (symbol, threshold_decimal_bps, computed_at, {names})"
        f" VALUES ('BTCUSDT', 250, '2020-01-01 00:00:00', {values})"
    )
    (told,) = outdated(store, provider)
    assert 5 <= told <= 6  # the bar after it counts as moved, since it follows another one
    assert fill(store, provider).rows == told
    assert (outdated(store, provider), wrong(store, provider)) == ([0], [0])


def test_overlapping_batches_leave_each_bar_once(store):
    """Overlaps double rows elsewhere: https://github.com/man-group/arctic/issues/366."""
    bars, provider = make_bars(40), windows()
    for start, count in ((0, 20), (10, 20), (5, 5), (25, 15)):
        store.write(bars.slice(start, count), **SERIES)
        fill(store, provider)
    assert store.count("BTCUSDT", 250) == 40
    assert store.read("BTCUSDT", 250)["close"].equals(bars["close"])
    assert (outdated(store, provider), wrong(store, provider)) == ([0], [0])
