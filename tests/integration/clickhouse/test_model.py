"""The daily job against a model: any sequence of writes, crashes and writers beside each other.

A schedule is thirty operations or more, drawn by a seed: bars written, corrected, inserted
between others and before them, features that came with them, rows that another program
inserted, deletions, backfills with versions that change and a provider that fails; statements
fail before they are sent or after they were done, and a second writer acts between any two
of them. The model is a plain mapping from close time to bar.

At every step `outdated` counts at least the rows whose features differ from those of one run
over the stored bars; after a last backfill there are none, and the bars are those of the model.
"""

from __future__ import annotations

import contextlib
import os
import random
import time

import polars as pl
import pyarrow as pa
import pytest

import rangebar_enrich as rbe
from rangebar_enrich.clickhouse import BarStore, RetryPolicy
from rangebar_enrich.clickhouse.columns import COLUMNS, Role
from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.identifiers import TableName
from rangebar_enrich.clickhouse.schema import column_sql, create_table_sql
from rangebar_enrich.errors import StoreError

OPERATIONS = 30
# A schedule takes some five seconds: a few in every run of all tests, hundreds where they are asked for.
SCHEDULES = int(os.environ.get("RANGEBAR_ENRICH_SCHEDULES", "8"))
PLACES = 60
STEP_MS = 11 * 3_600_000
START_MS = 1_704_067_200_000
SERIES = {"symbol": "MODEL", "threshold_decimal_bps": 250}
BARS = ("open", "high", "low", "close", "volume")
ONCE = RetryPolicy(attempts=1, seconds=30)
HASTY = RetryPolicy(attempts=1, seconds=0.02)
CLOSE = pl.col("close")


class Provider:
    def __init__(self, name, version, *, min_bars=0, fails=False, **exprs):
        self.name, self.version, self.min_bars = name, version, min_bars
        self.exprs = {f"{name}_{key}": expr for key, expr in exprs.items()}
        self.columns, self.fails = tuple(self.exprs), fails

    def expressions(self, context):
        if self.fails:
            msg = "told to fail"
            raise ValueError(msg)
        return self.exprs


def providers(versions, *, fails=False):
    """A window, a recursion, one that reads the window, and one that fails at times."""
    return [
        Provider("window", versions[0], min_bars=3, sum=sum(CLOSE.shift(i) for i in range(4))),
        Provider("total", versions[1], ema=CLOSE.ewm_mean(span=3), sum=pl.col("volume").cum_sum()),
        Provider("above", "1", twice=pl.col("window_sum") * 2),
        Provider("moody", "1", fails=fails, step=CLOSE - CLOSE.shift(1)),
    ]


def bar(place: int, rng: random.Random) -> dict:
    close = 100 + rng.randrange(1, 80) / 8
    opened = 100 + rng.randrange(1, 80) / 8
    closed_ms = START_MS + STEP_MS * (place + 1)
    return {
        "close_time_ms": closed_ms,
        "open_time_ms": closed_ms - STEP_MS,
        "open": opened,
        "high": max(opened, close) + 1,
        "low": min(opened, close) - 1,
        "close": close,
        "volume": rng.randrange(1, 40) / 4,
    }


class CrashError(Exception):
    """The process of the model dies here."""


class Wire:
    """Fails a statement before or after it, and lets another writer act between two."""

    def __init__(self, monkeypatch):
        self.plan, self.between, self.busy = {}, {}, False
        self.count = 0
        for kind in ("rows", "arrow", "command", "insert"):
            original = getattr(Connection, kind)
            monkeypatch.setattr(Connection, kind, self.wrapped(original))

    def wrapped(self, original):
        def call(connection, *args, **options):
            if self.busy:
                return original(connection, *args, **options)
            self.count += 1
            if self.count in self.between:
                self.aside(self.between.pop(self.count))
            fault = self.plan.pop(self.count, None)
            if fault == "before":
                raise CrashError
            found = original(connection, *args, **options)
            if fault == "after":
                raise CrashError
            return found

        return call

    def aside(self, act):
        self.busy = True
        try:
            act()
        finally:
            self.busy = False

    def arm(self, rng, act):
        """Draw what happens during the next operation."""
        self.plan, self.between, self.count = {}, {}, 0
        if rng.random() < 0.25:
            self.plan[rng.randrange(1, 14)] = rng.choice(["before", "after"])
        elif rng.random() < 0.35:
            self.between[rng.randrange(1, 14)] = act

    def disarm(self):
        self.plan, self.between = {}, {}


class Model:
    """What the table should hold, and the operations on both."""

    def __init__(self, url, database, wire, rng):
        self.url, self.table, self.wire, self.rng = url, f"{database}.t", wire, rng
        self.bars: dict[int, dict] = {}
        self.drawn: list[tuple[dict, bool]] = []
        self.unsure: dict[int, list] = {}
        self.versions, self.fails = ["1", "1"], False
        self.store = self.other = None
        self.open()

    def open(self):
        self.store = BarStore.connect(self.url, table=self.table, retry=ONCE)
        self.other = BarStore.connect(self.url, table=self.table, retry=HASTY)

    @property
    def enricher(self):
        return rbe.Enricher(providers(self.versions, fails=self.fails))

    # -- operations

    def write(self, store=None, *, features=None):
        made = self.draw()
        table = pa.Table.from_pylist(made)
        if self.rng.random() < 0.3 if features is None else features:
            table = self.enricher.run(table, **SERIES).table
        number = len(self.drawn)
        self.drawn += [(row, False) for row in made]
        (store or self.store).write(table, **SERIES)
        self.drawn[number : number + len(made)] = [(row, True) for row in made]

    def draw(self) -> list[dict]:
        """Return bars at the end, in between, before, or in place of others."""
        rng = self.rng
        taken = sorted((t - START_MS) // STEP_MS - 1 for t in self.bars)
        kind = rng.choice(["end", "end", "gap", "any", "change"])
        last = taken[-1] + 1 if taken else rng.randrange(20)
        first = {"end": last, "gap": last + 2}.get(kind, rng.randrange(PLACES))
        if kind == "change" and taken:
            first = rng.choice(taken)
        return [bar(place, rng) for place in range(first, first + rng.randrange(1, 6))]

    def settle(self):
        """Note what an operation did: which of two writers came last, or if one did, shows."""
        by_time: dict[int, list] = {}
        for row, is_done in self.drawn:
            by_time.setdefault(row["close_time_ms"], []).append((row, is_done))
        for time_ms, some in by_time.items():
            options = [row for row, _ in some]
            if len(some) == 1 and some[0][1]:
                self.bars[time_ms] = options[0]
                self.unsure.pop(time_ms, None)
            else:
                old = [] if any(is_done for _, is_done in some) else [self.bars.get(time_ms)]
                self.unsure[time_ms] = [*old, *self.unsure.get(time_ms, []), *options]
        self.drawn = []

    def write_aside(self):
        with contextlib.suppress(StoreError):
            self.write(self.other)

    def insert_foreign(self):
        """Insert rows as a program does that knows nothing of ours."""
        self.pause()
        rows = self.draw()[:3]
        names = ", ".join(rows[0])
        values = ", ".join(f"('MODEL', 250, {', '.join(map(repr, r.values()))})" for r in rows)
        into = f"INSERT INTO {self.table} (symbol, threshold_decimal_bps, {names}) VALUES"
        sql = f"{into} {values}"
        self.store.client.command(sql)
        self.drawn += [(row, True) for row in rows]
        self.pause()

    def pause(self):
        """Let the clock go on: two programs that write a bar in one millisecond have no order."""
        time.sleep(0.004)

    def delete(self):
        self.learn()
        if not self.bars:
            return
        gone = self.rng.choice(sorted(self.bars))
        sql = f"DELETE FROM {self.table} WHERE close_time_ms = {gone}"  # noqa: S608 - a number
        self.store.client.command(sql)
        self.bars.pop(gone)
        self.drawn = [one for one in self.drawn if one[0]["close_time_ms"] != gone]
        self.check = True

    check = False

    def backfill(self):
        rows = self.rng.choice([3, 7, 100])
        self.store.backfill(self.enricher, rows=rows, check=self.check)
        self.check = False

    def bump(self):
        self.versions[self.rng.randrange(2)] = str(self.rng.randrange(1, 4))

    def change_mood(self):
        self.fails = not self.fails

    def read_and_write(self):
        """What a user does by hand: read, enrich, write; another writer may come between."""
        found = self.store.read("MODEL", 250)
        if not found.num_rows:
            return
        made = self.enricher.run(found, **SERIES).table
        if self.rng.random() < 0.5:
            self.wire.aside(self.rng.choice([self.write_aside, self.insert_foreign]))
        self.store.write(made, **SERIES)

    def crash(self):
        """The process ends: what it held is left as it is."""
        self.open()

    # -- what must hold

    def learn(self):
        """Look which of the rows that may have arrived are there."""
        stored = {row["close_time_ms"]: row for row in self.stored().to_pylist()}
        for time_ms, options in self.unsure.items():
            found = stored.get(time_ms)
            assert any(same(found, one) for one in options), time_ms
            if found is None:
                self.bars.pop(time_ms, None)
            else:
                self.bars[time_ms] = {name: found[name] for name in ("close_time_ms", *BARS)}
        self.unsure = {}

    def stored(self):
        return self.store.read("MODEL", 250, plugin_features=True)

    def verify(self, *, finished=False):
        self.learn()
        stored = self.stored()
        assert stored["close_time_ms"].to_pylist() == sorted(self.bars)
        for row in stored.to_pylist():
            assert same(row, self.bars[row["close_time_ms"]])
        enricher = rbe.Enricher(providers(self.versions))
        fresh = enricher.run(self.store.read("MODEL", 250), **SERIES).table
        lookbacks = {"window": 3, "total": None, "above": 3, "moody": 1}
        for made in enricher.declarations:
            wrong = set()
            for column in made.columns:
                if column in stored.column_names:
                    pairs = zip(stored[column].to_pylist(), fresh[column].to_pylist(), strict=True)
                    wrong |= {i for i, (a, b) in enumerate(pairs) if a != b}
                else:
                    wrong |= set(range(stored.num_rows))
            told = self.store.outdated(
                "MODEL",
                250,
                provider=made.name,
                version=made.version,
                lookback=lookbacks[made.name],
            )
            if made.name != "above":  # what it reads may be outdated, which its own rows don't say
                assert told.rows >= len(wrong), (made.name, sorted(wrong))
            if finished:
                assert (told.rows, sorted(wrong)) == (0, []), made.name


def same(found, expected) -> bool:
    if found is None or expected is None:
        return found is expected
    return all(found[name] == expected[name] for name in BARS)


OPERATE = {
    "write": 6,
    "backfill": 6,
    "insert_foreign": 2,
    "read_and_write": 2,
    "write_aside": 1,
    "bump": 1,
    "change_mood": 1,
    "delete": 1,
    "crash": 1,
}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    address = f"chdb://{tmp_path_factory.mktemp('model') / 'db'}"
    with BarStore.connect(address):
        yield address


@pytest.fixture
def wire(monkeypatch):
    return Wire(monkeypatch)


def make_narrow_table(store) -> None:
    """Make the table without its optional columns, as an older program might: it is faster."""
    sql = create_table_sql(TableName(store.table))
    for column in COLUMNS:
        if column.role is Role.BAR:
            sql = sql.replace(f"{column_sql(column)}, ", "")
    store.client.command(f"CREATE DATABASE {store.table.partition('.')[0]}")
    store.client.command(sql)
    store.ensure_table()


def run_schedule(url, wire, seed: int) -> None:
    rng = random.Random(seed)
    model = Model(url, f"model_{seed}", wire, rng)
    make_narrow_table(model.store)
    try:
        for _ in range(OPERATIONS + rng.randrange(10)):
            name = rng.choices(list(OPERATE), weights=OPERATE.values())[0]
            wire.arm(rng, rng.choice([model.write_aside, model.insert_foreign]))
            try:
                getattr(model, name)()
            except (CrashError, StoreError):
                wire.disarm()
                model.crash()
            wire.disarm()
            model.settle()
            if rng.random() < 0.15:
                model.verify()
        model.fails = False
        for _ in range(2):
            model.store.backfill(model.enricher, retry_failed=True, check=model.check)
            model.check = False
        model.verify(finished=True)
        told = model.store.backfill(model.enricher)
        assert all(one.result.rows == 0 for one in told)
    finally:
        wire.disarm()
        model.store.client.command(f"DROP DATABASE IF EXISTS model_{seed}")


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3))])
def test_any_schedule_ends_with_one_runs_features(url, wire, seed):
    run_schedule(url, wire, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10_000, 10_000 + SCHEDULES))
def test_every_schedule_ends_with_one_runs_features(url, wire, seed):
    run_schedule(url, wire, seed)
