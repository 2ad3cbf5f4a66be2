"""Claims: one writer at a time for each (symbol, threshold), and a clock that never goes back.

A write that keeps other providers' stored values reads them first. Between that read and its
insert no other writer may change the rows, and ClickHouse has no transaction for it. So each
series has a chain of claims in a small table. Claim n + 1 is an insert whose deduplication
token names n + 1: the server takes the first and drops the others, which makes it an atomic
compare-and-swap. Each claim carries the `computed_at` of the rows that will be written under
it, greater than the one before. So a writer that was overtaken (it slept through its lease)
can never replace a later writer's rows, and it finds out afterwards, and writes again.

Leases only say how long others wait politely. No guarantee rests on a clock.
"""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pyarrow as pa
import xxhash

from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.identifiers import Sql, TableName, compose
from rangebar_enrich.clickhouse.retry import RetryCount
from rangebar_enrich.errors import WriteFailedError, message

logger = logging.getLogger(__name__)

Claimed = tuple[str, int]
"""What is claimed: symbol and threshold, all modes of it."""

LEASE_SECONDS = 30.0
_PROCESS = uuid.uuid4().hex
_OVER: set[str] = set()
"""Holders of this process whose call has ended although their release did not arrive."""

_CREATE = """
CREATE TABLE IF NOT EXISTS $table (
    symbol String, threshold_decimal_bps UInt32, state UInt64, holder String, computed_at_ms Int64,
    lease_ms UInt32, at DateTime64(3, 'UTC') DEFAULT now64(3)
) ENGINE = ReplacingMergeTree(state) ORDER BY (symbol, threshold_decimal_bps)
SETTINGS non_replicated_deduplication_window = 10000
"""
_STATE = """
SELECT symbol, threshold_decimal_bps, max(state), argMax(holder, (state, at)),
    argMax(computed_at_ms, (state, at)),
    argMax(at + toIntervalMillisecond(lease_ms), (state, at)) > now64(3)
FROM $table $where GROUP BY symbol, threshold_decimal_bps
"""
_ONE = "WHERE symbol = {symbol:String} AND threshold_decimal_bps = {threshold:UInt32}"
_SETTINGS = {"async_insert": 0, "optimize_on_insert": 0, "insert_deduplicate": 1}


@dataclass(frozen=True, slots=True)
class State:
    """The last link of a series' chain.

    Attributes:
        state: Twice the claim's number, plus 1 when released; 0 before the first.
        holder: Who made the claim.
        computed_at_ms: `computed_at` of rows written under it, ms.
        is_live: Whether its lease still runs, by the database's clock.
    """

    state: int = 0
    holder: str = ""
    computed_at_ms: int = 0
    is_live: bool = False

    @property
    def is_held(self) -> bool:
        """Whether a writer may be at work under it."""
        return self.state % 2 == 0 and self.is_live


KnownClaims = dict[Claimed, State]
"""Ends of chains, as one store last saw them."""


class Claims:
    """Claims of one `write` call.

    Args:
        connection: The database.
        table: The bar table.
        count: Takes the retries.
        known: Where each chain ended when this store last let go of it. It may be out of date:
            then the next claim is dropped by the server, and the chain is read.
        lease_seconds: How long others wait for a writer that gives no sign of life.
    """

    def __init__(
        self,
        connection: Connection,
        table: TableName,
        count: RetryCount,
        *,
        known: KnownClaims,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._connection = connection
        self._table = claims_table(table)
        self._count = count
        self._known = known
        self._lease = lease_seconds
        self._holder = f"{_PROCESS}:{uuid.uuid4().hex}"
        self._held: dict[Claimed, State] = {}
        self._tried: set[Claimed] = set()
        self._renewed = time.monotonic()

    @property
    def computed_at_ms(self) -> int:
        """`computed_at` of the rows written under these claims: one for the whole call."""
        return max((state.computed_at_ms for state in self._held.values()), default=0)

    def acquire(self, keys: Iterable[Claimed], *, after_ms: int = 0) -> None:
        """Claim every key, waiting for others in a fixed order, so that no two wait in a circle.

        Args:
            keys: What to claim; a key held already gets a new claim.
            after_ms: `computed_at` must be later than this.

        Raises:
            WriteFailedError: Another writer held one for longer than the retry policy waits.
        """
        wanted = sorted(set(keys))
        known = {key: self._known.pop(key, None) for key in wanted}
        states = {key: state for key, state in known.items() if state is not None}
        if len(states) < len(wanted):
            states = self._states(wanted)
        last = max([after_ms, self.computed_at_ms, *(s.computed_at_ms for s in states.values())])
        at = max(int(time.time() * 1000), last + 1)
        for key in wanted:
            self._acquire_one(key, states[key], at)
        self._level()
        self._renewed = time.monotonic()

    def _level(self) -> None:
        """Give all claims the latest `computed_at` of them: waiting may have moved some."""
        while behind := [
            k for k, s in self._held.items() if s.computed_at_ms < self.computed_at_ms
        ]:
            for key in sorted(behind):
                self._acquire_one(key, self._held[key], self.computed_at_ms)

    def _acquire_one(self, key: Claimed, found: State, at: int) -> None:
        deadline = time.monotonic() + self._connection.retry.seconds
        skipped = 0
        while True:
            if not self._must_wait(found):
                # NOTE: a later claim always has a later computed_at, whatever the clocks say.
                stamp = max(at, found.computed_at_ms + 1)
                number = found.state // 2 + 1 + skipped
                mine = State(2 * number, self._holder, stamp, is_live=True)
                self._tried.add(key)
                self._insert([(key, mine)], token=self._token(key, number))
                found = self._states([key])[key]
                if found.holder == self._holder and found.state == mine.state:
                    self._held[key] = mine
                    return
                # NOTE: a token that the server knows although its row is gone is passed over.
                skipped = skipped + 1 if found.state < mine.state else 0
            if time.monotonic() > deadline:
                raise self._occupied(key)
            if self._must_wait(found):
                logger.info("waiting for another writer of %s@%d", *key)
                time.sleep(random.uniform(0.005, 0.05))  # noqa: S311 - jitter, not a secret
                found = self._states([key])[key]

    def _must_wait(self, found: State) -> bool:
        if not found.is_held or found.holder == self._holder or found.holder in _OVER:
            return False
        # NOTE: an embedded database has one process: a holder of another one is dead.
        embedded = self._connection.address.is_embedded
        return not (embedded and not found.holder.startswith(_PROCESS))

    def _occupied(self, key: Claimed) -> WriteFailedError:
        seconds = self._connection.retry.seconds
        msg = message(
            f"Another writer has held {key[0]}@{key[1]} for more than {seconds:g} s.",
            hint="repeat the call when that writer is done; nothing of this one was written.",
        )
        return WriteFailedError(msg)

    def renew(self) -> None:
        """Tell others that the writer lives; cheap to call often."""
        if time.monotonic() - self._renewed > self._lease / 3:
            self._insert(list(self._held.items()))
            self._renewed = time.monotonic()

    def lost(self) -> list[Claimed]:
        """Return the keys that another writer has claimed since: their rows must be redone."""
        states = self._states(sorted(self._held))
        return [key for key, mine in self._held.items() if states[key].state != mine.state]

    def release(self) -> None:
        """Let others claim the keys; nothing of this call is written any more."""
        _OVER.add(self._holder)
        done = [(key, replace(mine, state=mine.state + 1)) for key, mine in self._held.items()]
        unsure = self._tried - self._held.keys()
        self._held.clear()
        if done:
            self._insert(done)
            self._known.update(done)
        if not unsure:  # a claim whose reply was lost may stand in the table
            _OVER.discard(self._holder)

    def _states(self, keys: list[Claimed]) -> dict[Claimed, State]:
        """Read the chains' ends; of many keys, all that there are: one row each."""
        sql, params = compose(_STATE, table=self._table.sql, where=_where(keys)), None
        if len(keys) == 1:
            params = {"symbol": keys[0][0], "threshold": keys[0][1]}
        found = {
            (row[0], row[1]): State(row[2], row[3], row[4], is_live=bool(row[5]))
            for row in self._connection.rows(sql, params)
        }
        return {key: found.get(key, State()) for key in keys}

    def _token(self, key: Claimed, number: int) -> str:
        return xxhash.xxh3_128(f"{key[1]}/{number}/{key[0]}".encode()).hexdigest()

    def _insert(self, rows: list[tuple[Claimed, State]], token: str | None = None) -> None:
        count = len(rows)
        table = pa.table(
            {
                "symbol": [key[0] for key, _ in rows],
                "threshold_decimal_bps": pa.array([key[1] for key, _ in rows], pa.uint32()),
                "state": pa.array([state.state for _, state in rows], pa.uint64()),
                "holder": [state.holder for _, state in rows],
                "computed_at_ms": pa.array([state.computed_at_ms for _, state in rows], pa.int64()),
                "lease_ms": pa.array([int(self._lease * 1000)] * count, pa.uint32()),
            }
        )
        # NOTE: without a token of its own, a renewal that equals the last one would be dropped.
        named = token or uuid.uuid4().hex
        settings = {**_SETTINGS, "insert_deduplication_token": named}
        self._connection.insert(str(self._table.sql), table, self._count, **settings)


def _where(keys: list[Claimed]) -> Sql:
    return Sql(_ONE) if len(keys) == 1 else Sql()


def claims_table(table: TableName) -> TableName:
    """Return the name of the table that holds the claims on `table`."""
    return table.companion("claims")


def ensure_claims(connection: Connection, table: TableName) -> None:
    """Make the claims table where it is missing."""
    connection.command(compose(_CREATE, table=claims_table(table).sql))
