"""Feature fields of what was read, labelled as the engine labels them.

So a table that was read can be written again, in a process where no provider is installed, and
each feature is still known as what it is. A version is only named where all rows have it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich.clickhouse.columns import BAR_AT
from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.ingest import ReadAt
from rangebar_enrich.clickhouse.provenance import distinct_versions
from rangebar_enrich.clickhouse.query import Selection
from rangebar_enrich.clickhouse.schema import StoredColumn, TableSchema, version_column

Labels = Mapping[str, Mapping[str, str]]
"""Field metadata by column."""


def read_labels(
    connection: Connection, schema: TableSchema, selection: Selection, columns: Sequence[str]
) -> tuple[Labels, ReadAt | None]:
    """Return the metadata of columns that are about to be read, without reading them.

    One version: `version`. Several, or rows that nobody made: `versions`, a JSON list, and no
    `version`; `store.provenance()` and the columns `_version_<provider>` say which row is whose.
    Costs a look at every row; nothing where there is no feature among the columns.

    Returns:
        The metadata of each feature whose provider is known, and what the rows are read at.
    """
    features = [schema.columns[name] for name in columns if name in schema.features]
    if not features:
        return {}, None
    providers = {column.provider for column in features if column.provider is not None}
    versions, (rows, *at) = distinct_versions(connection, schema, selection, providers)
    labels = {
        column.name: _label(column, versions.get(column.provider or "", []))
        for column in features
        if column.provider is not None
    }
    is_known = rows and schema.has_facts
    return labels, ReadAt(str(schema.table), selection.key, *at) if is_known else None


def _label(column: StoredColumn, versions: Sequence[str]) -> dict[str, str]:
    label = {"provider": column.provider or "", "status": "ok"}
    if len(versions) == 1:
        return {**label, "version": versions[0]}
    return {**label, "versions": json.dumps(list(versions))}


def hidden_columns(schema: TableSchema, columns: Sequence[str]) -> list[str]:
    """Return what must be read beside `columns` to say who made which row, and when."""
    features = [schema.columns[name] for name in columns if name in schema.features]
    providers = {column.provider for column in features if column.provider is not None}
    versions = [version_column(name) for name in sorted(providers)]
    facts = [BAR_AT] if schema.has_facts else []
    names = [name for name in versions if name in schema.versions]
    return [name for name in [*names, *facts, "computed_at"] if name not in columns]


def labelled(
    table: pa.Table, schema: TableSchema, key: SeriesKey, columns: Sequence[str]
) -> pa.Table:
    """Return `columns` of what was read, labelled by the rest of it."""
    labels: dict[str, Mapping[str, str]] = {}
    for name in columns:
        column = schema.columns[name]
        if name in schema.features and column.provider is not None:
            version = version_column(column.provider)
            seen = table.column(version).unique().to_pylist() if version in schema.versions else []
            labels[name] = _label(column, sorted(seen))
    return with_labels(table.select(list(columns)), labels, _read_at(table, schema, key))


def _read_at(table: pa.Table, schema: TableSchema, key: SeriesKey) -> ReadAt | None:
    """Return what rows were read at, so that `write` knows which bars changed since."""
    if not schema.has_facts or not table.num_rows:
        return None
    bar_at = table.column(BAR_AT).to_numpy()
    unknown = table.column("computed_at").filter(pa.array(bar_at == 0))
    latest = pc.max(unknown.cast(pa.timestamp("ms", "UTC")).cast(pa.int64())).as_py()
    return ReadAt(str(schema.table), key, int(bar_at.max()), latest or 0)


def with_labels(table: pa.Table, labels: Labels, read: ReadAt | None) -> pa.Table:
    """Return the same columns under labelled fields, in a table that knows its age."""
    fields = [
        field.with_metadata(dict(labels[field.name])) if field.name in labels else field
        for field in table.schema
    ]
    metadata = None if read is None else read.to_metadata()
    return pa.Table.from_arrays(table.columns, schema=pa.schema(fields, metadata))
