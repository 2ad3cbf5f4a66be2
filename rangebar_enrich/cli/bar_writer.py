"""Bars written to a file, whole or table by table; it appears whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from rangebar_enrich._bars.batches import read_batches
from rangebar_enrich._bars.files import ending_of, format_of
from rangebar_enrich.cli.bar_files import check_ending
from rangebar_enrich.errors import BarsError, message

_ROWS = 500_000


def write_bars(table: pa.Table, path: Path) -> None:
    """Write `table`; a reader sees the old file or the whole new one, never a part.

    Raises:
        BarsError: It cannot be written; what was there before still is.
    """
    check_ending(path)
    try:
        with _drafting(path) as draft:
            _write([table], draft)
    except (pa.ArrowException, OSError) as cause:
        raise BarsError(message(f"Cannot write {path.name!r}: {cause}")) from cause


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
    with _drafting(path) as draft:
        written = _write(tables, draft)
        schema = _corrected(written, fields())
        if format_of(path).is_typed and not schema.equals(written, check_metadata=True):
            with _drafting(draft) as again:
                _write(_relabelled(draft, schema), again)


@contextmanager
def _drafting(path: Path) -> Iterator[Path]:
    """Give a path beside `path`, whose file takes its place when the block ends well."""
    target = path.resolve()  # a symbolic link stays one
    ending = ending_of(target)
    stem = target.name[: len(target.name) - len(ending)]
    draft = target.with_name(f".{stem}.{os.getpid()}.tmp{ending}")
    try:
        yield draft
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _write(tables: Iterable[pa.Table], path: Path) -> pa.Schema:
    """Write tables under the first one's schema, and return it; then they are on the disk."""
    made = iter(tables)
    first = next(made)
    schema = first.schema
    made_by = format_of(path).writer
    with path.open("xb") as file, made_by(ending_of(path), file, schema) as writer:
        writer.write_table(first)
        for table in made:
            writer.write_table(pa.Table.from_arrays(table.columns, schema=schema))
    # NOTE: opened anew, since a compressing writer closes the file that it was given.
    with path.open("rb+") as whole:
        os.fsync(whole.fileno())
    return schema


def _corrected(schema: pa.Schema, fields: Mapping[str, pa.Field]) -> pa.Schema:
    made = [fields.get(field.name, field) for field in schema]
    return pa.schema(made, metadata=schema.metadata)


def _relabelled(path: Path, schema: pa.Schema) -> Iterable[pa.Table]:
    for table in read_batches(path, _ROWS):
        yield pa.Table.from_arrays(table.columns, schema=schema)
