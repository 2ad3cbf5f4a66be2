"""Which provider version made which features: per row in the bar table, summed up in a registry.

A row's versions are in one `LowCardinality(String)` column per provider, `_version_<provider>`,
`''` where the row has no features of it. Such a column costs next to nothing on disk, a filter
on it reads a dictionary and codes, and adding a provider adds a column and rewrites nothing. (A
`Map` would be read and written whole for each provider; a table apart would need a join.)

The registry is a small table of (provider, version, columns, first and last written).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import pyarrow as pa

from rangebar_enrich.clickhouse.columns import BAR_AT
from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.dedup import content_token
from rangebar_enrich.clickhouse.facts import (
    SERIES_WINDOW,
    Wanted,
    bound_versions,
    changed_at,
    knows_nothing,
    stale,
)
from rangebar_enrich.clickhouse.identifiers import Sql, TableName, compose, join, literal, quote
from rangebar_enrich.clickhouse.query import Selection, final_clause
from rangebar_enrich.clickhouse.retry import RetryCount
from rangebar_enrich.clickhouse.schema import TableSchema, version_column
from rangebar_enrich.errors import QueryError

Owner = tuple[str, str]
"""Name and version of a provider."""

ENDLESS = 1 << 62
"""Lookback of a provider whose values depend on every earlier bar, in the registry."""

_UNKNOWN_TABLE = 60
_UNKNOWN_COLUMN = 47
_CREATE = """
CREATE TABLE IF NOT EXISTS $table (
    provider String, version String,
    columns SimpleAggregateFunction(groupUniqArrayArray, Array(String)),
    first_written SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    last_written SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    lookback SimpleAggregateFunction(max, Int64) DEFAULT -1
) ENGINE = AggregatingMergeTree ORDER BY (provider, version)
SETTINGS non_replicated_deduplication_window = 10000
"""
_LIST = """
SELECT provider, version, arraySort(groupUniqArrayArray(columns)),
    toUnixTimestamp64Milli(min(first_written)), toUnixTimestamp64Milli(max(last_written))
FROM $table GROUP BY provider, version ORDER BY provider, min(first_written), version
"""
_LOOKBACK = """
SELECT max(lookback) FROM $table
WHERE provider = {provider:String} AND version = {version:String}
"""
_OUTDATED = """
SELECT count(), min(close_time_ms), max(close_time_ms) FROM (
    SELECT close_time_ms, $stale AS is_stale FROM (
        SELECT *, $changed AS changed_at FROM (SELECT * FROM $table FINAL WHERE $where) $window
    )
) WHERE is_stale AND $range$final
"""
_ALL = "SELECT count(), min(close_time_ms), max(close_time_ms) FROM $table FINAL WHERE $where$final"
_VERSIONS = """
SELECT $provider, $column, count(), min(close_time_ms), max(close_time_ms) FROM $table FINAL
WHERE $where GROUP BY $column ORDER BY $column$final
"""
_CHANGES = Sql(f"count(), max({BAR_AT}), maxIf(toUnixTimestamp64Milli(computed_at), {BAR_AT} = 0)")
_DISTINCT = "SELECT $versions FROM $table FINAL WHERE $where$final"


@dataclass(frozen=True, slots=True)
class StoredProvider:
    """A provider version that wrote to the table.

    Attributes:
        provider: Its name.
        version: Its version.
        columns: Columns that it wrote.
        first_written_ms: `computed_at` of its first write, ms.
        last_written_ms: `computed_at` of its last write, ms.
    """

    provider: str
    version: str
    columns: tuple[str, ...]
    first_written_ms: int
    last_written_ms: int


@dataclass(frozen=True, slots=True)
class Outdated:
    """Rows whose features a provider version did not make.

    Attributes:
        rows: How many; 0 where all are up to date.
        first_ms: Close time of the first, ms, or `None`.
        last_ms: Close time of the last, ms, or `None`.
    """

    rows: int
    first_ms: int | None
    last_ms: int | None


@dataclass(frozen=True, slots=True)
class RowVersions:
    """Rows of a series that one version of a provider made.

    Attributes:
        provider: Its name.
        version: Its version; `''` where the rows have no features of it, or nobody said.
        rows: How many.
        first_ms: Close time of the first, ms.
        last_ms: Close time of the last, ms.
    """

    provider: str
    version: str
    rows: int
    first_ms: int
    last_ms: int


def registry_table(table: TableName) -> TableName:
    """Return the name of the registry of `table`."""
    return table.companion("providers")


def create_registry_sql(table: TableName) -> str:
    """Return the statement that makes the registry."""
    return compose(_CREATE, table=registry_table(table).sql)


def record(
    connection: Connection,
    table: TableName,
    written: Mapping[Owner, Iterable[str]],
    *,
    at_ms: int,
    count: RetryCount,
    lookbacks: Mapping[str, int | None] | None = None,
) -> None:
    """Note who is about to write, before the rows: what is in the table is in the registry.

    Args:
        connection: The database.
        table: The bar table.
        written: Columns by provider and version.
        at_ms: Stamp of the rows, ms.
        count: Takes the retries.
        lookbacks: Earlier bars that fix a provider's values, `None` for all, where known.
    """
    if not written:
        return
    owners = sorted(written)
    stamp = pa.array([at_ms] * len(owners), pa.timestamp("ms", "UTC"))
    rows = pa.table(
        {
            "provider": [provider for provider, _ in owners],
            "version": [version for _, version in owners],
            "columns": pa.array([sorted(written[o]) for o in owners], pa.list_(pa.string())),
            "first_written": stamp,
            "last_written": stamp,
            "lookback": pa.array([_stored_lookback(o[0], lookbacks or {}) for o in owners]),
        }
    )
    name = registry_table(table)
    settings = {"async_insert": 0, "insert_deduplication_token": content_token(rows, str(name))}
    connection.insert(str(name.sql), rows, count, **settings)


def _stored_lookback(provider: str, lookbacks: Mapping[str, int | None]) -> int:
    if provider not in lookbacks:
        return -1
    found = lookbacks[provider]
    return ENDLESS if found is None else found


def stored_lookback(
    connection: Connection, table: TableName, provider: str, version: str
) -> int | None:
    """Return how many earlier bars a provider's values depend on; `None`: all, or not known."""
    params = {"provider": provider, "version": version}
    try:
        rows = connection.rows(compose(_LOOKBACK, table=registry_table(table).sql), params)
    except QueryError as error:
        if error.code not in {_UNKNOWN_TABLE, _UNKNOWN_COLUMN}:
            raise
        return None
    return int(rows[0][0]) if rows and 0 <= rows[0][0] < ENDLESS else None


def stored_providers(connection: Connection, table: TableName) -> list[StoredProvider]:
    """Return what the registry knows, by provider and age; nothing where there is none."""
    try:
        rows = connection.rows(compose(_LIST, table=registry_table(table).sql))
    except QueryError as error:
        if error.code != _UNKNOWN_TABLE:
            raise
        return []
    return [StoredProvider(row[0], row[1], tuple(row[2]), row[3], row[4]) for row in rows]


def find_outdated(
    connection: Connection, schema: TableSchema, selection: Selection, wanted: Wanted
) -> Outdated:
    """Find rows of a series whose features `wanted` should have made, or made of other bars."""
    parts = {"table": schema.table.sql, "final": final_clause(schema)}
    params = {**selection.params, **bound_versions([wanted])}
    if knows_nothing(schema, wanted):
        statement = compose(_ALL, **parts, where=selection.where)
    else:
        statement = compose(
            _OUTDATED,
            **parts,
            where=replace(selection, start_ms=None).where,
            range=selection.range,
            stale=stale(schema, wanted, 0),
            changed=changed_at(is_first=Sql("1")),
            window=SERIES_WINDOW,
        )
    found = connection.rows(statement, params)[0]
    return Outdated(*found) if found[0] else Outdated(0, None, None)


def row_versions(
    connection: Connection, schema: TableSchema, selection: Selection
) -> list[RowVersions]:
    """Return, for each provider, how many rows of a series each of its versions made."""
    found: list[RowVersions] = []
    for column in sorted(schema.versions):
        provider = column.removeprefix(version_column(""))
        statement = compose(
            _VERSIONS,
            provider=literal(provider),
            column=quote(column),
            table=schema.table.sql,
            where=selection.where,
            final=final_clause(schema),
        )
        found += [RowVersions(*row) for row in connection.rows(statement, selection.params)]
    return found


def distinct_versions(
    connection: Connection, schema: TableSchema, selection: Selection, providers: Iterable[str]
) -> tuple[dict[str, list[str]], tuple[int, int, int]]:
    """Return the versions of each provider that rows of a series have, at most a few.

    And how many rows there are, the latest stamp of a changed bar, and the latest `computed_at`
    of bars that nobody knows, ms.
    """
    known = [name for name in sorted(set(providers)) if version_column(name) in schema.versions]
    columns = [Sql(f"groupUniqArray(3)({quote(version_column(name))})") for name in known]
    statement = compose(
        _DISTINCT,
        versions=join([*columns, _CHANGES if schema.has_facts else Sql("0, 0, 0")]),
        table=schema.table.sql,
        where=selection.where,
        final=final_clause(schema),
    )
    found = connection.rows(statement, selection.params)[0]
    versions = {name: sorted(some) for name, some in zip(known, found, strict=False)}
    rows, bar_at, at_ms = found[-3:]
    return versions, (int(rows), int(bar_at), int(at_ms))
