"""Bars in a file or in a folder of files: opened, read whole, counted.

A folder holds files of one format, in the order of their names, numbers in them by value. What
only a path says (`symbol=BTCUSDT/…`), and series keys in which the metadata of files differ, are
columns of its table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from rangebar_enrich._bars.columns import SERIES_COLUMNS, THRESHOLD
from rangebar_enrich._bars.files import ENDINGS, Batches, FileFormat, ending_of, format_of
from rangebar_enrich.errors import BarColumnError, BarsError, UnsupportedBarsError, message


def open_bars(path: Path, rows: int) -> AbstractContextManager[Batches]:
    """Open a file or a folder for reading in batches.

    Args:
        path: Its ending tells the format.
        rows: Most rows of a batch, where the format leaves a choice.

    Raises:
        UnsupportedBarsError: The ending is none that is understood.
        FileNotFoundError: There is no such file.
    """
    if path.is_dir():
        return _walk_folder(Folder.of(path), rows)
    found = format_of(path)
    if not path.is_file():
        msg = f"No such file: '{path}'"
        raise FileNotFoundError(msg)
    return found.walk(path, rows)


def read_whole(path: Path) -> pa.Table:
    """Read all bars of a file or a folder; schema metadata come along where the format has them.

    Raises:
        UnsupportedBarsError: The ending is none that is understood.
        BarsError: The file is not what its ending says.
    """
    with reading(path):
        if not path.is_dir():
            return format_of(path).read(path)
        folder = Folder.of(path)
        schema = folder.schema
        tables = [
            _conforming(folder.format.read(file), schema, folder.constants[file])
            for file in folder.files
        ]
        return pa.concat_tables(tables)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what Arrow and the system raise into an error that names the file."""
    try:
        yield
    except (pa.ArrowException, OSError) as cause:
        raise BarsError(message(f"Cannot read bars from {path.name!r}: {cause}")) from cause


def size_in_memory(path: Path) -> int:
    """Return about how many bytes the bars of a file or a folder take in memory."""
    return sum(map(_file_size, _files(path)))


def count_rows(path: Path) -> int | None:
    """Return the number of bars, `None` where they would have to be read for that."""
    files = _files(path)
    if any(format_of(file).name != "Parquet" for file in files):
        return None
    return sum(_of_parquet(file, lambda meta: meta.num_rows) for file in files)


def is_typed(path: Path) -> bool:
    """Return whether files say the types of their columns."""
    return all(format_of(file).is_typed for file in _files(path))


def _files(path: Path) -> tuple[Path, ...]:
    return Folder.of(path).files if path.is_dir() else (path,)


def _file_size(path: Path) -> int:
    size = path.stat().st_size
    if format_of(path).name != "Parquet":
        return size
    return max(size, _of_parquet(path, _bytes_of))


def _bytes_of(meta: Any) -> int:
    return sum(int(meta.row_group(i).total_byte_size) for i in range(meta.num_row_groups))


def _of_parquet(path: Path, fact: Callable[[Any], Any]) -> int:
    import pyarrow.parquet as pq

    with reading(path), pq.ParquetFile(path) as file:
        return int(fact(file.metadata))


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of a folder, as one table.

    Attributes:
        format: Their format.
        files: The files, in the order in which they are read.
        schema: The columns of all of them; a column that a file lacks is null there.
        constants: For each file, columns that only its path or its metadata say.
    """

    format: FileFormat
    files: tuple[Path, ...]
    schema: pa.Schema
    constants: Mapping[Path, Mapping[str, Any]]

    @classmethod
    def of(cls, root: Path) -> Folder:
        """Find the files of a folder.

        Raises:
            UnsupportedBarsError: It holds no file of bars, or files of several formats.
            BarColumnError: Two files have a column with types that no common one holds.
        """
        files = sorted((path for path in root.rglob("*") if _is_of_bars(path, root)), key=_natural)
        made = _one_format(root, files)
        schemas = {file: _schema_of(made, file) for file in files}
        told = {file: _told_by_path(file, root) for file in files}
        for name in SERIES_COLUMNS:
            _add_differing(name, schemas, told)
        return cls(made, tuple(files), _united(root, schemas, told), told)


def _is_of_bars(path: Path, root: Path) -> bool:
    # NOTE: names that begin with . or _ are notes of whoever wrote the folder, such as _SUCCESS.
    hidden = any(part.startswith((".", "_")) for part in path.relative_to(root).parts)
    return not hidden and ending_of(path) in ENDINGS and path.is_file()


def _natural(path: Path) -> list[Any]:
    """Return a sorting key in which part-10 comes after part-9."""
    parts = re.split(r"(\d+)", str(path))
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]


def _one_format(root: Path, files: list[Path]) -> FileFormat:
    found = {format_of(file).name: format_of(file) for file in files}
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        msg = f"Folder '{root}' holds files of several formats: {', '.join(sorted(found))}."
        raise UnsupportedBarsError(message(msg, hint="give each format a folder of its own."))
    msg = message(f"Folder '{root}' holds no file of bars.", hint=f"use {', '.join(ENDINGS)}.")
    raise UnsupportedBarsError(msg)


def _schema_of(made: FileFormat, file: Path) -> pa.Schema:
    with reading(file), made.walk(file, 1) as (schema, _):
        return schema


def _told_by_path(file: Path, root: Path) -> dict[str, Any]:
    pairs = (part.split("=", 1) for part in file.relative_to(root).parts[:-1] if "=" in part)
    return {name: _typed(name, unquote(value)) for name, value in pairs}


def _typed(name: str, value: str) -> Any:
    return int(value) if name == THRESHOLD and value.isdigit() else value


def _add_differing(
    name: str, schemas: Mapping[Path, pa.Schema], told: Mapping[Path, dict[str, Any]]
) -> None:
    """Make a column of a key that files have in their metadata alone, where they differ."""
    key = name.encode()
    values = {file: (schema.metadata or {}).get(key) for file, schema in schemas.items()}
    if len(set(values.values())) < 2:
        return
    for file, value in values.items():
        if value is not None and name not in schemas[file].names:
            told[file].setdefault(name, _typed(name, value.decode()))


def _united(
    root: Path, schemas: Mapping[Path, pa.Schema], told: Mapping[Path, Mapping[str, Any]]
) -> pa.Schema:
    parts = [
        _without_keys(_with_constants(schema, told[file]), told[file])
        for file, schema in schemas.items()
    ]
    try:
        united = pa.unify_schemas(parts, promote_options="permissive")
    except pa.ArrowException as cause:
        msg = message(
            f"The files of folder '{root}' do not fit together: {cause}",
            hint="write them with one type for each column.",
        )
        raise BarColumnError(msg) from cause
    # NOTE: a column that a file lacks is null there, whatever the others say of it.
    everywhere = set[str](united.names).intersection(*(one.names for one in parts))
    fields = [
        field if field.name in everywhere else field.with_nullable(nullable=True)
        for field in united
    ]
    return pa.schema(fields, metadata=united.metadata)


def _with_constants(schema: pa.Schema, constants: Mapping[str, Any]) -> pa.Schema:
    for name, value in constants.items():
        if name not in schema.names:
            schema = schema.append(pa.field(name, pa.scalar(value).type))
    return schema


def _without_keys(schema: pa.Schema, constants: Mapping[str, Any]) -> pa.Schema:
    """Return the schema without the metadata that a column says row by row."""
    kept = {
        key: value
        for key, value in (schema.metadata or {}).items()
        if key.decode(errors="replace") not in constants
    }
    return schema.with_metadata(kept or None)


@contextmanager
def _walk_folder(folder: Folder, rows: int) -> Iterator[Batches]:
    def batches() -> Iterator[pa.RecordBatch]:
        for file in folder.files:
            with folder.format.walk(file, rows) as (_, found):
                for batch in found:
                    table = pa.Table.from_batches([batch])
                    made = _conforming(table, folder.schema, folder.constants[file])
                    yield from made.to_batches()

    yield folder.schema, batches()


def _conforming(table: pa.Table, schema: pa.Schema, constants: Mapping[str, Any]) -> pa.Table:
    """Return a file's rows under the folder's schema."""
    columns = []
    for field in schema:
        if field.name in table.column_names:
            column = table.column(field.name)
            columns.append(column if column.type == field.type else column.cast(field.type))
        else:
            value = pa.scalar(constants.get(field.name), field.type)
            columns.append(pa.chunked_array([pa.repeat(value, table.num_rows)], type=field.type))
    return pa.Table.from_arrays(columns, schema=schema)
