"""What the store costs, in statements, inserts, rows and bytes read; never in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import rangebar_enrich as rbe
from rangebar_enrich.clickhouse import BarStore
from rangebar_enrich.clickhouse.connection import Connection

from .conftest import FAST, make_bars

SERIES = {"symbol": "BTCUSDT", "threshold_decimal_bps": 250}
MINUTE_MS = 60_000
CLOSE = pl.col("close")


class Averages:
    name, version, min_bars = "averages", "1", 0
    columns = ("averages_ema", "averages_mean")

    def expressions(self, context):
        mean = sum(CLOSE.shift(i) for i in range(20)) / 20
        return {"averages_ema": CLOSE.ewm_mean(span=9), "averages_mean": mean}


@dataclass
class Cost:
    """Statements, inserts among them, and what the engine read from tables for them."""

    statements: int = 0
    inserts: int = 0
    rows: int = 0
    bytes: int = 0
    seen: list[str] = field(default_factory=list)

    def reset(self):
        self.statements = self.inserts = self.rows = self.bytes = 0


class Counting:
    """The engine's connection, with an eye on what each query reads."""

    def __init__(self, conn, cost):
        self._conn, self._cost = conn, cost

    def __getattr__(self, name):
        return getattr(self._conn, name)

    def query(self, *args, **options):
        found = self._conn.query(*args, **options)
        self._cost.rows += found.storage_rows_read()
        self._cost.bytes += found.storage_bytes_read()
        return found


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    with BarStore.connect(f"chdb://{tmp_path_factory.mktemp('counts') / 'db'}") as opened:
        yield opened


@pytest.fixture
def store(database, request):
    name = request.node.name.partition("[")[0]
    with BarStore.connect(database._connection.address.url, table=f"{name}.t", retry=FAST) as made:
        yield made
        made.client.command(f"DROP DATABASE IF EXISTS {name}")


@pytest.fixture
def cost(store, monkeypatch):
    counted = Cost()
    for kind in ("rows", "arrow", "command", "insert"):
        original = getattr(Connection, kind)

        def spy(self, *args, original=original, kind=kind, **options):
            counted.statements += 1
            counted.inserts += kind == "insert"
            return original(self, *args, **options)

        monkeypatch.setattr(Connection, kind, spy)
    handle = store.client._backend._handle
    monkeypatch.setattr(handle, "conn", Counting(handle.conn, counted))
    return counted


def many_bars(rows: int) -> pa.Table:
    return make_bars(rows, step_ms=MINUTE_MS)


def series_of(count: int, rows: int) -> pa.Table:
    bars = many_bars(rows)
    symbols = pa.array(np.repeat([f"S{i:04}" for i in range(count)], rows))
    table = pa.concat_tables([bars] * count).append_column("symbol", symbols)
    return table.append_column("threshold_decimal_bps", pa.array([250] * table.num_rows))


def test_steady_write_of_one_bar(store, cost):
    bars = many_bars(12)
    store.write(bars.slice(0, 2), **SERIES)
    cost.reset()
    for row in range(2, 12):
        store.write(bars.slice(row, 1), **SERIES)
    assert cost.statements <= 10 * 3
    assert cost.inserts <= 10 * 2
    assert store.count("BTCUSDT", 250) == 12


@pytest.mark.slow
def test_write_of_many_small_series(store, cost):
    store.ensure_table()
    cost.reset()
    store.write(series_of(200, 3))
    assert cost.inserts <= 1.2 * 200
    assert cost.statements - cost.inserts <= 20
    assert [one.rows for one in store.series()] == [3] * 200


def test_job_with_nothing_new(store, cost):
    enricher = rbe.Enricher([Averages()])
    store.write(series_of(20, 5))
    assert sum(one.result.rows for one in store.backfill(enricher)) == 100
    store.backfill(enricher)
    cost.reset()
    assert {one.result.rows for one in store.backfill(enricher)} == {0}
    assert cost.statements <= 5


@pytest.mark.slow
def test_job_with_a_few_new_bars_of_a_long_series(store, cost):
    enricher, rows = rbe.Enricher([Averages()]), 60_000
    bars = many_bars(rows + 20)
    store.write(bars.slice(0, rows), **SERIES)
    assert store.backfill(enricher)[0].result.rows == rows
    for start in (rows, rows + 10):
        store.write(bars.slice(start, 10), **SERIES)
        cost.reset()
        assert store.backfill(enricher)[0].result.rows == 10
        assert cost.rows <= 10 + 20 + 1000
        assert cost.bytes <= 1_000_000
    stored = store.read("BTCUSDT", 250, columns=list(enricher.columns))
    assert stored.equals(enricher.run(bars, **SERIES).table.select(enricher.columns))


def test_read_of_the_last_bars(store, cost):
    store.write(many_bars(100_000), **SERIES)
    cost.reset()
    assert store.read("BTCUSDT", 250, last=3).num_rows == 3
    assert cost.rows <= 20_000


def test_read_in_batches_costs_what_one_read_costs(store, cost):
    store.write(many_bars(300_000), **SERIES)
    cost.reset()
    whole = store.read("BTCUSDT", 250, columns=["close_time_ms", "close"])
    once = cost.rows
    cost.reset()
    batches = list(
        store.read_batches("BTCUSDT", 250, rows=7_000, columns=["close_time_ms", "close"])
    )
    assert cost.rows <= 1.2 * once
    assert pa.Table.from_batches(batches).equals(whole)


def test_correction_rewrites_what_it_reaches(store):
    class Mean(Averages):
        name, columns = "mean", ("mean_5",)

        def expressions(self, context):
            return {"mean_5": sum(CLOSE.shift(i) for i in range(5))}

    enricher, bars = rbe.Enricher([Mean()]), many_bars(10_010)
    store.write(bars.slice(0, 10_000), **SERIES)
    store.backfill(enricher)
    changed = bars.slice(50, 1)
    volume = pa.array([changed["volume"][0].as_py() + 1])
    store.write(changed.set_column(6, "volume", volume), **SERIES)
    store.write(bars.slice(10_000), **SERIES)
    result = store.backfill(enricher)[0].result
    assert (result.rows, dict(result.providers)) == (5 + 10, {"mean": 15})
