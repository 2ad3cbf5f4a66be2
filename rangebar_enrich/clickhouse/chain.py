"""The chain of leases of each series, as a small table holds it.

Link n + 1 of a chain is an insert whose deduplication token names n + 1: the server takes the
first and drops the others, which makes it an atomic compare-and-swap. Each link carries a stamp
greater than all before it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import xxhash

from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.identifiers import Sql, TableName, compose
from rangebar_enrich.clickhouse.retry import RetryCount
from rangebar_enrich.errors import WriteRefusedError, message

Leased = tuple[str, int]
"""What is leased: symbol and threshold, all modes of it."""

_CREATE = """
CREATE TABLE IF NOT EXISTS $table (
    symbol String, threshold_decimal_bps UInt32, state UInt64, holder String, computed_at_ms Int64,
    lease_ms UInt32, at DateTime64(3, 'UTC') DEFAULT now64(3), overtaken UInt32 DEFAULT 0
) ENGINE = ReplacingMergeTree(state) ORDER BY (symbol, threshold_decimal_bps)
SETTINGS non_replicated_deduplication_window = 10000
"""
_ENDS = """
SELECT symbol, threshold_decimal_bps, max(state), argMax(holder, (state, at)),
    argMax(computed_at_ms, (state, at)),
    argMax(toUnixTimestamp64Milli(at) + lease_ms, (state, at)), argMax(overtaken, (state, at)),
    toUnixTimestamp64Milli(now64(3))
FROM $table $where GROUP BY symbol, threshold_decimal_bps
UNION ALL SELECT '', 0, 0, '', 0, 0, 0, toUnixTimestamp64Milli(now64(3))
"""
_ONE = "WHERE symbol = {symbol:String} AND threshold_decimal_bps = {threshold:UInt32}"
_MANY = "WHERE symbol IN {symbols:Array(String)} AND threshold_decimal_bps IN {thresholds:Array(UInt32)}"
_SETTINGS = {"async_insert": 0, "optimize_on_insert": 0, "insert_deduplicate": 1}
_MOST_AHEAD_MS = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Link:
    """The last link of a series' chain.

    Attributes:
        state: Twice the link's number, plus 1 when released; 0 before the first.
        holder: Who made it.
        stamp_ms: The stamp given with it.
        ends_ms: When its lease ends, by the database's clock.
        overtaken: How often, in the whole chain, a lease was taken that nobody had released.
        is_live: Whether its lease still ran when it was read.
    """

    state: int = 0
    holder: str = ""
    stamp_ms: int = 0
    ends_ms: int = 0
    overtaken: int = 0
    is_live: bool = False

    @property
    def is_held(self) -> bool:
        """Whether a writer may be at work under it."""
        return self.state % 2 == 0 and self.is_live


class ServerClock:
    """The database's clock, as far as its replies tell: never ahead of it."""

    def __init__(self) -> None:
        self._offset: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether the database has told its time."""
        return self._offset is not None

    def learn(self, server_ms: int) -> None:
        """Take the time that a reply told.

        Raises:
            WriteRefusedError: This machine's clock is more than a day ahead of it.
        """
        local_ms = int(time.time() * 1000)
        if local_ms - server_ms > _MOST_AHEAD_MS:
            msg = message(
                "This machine's clock is ahead of the database's by more than a day:",
                [f"here: {_shown(local_ms)}", f"database: {_shown(server_ms)}"],
                "set the clock that is wrong, then write again; nothing was written.",
            )
            raise WriteRefusedError(msg)
        self._offset = server_ms - time.monotonic() * 1000

    def now_ms(self) -> int:
        """Return the time, ms."""
        if self._offset is None:
            msg = message("The database has not told its time.", hint="read a chain first.")
            raise WriteRefusedError(msg)
        return int(self._offset + time.monotonic() * 1000)


def _shown(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


class Chains:
    """The table of chains, read and extended.

    Args:
        connection: The database.
        table: The bar table.
        lease_seconds: How long others wait for a writer that gives no sign of life.
    """

    def __init__(self, connection: Connection, table: TableName, lease_seconds: float) -> None:
        self._connection = connection
        self._table = lease_table(table)
        self.lease_ms = int(lease_seconds * 1000)
        self.clock = ServerClock()

    def ends(self, keys: Sequence[Leased]) -> dict[Leased, Link]:
        """Read where the chains of `keys` end."""
        where, params = Sql(_ONE), {"symbol": keys[0][0], "threshold": keys[0][1]}
        if len(keys) > 1:
            symbols, thresholds = ({key[i] for key in keys} for i in (0, 1))
            where = Sql(_MANY)
            params = {"symbols": sorted(symbols), "thresholds": sorted(thresholds)}
        rows = self._connection.rows(compose(_ENDS, table=self._table.sql, where=where), params)
        self.clock.learn(max(row[7] for row in rows))
        found = {
            (row[0], row[1]): Link(row[2], row[3], row[4], row[5], row[6], is_live=row[5] > row[7])
            for row in rows
            if row[0]
        }
        return {key: found.get(key, Link()) for key in keys}

    def claim(self, key: Leased, link: Link, count: RetryCount) -> None:
        """Offer `link` as the next one of a chain; `ends` says whether it was taken."""
        text = f"{key[1]}/{link.state // 2}/{key[0]}"
        self._insert([(key, link)], count, xxhash.xxh3_128(text.encode()).hexdigest())

    def renew(self, links: Sequence[tuple[Leased, Link]], count: RetryCount) -> None:
        """Insert links again, or released: their leases begin now."""
        # NOTE: without a token of its own, a renewal that equals the last one would be dropped.
        self._insert(links, count, uuid.uuid4().hex)

    def _insert(self, rows: Sequence[tuple[Leased, Link]], count: RetryCount, token: str) -> None:
        table = pa.table(
            {
                "symbol": [key[0] for key, _ in rows],
                "threshold_decimal_bps": pa.array([key[1] for key, _ in rows], pa.uint32()),
                "state": pa.array([link.state for _, link in rows], pa.uint64()),
                "holder": [link.holder for _, link in rows],
                "computed_at_ms": pa.array([link.stamp_ms for _, link in rows], pa.int64()),
                "lease_ms": pa.array([self.lease_ms] * len(rows), pa.uint32()),
                "overtaken": pa.array([link.overtaken for _, link in rows], pa.uint32()),
            }
        )
        settings = {**_SETTINGS, "insert_deduplication_token": token}
        self._connection.insert(str(self._table.sql), table, count, **settings)


def lease_table(table: TableName) -> TableName:
    """Return the name of the table that holds the leases on `table`."""
    return table.companion("claims")


def create_chains_sql(table: TableName) -> str:
    """Return the statement that makes the table of leases."""
    return compose(_CREATE, table=lease_table(table).sql)
