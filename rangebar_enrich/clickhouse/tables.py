"""The bar table and those beside it: made where they are missing, given what they lack.

Nothing is sent but a look at what is there where all of it is there: a writer with the rights to
SELECT and INSERT alone works on prepared tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rangebar_enrich.clickhouse.chain import create_chains_sql, lease_table
from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.dsn import Address
from rangebar_enrich.clickhouse.identifiers import Sql, TableName, compose
from rangebar_enrich.clickhouse.migration import DEFAULT_TABLE, migrate, wanted_features
from rangebar_enrich.clickhouse.provenance import create_registry_sql, registry_table
from rangebar_enrich.clickhouse.retry import RetryPolicy
from rangebar_enrich.clickhouse.schema import (
    check_table,
    create_table_sql,
    is_replicated,
    read_schema,
)
from rangebar_enrich.clickhouse.states import create_states_sql, states_table
from rangebar_enrich.errors import SchemaError, message

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_THERE = """
SELECT table, groupArray(name), (
    SELECT groupArray((name, engine)) FROM system.tables
    WHERE database = {database:String} AND name IN {tables:Array(String)}
) FROM system.columns
WHERE database = {database:String} AND table IN {tables:Array(String)} GROUP BY table
"""
_BESIDE: Mapping[Callable[[TableName], TableName], tuple[Callable[[TableName], str], Sql]] = {
    lease_table: (create_chains_sql, Sql("overtaken UInt32 DEFAULT 0")),
    registry_table: (
        create_registry_sql,
        Sql("lookback SimpleAggregateFunction(max, Int64) DEFAULT -1"),
    ),
    states_table: (create_states_sql, Sql("state String")),
}
"""How to make each table beside the bars, and the newest of its columns."""


def ensure_tables(connection: Connection, table: TableName) -> None:
    """Make what is missing; see that an existing bar table will do.

    Raises:
        SchemaError: It differs in a way that would lose or double rows.
    """
    names = {find: find(table) for find in _BESIDE}
    params = {
        "database": table.database,
        "tables": [table.table, *(name.table for name in names.values())],
    }
    found = connection.rows(_THERE, params)
    there = {row[0]: row[1] for row in found}
    _check_engines(table, names, dict(found[0][2]) if found else {})
    _ensure_bars(connection, table, is_there=table.table in there)
    for find, (create, newest) in _BESIDE.items():
        name = names[find]
        if name.table not in there:
            connection.command(create(table))
        elif newest.split(" ")[0] not in there[name.table]:
            add = "ALTER TABLE $t ADD COLUMN IF NOT EXISTS $column"
            connection.command(compose(add, t=name.sql, column=newest))


def _check_engines(
    table: TableName,
    names: Mapping[Callable[[TableName], TableName], TableName],
    engines: Mapping[str, str],
) -> None:
    """See that leases are as replicated as the bars: two servers must not grant one each."""
    leases = names[lease_table].table
    if not is_replicated(engines.get(table.table, "")) or is_replicated(engines.get(leases, "")):
        return
    msg = message(
        f"Table '{table}' is replicated, and its table of leases is not:",
        [
            f"'{leases}': got {engines.get(leases, 'nothing')}, expected ReplicatedReplacingMergeTree"
        ],
        "make it as docs/clickhouse.md says under Clusters, and copy its rows.",
    )
    raise SchemaError(msg)


def _ensure_bars(connection: Connection, table: TableName, *, is_there: bool) -> None:
    if not is_there:
        connection.command(compose("CREATE DATABASE IF NOT EXISTS $db", db=table.database_sql))
        connection.command(create_table_sql(table))
    check_table(connection, table)


def migrate_plugin_columns(
    client: Client,
    providers: Iterable[Any],
    *,
    table: str = DEFAULT_TABLE,
    codec: str | None = None,
) -> list[str]:
    """Give the bar table a nullable column for every column of `providers`.

    Idempotent and safe at every start. The table is made where it is missing.

    Args:
        client: A clickhouse-connect client; it stays open.
        providers: Objects with `name`, `version` and `columns`, or column names.
        table: `database.table`.
        codec: `ZSTD`, `LZ4` or `GORILLA` for new columns; default the server's.

    Returns:
        The columns that were added.

    Raises:
        IdentifierError: A name cannot be a feature's.
        SchemaError: A column exists with another type.
    """
    wanted = wanted_features(providers)
    address = Address(str(getattr(client, "url", "chdb://")))
    connection, name = Connection.of(client, address, RetryPolicy()), TableName(table)
    _ensure_bars(connection, name, is_there=False)
    before = read_schema(connection, name)
    after = migrate(connection, before, wanted, codec=codec)
    return [name for name in after.features if name not in before.columns]
