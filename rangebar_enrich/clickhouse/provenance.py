"""Which provider version made which features: per row in the bar table, summed up in a registry.

A row's versions are in one `LowCardinality(String)` column per provider, `_version_<provider>`,
`''` where the row has no features of it. Such a column costs next to nothing on disk, a filter
on it reads a dictionary and codes, and adding a provider adds a column and rewrites nothing. (A
`Map` would be read and written whole for each provider; a table apart would need a join.)

The registry is a small table of (provider, version, columns, first and last written).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.dedup import content_token
from rangebar_enrich.clickhouse.identifiers import Sql, TableName, compose, join, literal, quote
from rangebar_enrich.clickhouse.query import Selection, final_clause
from rangebar_enrich.clickhouse.retry import RetryCount
from rangebar_enrich.clickhouse.schema import TableSchema, version_column
from rangebar_enrich.errors import QueryError

_UNKNOWN_TABLE = 60
_CREATE = """
CREATE TABLE IF NOT EXISTS $table (
    provider String, version String,
    columns SimpleAggregateFunction(groupUniqArrayArray, Array(String)),
    first_written SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    last_written SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
) ENGINE = AggregatingMergeTree ORDER BY (provider, version)
SETTINGS non_replicated_deduplication_window = 10000
"""
_LIST = """
SELECT provider, version, arraySort(groupUniqArrayArray(columns)),
    toUnixTimestamp64Milli(min(first_written)), toUnixTimestamp64Milli(max(last_written))
FROM $table GROUP BY provider, version ORDER BY provider, min(first_written), version
"""
_OUTDATED = """
SELECT count(), min(close_time_ms), max(close_time_ms) FROM $table FINAL
WHERE $where AND $column != {version:String}$final
"""
_ALL = "SELECT count(), min(close_time_ms), max(close_time_ms) FROM $table FINAL WHERE $where$final"
_VERSIONS = """
SELECT $provider, $column, count(), min(close_time_ms), max(close_time_ms) FROM $table FINAL
WHERE $where GROUP BY $column ORDER BY $column$final
"""
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


def ensure_registry(connection: Connection, table: TableName) -> None:
    """Make the registry where it is missing."""
    connection.command(compose(_CREATE, table=registry_table(table).sql))


def record(
    connection: Connection,
    table: TableName,
    written: Mapping[tuple[str, str], Iterable[str]],
    *,
    at_ms: int,
    count: RetryCount,
) -> None:
    """Note who is about to write, before the rows: what is in the table is in the registry."""
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
        }
    )
    name = registry_table(table)
    settings = {"async_insert": 0, "insert_deduplication_token": content_token(rows, str(name))}
    connection.insert(str(name.sql), rows, count, **settings)


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
    connection: Connection, schema: TableSchema, selection: Selection, provider: str, version: str
) -> Outdated:
    """Find rows of a series whose features `version` of `provider` did not make."""
    parts = {
        "table": schema.table.sql,
        "where": selection.where,
        "final": final_clause(schema),
    }
    column = version_column(provider)
    if column in schema.versions:
        statement = compose(_OUTDATED, **parts, column=quote(column))
    else:
        statement = compose(_ALL, **parts)
    found = connection.rows(statement, {**selection.params, "version": version})[0]
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
) -> dict[str, list[str]]:
    """Return the versions of each provider that rows of a series have, at most a few."""
    known = [name for name in sorted(set(providers)) if version_column(name) in schema.versions]
    if not known:
        return {}
    columns = [Sql(f"groupUniqArray(3)({quote(version_column(name))})") for name in known]
    statement = compose(
        _DISTINCT,
        versions=join(columns),
        table=schema.table.sql,
        where=selection.where,
        final=final_clause(schema),
    )
    found = connection.rows(statement, selection.params)[0]
    return {name: sorted(versions) for name, versions in zip(known, found, strict=True)}
