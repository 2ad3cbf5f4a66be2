"""Leases over a table in memory, with a clock that the test sets."""

from __future__ import annotations

import itertools

import pytest

from rangebar_enrich.clickhouse import chain, lease
from rangebar_enrich.clickhouse.identifiers import TableName
from rangebar_enrich.clickhouse.lease import Leases
from rangebar_enrich.clickhouse.retry import RetryCount, RetryPolicy
from rangebar_enrich.errors import WriteFailedError, WriteRefusedError

KEY, OTHER = ("BTCUSDT", 250), ("ETHUSDT", 100)


class Clock:
    """One clock for both sides; `sleep` lets it go on."""

    def __init__(self):
        self.now = 1_700_000_000.0

    def time(self):
        return self.now

    monotonic = time

    def sleep(self, seconds):
        self.now += max(seconds, 0.01)


class Table:
    """What the server does with the table of leases: a token counts once, the last state wins."""

    is_embedded = False

    def __init__(self, clock):
        self.clock, self.rows_of, self.tokens = clock, {}, set()
        self.retry, self.address = RetryPolicy(attempts=1, seconds=5), self
        self.statements = 0
        self.order = itertools.count()

    def rows(self, sql, params=None):
        self.statements += 1
        now = int(self.clock.now * 1000)
        found = [(*key, *max(rows)[2:], now) for key, rows in self.rows_of.items()]
        wanted = params.get("symbols") or [params["symbol"]]
        return [row for row in found if row[0] in wanted] + [("", 0, 0, "", 0, 0, 0, now)]

    def insert(self, table, rows, count=None, *, insert_deduplication_token, **settings):
        self.statements += 1
        if insert_deduplication_token in self.tokens:
            return
        self.tokens.add(insert_deduplication_token)
        for row in rows.to_pylist():
            key = (row["symbol"], row["threshold_decimal_bps"])
            ends = int(self.clock.now * 1000) + row["lease_ms"]
            made = (row["state"], row["holder"], row["computed_at_ms"], ends, row["overtaken"])
            place = (row["state"], next(self.order))
            self.rows_of.setdefault(key, []).append((*place, *made))


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(chain, "time", made)
    monkeypatch.setattr(lease, "time", made)
    return made


@pytest.fixture
def table(clock):
    return Table(clock)


def open_leases(table, *, process=None, monkeypatch=None, seconds=30.0):
    """Return the leases of a store, of another process where one is named."""
    made = Leases(table, TableName("db.t"), seconds)
    if process is not None:
        made.holder = f"{process}:1"
    return made


def hold(leases, *keys):
    return leases.hold(keys or [KEY], RetryCount())


def test_a_lease_is_kept_for_the_next_call(table):
    mine = open_leases(table)
    with hold(mine) as first:
        before = table.statements
    with hold(mine) as second:
        assert second.stamp_ms > first.stamp_ms
        assert second.lost() == []
    assert table.statements == before


def test_a_lease_is_let_go_after_a_third_of_its_time(table, clock):
    mine, other = open_leases(table), open_leases(table, process="other")
    with hold(mine) as held:
        clock.sleep(11)
    began = clock.now
    with hold(other) as taken:
        assert taken.stamp_ms > held.stamp_ms
    assert clock.now == began


def test_another_process_waits_for_the_lease_to_end(table, clock):
    mine, other = open_leases(table, process="first", seconds=3), open_leases(table)
    with hold(mine) as held:
        pass
    ended = clock.now + 3
    with hold(other) as taken:
        assert clock.now >= ended
        assert taken.stamp_ms >= ended * 1000 - 1
        assert taken.stamp_ms > held.stamp_ms
        assert taken.margin_ms == 2


def test_another_store_of_the_process_gets_it_at_once(table, clock):
    mine, other = open_leases(table), open_leases(table)
    with hold(mine) as held:
        turn = held.turn(KEY)
    began = clock.now
    with hold(other) as taken:
        assert (clock.now, taken.margin_ms) == (began, 1)
        assert taken.stamp_ms > held.stamp_ms
    with hold(mine) as again:
        assert again.stamp_ms > taken.stamp_ms
        assert again.turn(KEY) == turn + 2


def test_patience_ends(table):
    mine, other = open_leases(table), open_leases(table)
    with hold(mine), pytest.raises(WriteFailedError, match=r"has held BTCUSDT@250 for more than 5"):
        hold(other).__enter__()


def test_a_writer_that_slept_finds_out(table, clock):
    slow = open_leases(table, process="slow", seconds=2)
    quick = open_leases(table)
    with hold(slow) as held:
        clock.sleep(2.5)
        with hold(quick) as taken:
            pass
        assert held.stamp_ms < taken.stamp_ms
        held.renew()
        assert held.lost() == [KEY]
        held.acquire([KEY])
        assert held.stamp_ms > taken.stamp_ms
        assert held.lost() == []


def test_a_stamp_goes_beyond_what_is_stored(table, clock):
    mine = open_leases(table)
    far = int(clock.now * 1000) + 3_600_000
    with hold(mine) as held:
        held.acquire([], after_ms=far)
        assert held.stamp_ms == far + 1
    with hold(mine) as again:
        assert again.stamp_ms > far + 1


def test_many_leases_are_taken_together(table):
    mine = open_leases(table)
    with hold(mine, *((f"S{i:03}", 1) for i in range(50))) as held:
        assert len({mine.held[key].last_ms for key in held.keys}) == 1
    assert table.statements == 50 + 2


def test_two_stores_never_hold_one_series(table):
    mine, other = open_leases(table), open_leases(table, process="other")
    with hold(mine, KEY), hold(other, OTHER) as second:
        assert second.lost() == []
    with pytest.raises(WriteFailedError, match="has held"), hold(mine, KEY):
        hold(other, KEY, OTHER).__enter__()


def test_release_lets_others_in(table, clock):
    mine, other = open_leases(table, process="first"), open_leases(table)
    with hold(mine):
        pass
    mine.release_all()
    began = clock.now
    with hold(other) as taken:
        assert (clock.now, taken.margin_ms) == (began, 1)


def test_a_clock_far_ahead_is_refused(table, clock, monkeypatch):
    mine = open_leases(table)
    monkeypatch.setattr(clock, "time", lambda: clock.now + 2 * 86_400)
    with pytest.raises(WriteRefusedError, match="ahead of the database's by more than a day"):
        hold(mine).__enter__()
