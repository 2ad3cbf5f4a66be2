"""Bars written to a file table by table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from rangebar_enrich._bars.files import read_batches
from rangebar_enrich.cli.bar_files import drafting, synced

_ROWS = 500_000


def _open_parquet(file: IO[bytes], schema: pa.Schema) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetWriter(file, schema)


def _open_csv(file: IO[bytes], schema: pa.Schema) -> Any:
    from pyarrow import csv

    return csv.CSVWriter(file, schema)


_OPENERS: dict[str, Callable[[Any, pa.Schema], Any]] = {
    ".parquet": _open_parquet,
    ".arrow": pa.ipc.new_file,
    ".feather": pa.ipc.new_file,
    ".arrows": pa.ipc.new_stream,
    ".csv": _open_csv,
}


def write_tables(
    tables: Iterable[pa.Table], path: Path, fields: Callable[[], Mapping[str, pa.Field]]
) -> None:
    """Write tables that differ in nothing but the metadata of fields, one after the other.

    A reader sees the old file or the whole new one, never a part.

    Args:
        tables: At least one.
        path: Where to; its ending decides on the format.
        fields: Called after the last table: fields, by column, as they turned out. Formats begin
            with the schema, so the file is written once more where it says something else.
    """
    with drafting(path) as draft:
        written = _write(tables, draft)
        schema = _corrected(written, fields())
        if path.suffix.lower() != ".csv" and not schema.equals(written, check_metadata=True):
            with drafting(draft) as again:
                _write(_relabelled(draft, schema), again)


def _write(tables: Iterable[pa.Table], path: Path) -> pa.Schema:
    """Write tables under the first one's schema, and return it."""
    made = iter(tables)
    first = next(made)
    schema = first.schema
    with synced(path) as file, _OPENERS[path.suffix.lower()](file, schema) as writer:
        writer.write_table(first)
        for table in made:
            writer.write_table(pa.Table.from_arrays(table.columns, schema=schema))
    return schema


def _corrected(schema: pa.Schema, fields: Mapping[str, pa.Field]) -> pa.Schema:
    made = [fields.get(field.name, field) for field in schema]
    return pa.schema(made, metadata=schema.metadata)


def _relabelled(path: Path, schema: pa.Schema) -> Iterable[pa.Table]:
    for table in read_batches(path, _ROWS):
        yield pa.Table.from_arrays(table.columns, schema=schema)
