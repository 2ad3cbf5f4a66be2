"""Writes through faults: the final table equals the expected one exactly.

The server is the stand-in (`standin_server.py`), told to fail in seeded schedules. What is
promised: no row lost, none doubled, none changed, whatever happens to single requests, as long
as a call that raised is repeated until it returns.
"""

from __future__ import annotations

import random
import threading
import types
import uuid

import pyarrow as pa
import pytest
from urllib3 import Timeout

from rangebar_enrich.clickhouse import BarStore, RetryPolicy
from rangebar_enrich.clickhouse.columns import COLUMNS, Role
from rangebar_enrich.clickhouse.identifiers import TableName
from rangebar_enrich.clickhouse.schema import column_sql, create_table_sql
from rangebar_enrich.errors import StoreError

SCHEDULES = 204
PER_TEST = 12
READ_TIMEOUT = 0.6
FAULTS = [
    *["503", "429", "500", "code:252", "code:241", "code:202", "code:999"],
    *["reset-before", "reset-during", "reset-after", "lost-reply", "lost-reply"],
]
SLOW = [f"late:{READ_TIMEOUT * 1.4}", f"late-reply:{READ_TIMEOUT * 1.4}"]
PATIENT = RetryPolicy(attempts=6, seconds=30, first_wait=0.001, longest_wait=0.01)
PROVIDERS = [("momentum", "1.0"), ("trend", "2.0")]
DAY_MS = 24 * 3_600_000


def open_store(server, database: str) -> BarStore:
    store = BarStore.connect(server.url, table=f"{database}.range_bars", retry=PATIENT)
    store.ensure_table()
    store.client.timeout = Timeout(connect=2, read=READ_TIMEOUT)
    return store


@pytest.fixture(scope="module")
def database(standin):
    name = f"faults_{uuid.uuid4().hex}"
    yield name
    with BarStore.connect(standin.url) as cleaner:
        cleaner.client.command(f"DROP DATABASE IF EXISTS {name}")


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    """Take the waits out of clickhouse-connect's own reconnects; the store's are short here."""
    hasty = types.SimpleNamespace(sleep=lambda _: None)
    monkeypatch.setattr("clickhouse_connect.driver._backend.http_sync.time", hasty)


def make_narrow_table(server, database: str) -> None:
    """Make the table without its 70 optional columns, as an older program might: it is faster."""
    sql = create_table_sql(TableName(f"{database}.range_bars"))
    for column in COLUMNS:
        if column.role is Role.BAR:
            sql = sql.replace(f"{column_sql(column)}, ", "")
    with BarStore.connect(server.url) as maker:
        maker.client.command(f"CREATE DATABASE {database}")
        maker.client.command(sql)


@pytest.fixture(scope="module")
def store(standin, database):
    make_narrow_table(standin, database)
    with open_store(standin, database) as opened:
        opened.migrate(["momentum_x", "trend_x"])
        yield opened


def make_plan(rng: random.Random) -> list[str]:
    rate = rng.choice([0.1, 0.3, 0.5])
    plan = [rng.choice(FAULTS) if rng.random() < rate else "ok" for _ in range(60)]
    if rng.random() < 0.12:
        plan[rng.randrange(12)] = rng.choice(SLOW)
    return plan


def make_batch(rng: random.Random, make_bars) -> pa.Table:
    """A few bars, over one to three months, with the features of some providers, some failed."""
    features = {
        f"{name}_x": (name, version, rng.choice(["ok", "ok", "failed"]))
        for name, version in PROVIDERS
        if rng.random() < 0.6
    }
    days = rng.choice([1, 1, 9])
    bars = make_bars(rng.randrange(2, 12), step_ms=days * DAY_MS, seed=0, **features)
    first = rng.randrange(bars.num_rows)
    return bars.slice(0, rng.randrange(1, 12)) if rng.random() < 0.7 else bars.slice(first)


def insist(write) -> int:
    """Repeat a call until it returns, as the owner of a pipeline does; count the calls."""
    for calls in range(1, 60):
        try:
            write()
        except StoreError:
            continue
        return calls
    pytest.fail("a write never succeeded")


def expect(model: dict, batch: pa.Table) -> None:
    """Apply a batch to the expected table: what it does not bring stays."""
    for field in batch.schema:
        if (field.metadata or {}).get(b"status") == b"failed":
            batch = batch.drop_columns([field.name])
    for row in batch.to_pylist():
        model.setdefault(row["close_time_ms"], {"momentum_x": None, "trend_x": None}).update(row)


def assert_table_is(store: BarStore, symbol: str, model: dict) -> None:
    names = ["close_time_ms", "open_time_ms", "open", "high", "low", "close", "volume"]
    names += ["momentum_x", "trend_x"]
    expected = [{name: model[time][name] for name in names} for time in sorted(model)]
    assert store.read(symbol, 250, columns=names).to_pylist() == expected
    sql = f"SELECT count(), uniqExact(close_time_ms, computed_at) FROM {store.table}"  # noqa: S608
    found = store.client.query(f"{sql} WHERE symbol = {{s:String}}", parameters={"s": symbol})
    inserted, distinct = found.result_rows[0]
    assert inserted == distinct


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(first, marks=[pytest.mark.slow] if first > PER_TEST else [])
        for first in range(0, SCHEDULES, PER_TEST)
    ],
)
def test_faults_never_change_the_outcome(standin, store, make_bars, first):
    for seed in range(first, first + PER_TEST):
        rng = random.Random(seed)
        symbol, model = f"S{seed}", {}
        for batch in [make_batch(rng, make_bars) for _ in range(rng.randrange(1, 3))]:
            standin.fault(make_plan(rng))
            verify = rng.random() < 0.3
            insist(
                lambda batch=batch, verify=verify, symbol=symbol: store.write(
                    batch, symbol=symbol, threshold_decimal_bps=250, verify=verify
                )
            )
            expect(model, batch)
        standin.fault([])
        assert_table_is(store, symbol, model)


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(n, marks=pytest.mark.slow) for n in range(2, 8))]
)
def test_two_writers_keep_each_others_features(standin, database, store, make_bars, seed):
    rng = random.Random(1000 + seed)
    symbol, model = f"T{seed}", {}
    batches = [make_bars(9, momentum_x=PROVIDERS[0]), make_bars(9, trend_x=PROVIDERS[1])]
    stores = [open_store(standin, database) for _ in batches]
    standin.fault(make_plan(rng) if seed else [])
    failures: list[BaseException] = []

    def write(own, batch) -> None:
        try:
            with own:
                for _ in range(2):
                    insist(lambda: own.write(batch, symbol=symbol, threshold_decimal_bps=250))
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failures.append(error)

    writers = [
        threading.Thread(target=write, args=pair) for pair in zip(stores, batches, strict=True)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    standin.fault([])
    assert failures == []
    for batch in batches:
        expect(model, batch)
    assert_table_is(store, symbol, model)
