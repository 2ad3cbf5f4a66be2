"""Feature fields of what was read, labelled as the engine labels them.

So a table that was read can be written again, in a process where no provider is installed, and
each feature is still known as what it is. A version is only named where all rows have it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pyarrow as pa

from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.provenance import distinct_versions
from rangebar_enrich.clickhouse.query import Selection
from rangebar_enrich.clickhouse.schema import StoredColumn, TableSchema

Labels = Mapping[str, Mapping[str, str]]
"""Field metadata by column."""


def feature_labels(
    connection: Connection, schema: TableSchema, selection: Selection, columns: Sequence[str]
) -> Labels:
    """Return the metadata of each feature among `columns` whose provider is known.

    One version: `version`. Several, or rows that nobody made: `versions`, a JSON list, and no
    `version`; `store.provenance()` and the columns `_version_<provider>` say which row is whose.
    """
    features = [schema.columns[name] for name in columns if name in schema.features]
    providers = {column.provider for column in features if column.provider is not None}
    versions = distinct_versions(connection, schema, selection, providers)
    return {
        column.name: _label(column, versions.get(column.provider or "", []))
        for column in features
        if column.provider is not None
    }


def _label(column: StoredColumn, versions: Sequence[str]) -> dict[str, str]:
    label = {"provider": column.provider or "", "status": "ok"}
    if len(versions) == 1:
        return {**label, "version": versions[0]}
    return {**label, "versions": json.dumps(list(versions))}


def with_labels(table: pa.Table, labels: Labels) -> pa.Table:
    """Return the same columns under labelled fields."""
    fields = [
        field.with_metadata(dict(labels[field.name])) if field.name in labels else field
        for field in table.schema
    ]
    return pa.Table.from_arrays(table.columns, schema=pa.schema(fields))
