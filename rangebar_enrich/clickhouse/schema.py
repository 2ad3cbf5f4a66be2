"""The bar table in the database: made, read back, and compared with what the store needs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from rangebar_enrich.clickhouse.columns import (
    BAR_AT,
    BY_NAME,
    COLUMNS,
    FACT_TYPE,
    FACTS,
    FEATURE_TYPE,
    FOLLOWS,
    NEEDED,
    TableColumn,
)
from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.identifiers import Sql, TableName, compose, join, quote
from rangebar_enrich.errors import SchemaError, message

DEDUPLICATION_WINDOW = 10_000
"""Blocks whose tokens the table remembers: 10,000 inserts, each of one partition."""

DEDUPLICATION_SECONDS = 604_800
"""How long a replicated table remembers them: a week, as long as a broken job may wait."""

SORTING_KEY = ("symbol", "threshold_decimal_bps", "ouroboros_mode", "close_time_ms")
VERSION_PREFIX = "_version_"
"""Provenance columns: `_version_<provider>`. No feature can be named so."""
MADE_PREFIX = "_made_"
"""What a provider's features know: `_made_<provider>`, see `facts`."""

_CREATE = """
CREATE TABLE IF NOT EXISTS $table ($columns, $indexes)
ENGINE = ReplacingMergeTree(computed_at)
PARTITION BY (symbol, threshold_decimal_bps, toYYYYMM(toDateTime(intDiv(close_time_ms, 1000), 'UTC')))
ORDER BY (symbol, threshold_decimal_bps, ouroboros_mode, close_time_ms)
SETTINGS non_replicated_deduplication_window = 10000
"""
_PRINT = """
SELECT groupBitXor(cityHash64(name, type, default_kind)) FROM system.columns
WHERE database = {database:String} AND table = {table:String}
"""
_COLUMNS = """
SELECT name, type, default_kind, comment,
    (SELECT any(partition_key) FROM system.tables
     WHERE database = {database:String} AND name = {table:String}), $fingerprint
FROM system.columns
WHERE database = {database:String} AND table = {table:String} ORDER BY position
"""
FINGERPRINT = Sql(f"({_PRINT.strip()})")
"""A number that changes with any column; binds `database` and `table`."""
_DEFAULTS = "SELECT name, value FROM $table WHERE name IN {names:Array(String)}"
_TABLE = """
SELECT engine, engine_full, sorting_key FROM system.tables
WHERE database = {database:String} AND name = {table:String}
"""


_TAKES = re.compile(
    r"(LowCardinality\()?(Nullable\()?"
    r"(U?Int(8|16|32|64)|Float(32|64)|Bool|String|DateTime64\(\d+(, '[^']*')?\)|Decimal\(\d+, \d+\))\)*"
)


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """A column as the database has it.

    Attributes:
        name: Its name.
        type: ClickHouse type.
        default_kind: `''`, `DEFAULT`, `MATERIALIZED`, `ALIAS` or `EPHEMERAL`.
        comment: Its comment; the store's own are JSON.
    """

    name: str
    type: str
    default_kind: str
    comment: str

    @property
    def is_ordinary(self) -> bool:
        """Whether it can be inserted into and is stored."""
        return self.default_kind in {"", "DEFAULT"}

    @property
    def goes_through_arrow(self) -> bool:
        """Whether its values survive the way through Arrow and back."""
        return _TAKES.fullmatch(self.type) is not None

    @property
    def is_version(self) -> bool:
        """Whether it holds provider versions."""
        return self.name.startswith(VERSION_PREFIX)

    @property
    def is_fact(self) -> bool:
        """Whether it holds what rows know of their own history; see `facts`."""
        return self.name in {BAR_AT, FOLLOWS} or self.name.startswith(MADE_PREFIX)

    @property
    def is_feature(self) -> bool:
        """Whether it is a plugin's: nullable float, not of the bar table itself."""
        return self.type == FEATURE_TYPE and self.name not in BY_NAME and self.is_ordinary

    def _note(self, key: str) -> str | None:
        try:
            note = json.loads(self.comment)
        except ValueError:
            return None
        value = note.get(key) if isinstance(note, dict) else None
        return value if isinstance(value, str) else None

    @property
    def provider(self) -> str | None:
        """Provider of a feature, from the comment."""
        return self._note("provider")

    @property
    def version(self) -> str | None:
        """Version of the provider that the column was last migrated for, from the comment."""
        return self._note("version")


@dataclass(frozen=True)
class TableSchema:
    """What the database says of the bar table.

    Attributes:
        table: Its name.
        columns: Its columns by name, those of `facts` left out.
        partition_key: How it is cut into partitions.
        fingerprint: All columns, as a number.
        facts: Columns in which rows know their own history.
    """

    table: TableName
    columns: Mapping[str, StoredColumn]
    partition_key: str
    fingerprint: int = 0
    facts: Mapping[str, StoredColumn] = field(default_factory=dict)

    @cached_property
    def features(self) -> dict[str, StoredColumn]:
        """Feature columns by name."""
        return {name: column for name, column in self.columns.items() if column.is_feature}

    @cached_property
    def versions(self) -> frozenset[str]:
        """Names of the provenance columns."""
        return frozenset(name for name, column in self.columns.items() if column.is_version)

    @property
    def has_facts(self) -> bool:
        """Whether rows know when their bar changed; see `facts`."""
        return {BAR_AT, FOLLOWS} <= self.facts.keys()

    @property
    def partition_is_utc(self) -> bool:
        """Whether months are cut in UTC whatever the server's time zone."""
        return "UTC" in self.partition_key


def version_column(provider: str) -> str:
    """Return the column that holds the version of `provider` that made a row's features."""
    return f"{VERSION_PREFIX}{provider}"


def made_column(provider: str) -> str:
    """Return the column that holds what a row's features of `provider` know."""
    return f"{MADE_PREFIX}{provider}"


def column_sql(column: TableColumn) -> Sql:
    """Return the declaration of a column of the bar table."""
    default = f" DEFAULT {column.default}" if column.default is not None else ""
    return Sql(f"{quote(column.name)} {column.type}{default}")


def made_clause(provider: str) -> Sql:
    """Return the declaration of the column that holds what a provider's features know."""
    return Sql(f"{quote(made_column(provider))} {FACT_TYPE} DEFAULT 0")


def index_clauses() -> list[Sql]:
    """Return the declarations of indexes that find what changed since a stamp."""
    columns = (BAR_AT, "computed_at")
    names = [quote(f"{name.strip('_')}_minmax") for name in columns]
    kind = "TYPE minmax GRANULARITY 1"
    return [Sql(f"INDEX {n} {quote(c)} {kind}") for n, c in zip(names, columns, strict=True)]


def create_table_sql(table: TableName) -> str:
    """Return the statement that makes the bar table."""
    columns = join(column_sql(column) for column in (*COLUMNS, *FACTS))
    indexes = join(index_clauses())
    return compose(_CREATE, table=table.sql, columns=columns, indexes=indexes).strip()


def check_table(connection: Connection, table: TableName) -> None:
    """See that an existing table will do; only a missing deduplication window is set.

    Raises:
        SchemaError: The table differs in a way that would lose or double rows.
    """
    engine_full = _check_engine(connection, table)
    _check_columns(read_schema(connection, table))
    _ensure_window(connection, table, engine_full)


def read_schema(connection: Connection, table: TableName) -> TableSchema:
    """Read the table's columns.

    Raises:
        SchemaError: There is no such table.
    """
    params = {"database": table.database, "table": table.table}
    found = connection.rows(compose(_COLUMNS, fingerprint=FINGERPRINT), params)
    if not found:
        msg = message(f"Table '{table}' does not exist.", hint="call store.ensure_table() first.")
        raise SchemaError(msg)
    columns = {row[0]: StoredColumn(*row[:4]) for row in found}
    facts = {name: column for name, column in columns.items() if column.is_fact}
    others = {name: column for name, column in columns.items() if name not in facts}
    return TableSchema(table, others, found[0][4], found[0][5], facts)


def _check_engine(connection: Connection, table: TableName) -> str:
    params = {"database": table.database, "table": table.table}
    engine, engine_full, sorting_key = connection.rows(_TABLE, params)[0]
    wrong = []
    if "ReplacingMergeTree" not in engine or "computed_at" not in engine_full.split(" ORDER ")[0]:
        wrong.append(f"engine: got {engine}, expected ReplacingMergeTree(computed_at)")
    if tuple(part.strip() for part in sorting_key.split(",")) != SORTING_KEY:
        wrong.append(f"ORDER BY: got ({sorting_key}), expected ({', '.join(SORTING_KEY)})")
    if wrong:
        msg = message(
            f"Table '{table}' is not a bar table that rows can be replaced in:",
            wrong,
            "give BarStore.connect(table=...) another name, let it make the table, and copy"
            " the rows with INSERT … SELECT.",
        )
        raise SchemaError(msg)
    return str(engine_full)


def _check_columns(schema: TableSchema) -> None:
    needed = [*NEEDED, "computed_at"]
    wrong = [f"'{name}': missing" for name in needed if name not in schema.columns]
    for name, stored in schema.columns.items():
        expected = BY_NAME.get(name)
        if expected is not None and stored.type != expected.type:
            wrong.append(f"'{name}': got {stored.type}, expected {expected.type}")
    if wrong:
        msg = message(
            f"{len(wrong)} column(s) of table '{schema.table}' are not as needed:",
            sorted(wrong),
            "ALTER TABLE … ADD or MODIFY COLUMN, or give BarStore.connect(table=...) another name.",
        )
        raise SchemaError(msg)


def _ensure_window(connection: Connection, table: TableName, engine_full: str) -> None:
    """Retries are exact only where the table remembers the tokens of its last inserts."""
    wanted = {"non_replicated_deduplication_window": DEDUPLICATION_WINDOW}
    defaults = Sql("system.merge_tree_settings")
    if is_replicated(engine_full):
        wanted = {
            "replicated_deduplication_window": DEDUPLICATION_WINDOW,
            "replicated_deduplication_window_seconds": DEDUPLICATION_SECONDS,
        }
        defaults = Sql("system.replicated_merge_tree_settings")
    known = {
        name: int(found.group(1))
        for name in wanted
        if (found := re.search(rf"\b{name}\s*=\s*(\d+)", engine_full))
    }
    if known.keys() != wanted.keys():
        rows = connection.rows(compose(_DEFAULTS, table=defaults), {"names": list(wanted)})
        known = {name: int(value) for name, value in rows} | known
    low = [f"{name} = {value}" for name, value in wanted.items() if known.get(name, 0) < value]
    if low:
        settings = join([Sql(one) for one in low])
        connection.command(compose("ALTER TABLE $t MODIFY SETTING $s", t=table.sql, s=settings))


def is_replicated(engine: str) -> bool:
    """Return whether an engine keeps its rows, and the tokens of inserts, on several servers."""
    return engine.startswith(("Replicated", "Shared"))
