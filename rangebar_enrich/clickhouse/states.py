"""How far each provider is done in each series, and what a recursion goes on from there.

A table beside the bars, `…_states`, one row for each series, provider and version: `done` up to
the stamp at which the bars were read; `running`, from a bar on, while rows between others are
rewritten; or `failed`, with what it failed on. Rows of provider `''`
hold a snapshot instead, for a set of providers: what `live.snapshot()` gave after the bar that
closed at `position_ms`. It is good while no bar up to there has changed since its stamp.

Losing this table costs time and no value: what is outdated stands in the bar table alone.
"""

from __future__ import annotations

import uuid
from base64 import b64decode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import pyarrow as pa
import xxhash

from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.identifiers import Sql, TableName, compose
from rangebar_enrich.clickhouse.retry import RetryCount

DONE, FAILED, RUNNING = "done", "failed", "running"
DAY_MS = 24 * 3_600_000
_CREATE = """
CREATE TABLE IF NOT EXISTS $table (
    symbol String, threshold_decimal_bps UInt32, ouroboros_mode LowCardinality(String),
    provider LowCardinality(String), version String, at_ms Int64, position_ms Int64,
    status LowCardinality(String), inputs String, error String, state String,
    written_at DateTime64(3, 'UTC') DEFAULT now64(3)
) ENGINE = ReplacingMergeTree(at_ms)
ORDER BY (provider, version, symbol, threshold_decimal_bps, ouroboros_mode)
SETTINGS non_replicated_deduplication_window = 10000
"""
_LIST = """
SELECT symbol, threshold_decimal_bps, ouroboros_mode, provider, version,
    max(at_ms), argMax(position_ms, (at_ms, written_at)), argMax(status, (at_ms, written_at)),
    argMax(inputs, (at_ms, written_at)), argMax(error, (at_ms, written_at)), ''
FROM $table WHERE (provider, version) IN {owners:Array(Tuple(String, String))}$series
GROUP BY symbol, threshold_decimal_bps, ouroboros_mode, provider, version
"""
_SNAPSHOT = """
SELECT max(at_ms), argMax(position_ms, (at_ms, written_at)),
    base64Encode(argMax(state, (at_ms, written_at)))
FROM $table
WHERE provider = '' AND version = {version:String} AND symbol = {symbol:String}
AND threshold_decimal_bps = {threshold:UInt32} AND ouroboros_mode = {mode:String}
"""
_FRESHEN = """
INSERT INTO $table (symbol, threshold_decimal_bps, ouroboros_mode, provider, version, at_ms,
    position_ms, status, inputs, error, state)
SELECT symbol, threshold_decimal_bps, ouroboros_mode, provider, version, {day:Int64},
    position_ms, status, inputs, error, state
FROM $table FINAL
WHERE (provider, version) IN {owners:Array(Tuple(String, String))} AND status != 'running'
    AND at_ms < {day:Int64} AND symbol != '' AND NOT has({done:Array(String)},
    concat(symbol, '\n', toString(threshold_decimal_bps), '\n', ouroboros_mode))
"""
_OF_ONE = Sql(
    " AND symbol = {symbol:String} AND threshold_decimal_bps = {threshold:UInt32}"
    " AND ouroboros_mode = {mode:String}"
)


@dataclass(frozen=True, slots=True)
class Record:
    """How far one provider version is done in one series.

    Attributes:
        symbol: Trading symbol; `''` in the record of all series together.
        threshold_decimal_bps: Threshold in decimal basis points.
        ouroboros_mode: `month`, `week` or `year`.
        provider: Its name, or `''` for a snapshot.
        version: Its version, or what names the set of providers of a snapshot.
        at_ms: Stamp at which the bars were read.
        position_ms: Close time of the last bar seen, or of the first that is being rewritten.
        status: `done`, `running` or `failed`.
        inputs: What a failed provider failed on.
        error: Its error.
        state: The snapshot.
    """

    symbol: str
    threshold_decimal_bps: int
    ouroboros_mode: str
    provider: str
    version: str
    at_ms: int
    position_ms: int = 0
    status: str = DONE
    inputs: str = ""
    error: str = ""
    state: bytes | str = b""

    @property
    def key(self) -> SeriesKey:
        """The series."""
        return SeriesKey(self.symbol, self.threshold_decimal_bps, self.ouroboros_mode)


def parts_of(key: SeriesKey) -> tuple[str, int, str]:
    """Return symbol, threshold and mode of a stored series, all of which are known."""
    return str(key.symbol), int(key.threshold_decimal_bps or 0), str(key.ouroboros_mode)


def providers_digest(owners: Iterable[Sequence[object]]) -> str:
    """Return a name for a set of providers: names, versions and columns."""
    return xxhash.xxh3_128(repr(sorted(map(repr, owners))).encode()).hexdigest()


def states_table(table: TableName) -> TableName:
    """Return the name of the table of states of `table`."""
    return table.companion("states")


def create_states_sql(table: TableName) -> str:
    """Return the statement that makes the table of states."""
    return compose(_CREATE, table=states_table(table).sql)


def read_records(
    connection: Connection,
    table: TableName,
    owners: Sequence[tuple[str, str]],
    key: SeriesKey | None = None,
) -> list[Record]:
    """Return what is recorded of some provider versions, in one series or in all."""
    params: dict[str, object] = {"owners": [tuple(owner) for owner in owners]}
    if key is not None:
        params |= {"symbol": key[0], "threshold": key[1], "mode": key[2]}
    series = Sql() if key is None else _OF_ONE
    statement = compose(_LIST, table=states_table(table).sql, series=series)
    return [Record(*row) for row in connection.rows(statement, params)]


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """What a set of providers goes on from.

    Attributes:
        at_ms: Stamp at which the bars were read.
        position_ms: Close time of the last of them.
        state: What `live.snapshot()` gave.
    """

    at_ms: int
    position_ms: int
    state: bytes


def read_snapshot(
    connection: Connection, table: TableName, key: SeriesKey, digest: str
) -> StoredSnapshot | None:
    """Return the snapshot that is stored for a series and a set of providers."""
    params = {"version": digest, "symbol": key[0], "threshold": key[1], "mode": key[2]}
    found = connection.rows(compose(_SNAPSHOT, table=states_table(table).sql), params)
    if not found or not found[0][2]:
        return None
    at_ms, position_ms, state = found[0]
    return StoredSnapshot(int(at_ms), int(position_ms), b64decode(state))


def freshen(
    connection: Connection,
    table: TableName,
    owners: Sequence[tuple[str, str]],
    done: Sequence[SeriesKey],
) -> None:
    """Record of series with nothing new that they are done up to yesterday.

    So a series that is quiet for years does not make every plan look back as far. No write takes
    a day: whatever has a stamp of the day before yesterday was there when it was looked for.
    """
    now = connection.rows("SELECT toUnixTimestamp64Milli(now64(3))")[0][0]
    params = {
        "owners": [tuple(owner) for owner in owners],
        "day": int(now) - DAY_MS,
        "done": [f"{key[0]}\n{key[1]}\n{key[2]}" for key in done],
    }
    connection.command(compose(_FRESHEN, table=states_table(table).sql), params)


def write_records(
    connection: Connection, table: TableName, records: Sequence[Record], count: RetryCount
) -> None:
    """Store records and snapshots, all in one insert."""
    if not records:
        return
    columns = {one.name: [getattr(r, one.name) for r in records] for one in fields(Record)}
    types = {
        "threshold_decimal_bps": pa.uint32(),
        "at_ms": pa.int64(),
        "position_ms": pa.int64(),
        "state": pa.binary(),
    }
    rows = pa.table({n: pa.array(v, types.get(n, pa.string())) for n, v in columns.items()})
    settings = {"async_insert": 0, "insert_deduplication_token": uuid.uuid4().hex}
    connection.insert(str(states_table(table).sql), rows, count, **settings)
