"""Feature columns added to the bar table: one ALTER for all that are missing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rangebar_enrich.clickhouse.columns import BY_NAME, FACTS, FEATURE_TYPE
from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.identifiers import (
    Sql,
    compose,
    feature_name,
    join,
    literal,
    quote,
)
from rangebar_enrich.clickhouse.schema import (
    TableSchema,
    column_sql,
    index_clauses,
    made_clause,
    made_column,
    read_schema,
    version_column,
)
from rangebar_enrich.errors import IdentifierError, SchemaError, message

DEFAULT_TABLE = "rangebar_cache.range_bars"
CODECS = {"ZSTD": Sql("ZSTD(1)"), "LZ4": Sql("LZ4"), "GORILLA": Sql("Gorilla, ZSTD(1)")}
"""Codecs that a feature column can be made with; LZ4 is the server's own choice."""

_VERSION_TYPE = "LowCardinality(String)"


@dataclass(frozen=True, slots=True)
class WantedFeature:
    """A feature column that the table should have.

    Attributes:
        name: Column name.
        provider: Who makes it, or `None` where nobody says.
        version: Version of the provider, or `None`.
    """

    name: str
    provider: str | None = None
    version: str | None = None

    @property
    def comment(self) -> str:
        """The column's comment: JSON, so that a later process knows whose it is."""
        if self.provider is None:
            return ""
        return json.dumps({"provider": self.provider, "version": self.version or ""})


def wanted_features(providers: Iterable[Any]) -> list[WantedFeature]:
    """Return the columns of providers, or of bare column names.

    Args:
        providers: Objects with `name`, `version` and `columns`, or column names, mixed at will.

    Raises:
        IdentifierError: A name is not `[a-z][a-z0-9_]*`, or is a column of the bar table.
    """
    wanted: list[WantedFeature] = []
    for item in [providers] if isinstance(providers, str) else providers:
        if isinstance(item, str):
            wanted.append(WantedFeature(item))
            continue
        name, version = feature_name(item.name), str(item.version)
        wanted += [WantedFeature(column, name, version) for column in item.columns]
    for feature in wanted:
        check_feature_name(feature.name)
    return wanted


def check_feature_name(name: str) -> None:
    """Refuse a name that no feature column can have.

    Raises:
        IdentifierError: It is malformed, or a column of the bar table.
    """
    feature_name(name)
    if name in BY_NAME:
        msg = message(
            f"'{name}' is a column of the bar table and cannot be a feature.",
            hint="prefix features with their provider's name.",
        )
        raise IdentifierError(msg)


def migrate(
    connection: Connection,
    schema: TableSchema,
    wanted: Sequence[WantedFeature],
    *,
    bar_columns: Iterable[str] = (),
    codec: str | None = None,
) -> TableSchema:
    """Add what is missing, in one ALTER, and see that it is there with the right types.

    Args:
        connection: The database.
        schema: The table as it was last read.
        wanted: Feature columns to have.
        bar_columns: Optional columns of the bar table that are about to be written.
        codec: A key of `CODECS`, for new feature columns.

    Raises:
        SchemaError: A column exists with another type, or the codec is unknown.
    """
    clauses = _clauses(schema, wanted, bar_columns, codec)
    if clauses:
        statement = compose("ALTER TABLE $t $c", t=schema.table.sql, c=join(clauses))
        connection.command(statement)
        schema = read_schema(connection, schema.table)
    _check_types(schema, wanted)
    return schema


def _clauses(
    schema: TableSchema,
    wanted: Sequence[WantedFeature],
    bar_columns: Iterable[str],
    codec: str | None,
) -> list[Sql]:
    clauses = [
        Sql(f"ADD COLUMN IF NOT EXISTS {column_sql(BY_NAME[name])}")
        for name in bar_columns
        if name not in schema.columns
    ]
    if not schema.has_facts:
        facts = [column_sql(column) for column in FACTS]
        clauses += [Sql(f"ADD COLUMN IF NOT EXISTS {one}") for one in facts]
        clauses += [
            Sql(f"ADD {one.replace('INDEX', 'INDEX IF NOT EXISTS', 1)}") for one in index_clauses()
        ]
    for feature in wanted:
        stored = schema.columns.get(feature.name)
        if stored is None:
            clauses.append(_add_feature(feature, codec))
        elif feature.provider is not None and stored.provider != feature.provider:
            comment = literal(feature.comment)
            clauses.append(Sql(f"COMMENT COLUMN IF EXISTS {quote(feature.name)} {comment}"))
    providers = {feature.provider for feature in wanted if feature.provider is not None}
    for provider in sorted(providers):
        name = version_column(provider)
        if name not in schema.columns:
            clauses.append(
                Sql(f"ADD COLUMN IF NOT EXISTS {quote(name)} {_VERSION_TYPE} DEFAULT ''")
            )
        made = made_column(provider)
        if made not in schema.facts:
            clauses.append(Sql(f"ADD COLUMN IF NOT EXISTS {made_clause(provider)}"))
    return clauses


def _add_feature(feature: WantedFeature, codec: str | None) -> Sql:
    comment = f" COMMENT {literal(feature.comment)}" if feature.comment else ""
    packed = f" CODEC({_codec(codec)})" if codec is not None else ""
    declared = f"{quote(feature.name)} {FEATURE_TYPE} DEFAULT NULL{comment}{packed}"
    return Sql(f"ADD COLUMN IF NOT EXISTS {declared}")


def _codec(name: str) -> Sql:
    try:
        return CODECS[name.upper()]
    except (KeyError, AttributeError):
        msg = message(
            f"Codec {name!r} is unknown.", hint=f"use one of {', '.join(sorted(CODECS))}."
        )
        raise SchemaError(msg) from None


def _check_types(schema: TableSchema, wanted: Sequence[WantedFeature]) -> None:
    # NOTE: ADD COLUMN IF NOT EXISTS is content with a column of any type.
    wrong = []
    for feature in wanted:
        stored = schema.columns[feature.name]
        if stored.type != FEATURE_TYPE or not stored.is_ordinary:
            kind = f"{stored.type} {stored.default_kind}".strip()
            wrong.append(f"'{feature.name}': got {kind}, expected {FEATURE_TYPE}")
    if wrong:
        msg = message(
            f"{len(wrong)} feature column(s) of table '{schema.table}' have another type:",
            sorted(wrong),
            f"ALTER TABLE {schema.table} MODIFY COLUMN … {FEATURE_TYPE}, or rename the feature.",
        )
        raise SchemaError(msg)
