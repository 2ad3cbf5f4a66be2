"""The one table of file formats: their endings, and how each is read and written.

`iter_batches`, every command and the demo ask here. A folder of files of one format is read as
one table; how it is put together stands in `folders`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import polars as pl
import pyarrow as pa

from rangebar_enrich._bars.arrow_types import textual
from rangebar_enrich._bars.columns import BAR_DTYPES, OHLCV
from rangebar_enrich.errors import UnsupportedBarsError, message

Batches = tuple[pa.Schema, Iterator[pa.RecordBatch]]
"""Batches on their way, and their schema."""

_CSV_BLOCK = 1 << 24
"""Bytes of a CSV from which the types of its columns are guessed, where it is read in batches."""
_MISSING = ["", "#N/A", "N/A", "n/a", "NA", "<NA>", "NULL", "null", "None"]
"""Texts in a CSV that stand for no value. NaN is a value: it comes back as it went in."""
_MAGIC = b"ARROW1"


class TableWriter(Protocol):
    """What writes tables of one schema into an open file."""

    def write_table(self, table: pa.Table) -> None:
        """Write the rows of `table` after those before."""


@dataclass(frozen=True, slots=True)
class FileFormat:
    """A format of bar files.

    Attributes:
        name: What people call it.
        endings: Endings of its files, in lower case; the first one is the usual one.
        read: Reads a file whole.
        walk: Opens a file for reading in batches of at most so many rows, or of its own size.
        writer: Opens a writer into an open file: the ending, the file, the schema.
        is_typed: Whether a file says the types of its columns, and holds metadata.
    """

    name: str
    endings: tuple[str, ...]
    read: Callable[[Path], pa.Table]
    walk: Callable[[Path, int], AbstractContextManager[Batches]]
    writer: Callable[[str, IO[bytes], pa.Schema], AbstractContextManager[TableWriter]]
    is_typed: bool = True


def _read_parquet(path: Path) -> pa.Table:
    import pyarrow.parquet as pq

    return pq.read_table(path, partitioning=None)


@contextmanager
def _walk_parquet(path: Path, rows: int) -> Iterator[Batches]:
    import pyarrow.parquet as pq

    # NOTE: buffered, or a row group would be read whole before its first row comes out. A scan by
    # pyarrow.dataset decodes row groups whole, whatever it is told: 507 MB for one of 2M x 20
    # float64 where this takes 112 MB.
    with pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
        yield file.schema_arrow, file.iter_batches(batch_size=rows)


@contextmanager
def _write_parquet(_: str, file: IO[bytes], schema: pa.Schema) -> Iterator[TableWriter]:
    import pyarrow.parquet as pq

    # NOTE: views only since pyarrow 21, and not to every reader of Parquet.
    plain = _schema_of(schema, textual)
    with pq.ParquetWriter(file, plain) as writer:
        yield _Converting(writer, plain, textual)


def _is_stream(path: Path) -> bool:
    # NOTE: Polars' and others' streams are often named .arrow; the first bytes tell.
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) != _MAGIC


def _read_ipc(path: Path) -> pa.Table:
    opened = pa.ipc.open_stream if _is_stream(path) else pa.ipc.open_file
    with pa.OSFile(str(path)) as raw, opened(raw) as reader:
        return reader.read_all()


@contextmanager
def _walk_ipc(path: Path, _: int) -> Iterator[Batches]:
    is_stream = _is_stream(path)
    with pa.memory_map(str(path)) as raw:
        if is_stream:
            with pa.ipc.open_stream(raw) as stream:
                yield stream.schema, iter(stream)
        else:
            with pa.ipc.open_file(raw) as file:
                yield file.schema, (file.get_batch(i) for i in range(file.num_record_batches))


@contextmanager
def _write_ipc(_: str, file: IO[bytes], schema: pa.Schema) -> Iterator[TableWriter]:
    with pa.ipc.new_file(file, schema) as writer:
        yield writer


@contextmanager
def _write_stream(_: str, file: IO[bytes], schema: pa.Schema) -> Iterator[TableWriter]:
    with pa.ipc.new_stream(file, schema) as writer:
        yield writer


_CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}


def _codec(name: str) -> str | None:
    return next((codec for end, codec in _CODECS.items() if name.lower().endswith(end)), None)


def _csv_options() -> Any:
    """Return how to read a CSV of bars: what is known to be a float or text is never guessed."""
    from pyarrow import csv

    floats = [name for name, dtype in BAR_DTYPES.items() if dtype == pl.Float64]
    types = dict.fromkeys([*floats, *map(str.capitalize, OHLCV)], pa.float64())
    texts = (name for name, dtype in BAR_DTYPES.items() if dtype == pl.String)
    types.update(dict.fromkeys(texts, pa.string()))
    return csv.ConvertOptions(column_types=types, null_values=_MISSING)


def _read_csv(path: Path) -> pa.Table:
    from pyarrow import csv

    # NOTE: Arrow itself knows the endings of compressed files in lower case only.
    with pa.input_stream(str(path), compression=_codec(path.name)) as stream:
        return csv.read_csv(stream, convert_options=_csv_options())


@contextmanager
def _walk_csv(path: Path, _: int) -> Iterator[Batches]:
    from pyarrow import csv

    block = csv.ReadOptions(block_size=_CSV_BLOCK)
    with (
        pa.input_stream(str(path), compression=_codec(path.name)) as stream,
        csv.open_csv(stream, read_options=block, convert_options=_csv_options()) as reader,
    ):
        yield reader.schema, iter(reader)


@contextmanager
def _write_csv(ending: str, file: IO[bytes], schema: pa.Schema) -> Iterator[TableWriter]:
    from pyarrow import csv

    codec, plain = _codec(ending), _schema_of(schema, textual)
    if codec is None:
        with csv.CSVWriter(file, plain) as writer:
            yield _Converting(writer, plain, textual)
        return
    with pa.CompressedOutputStream(file, codec) as packed, csv.CSVWriter(packed, plain) as writer:
        yield _Converting(writer, plain, textual)


def _schema_of(schema: pa.Schema, convert: Callable[[pa.ChunkedArray], pa.ChunkedArray]) -> Any:
    """Return the schema after `convert`."""
    empty = schema.empty_table()
    fields = [
        field.with_type(convert(column).type)
        for field, column in zip(schema, empty.columns, strict=True)
    ]
    return pa.schema(fields, metadata=schema.metadata)


@dataclass(frozen=True, slots=True)
class _Converting:
    """A writer of a format that lacks types: columns are converted on their way."""

    writer: TableWriter
    schema: pa.Schema
    convert: Callable[[pa.ChunkedArray], pa.ChunkedArray]

    def write_table(self, table: pa.Table) -> None:
        """Write the rows of `table`."""
        columns = [self.convert(column) for column in table.columns]
        self.writer.write_table(pa.Table.from_arrays(columns, schema=self.schema))


FORMATS = (
    FileFormat("Parquet", (".parquet", ".pq"), _read_parquet, _walk_parquet, _write_parquet),
    FileFormat("Arrow IPC", (".arrow", ".ipc", ".feather"), _read_ipc, _walk_ipc, _write_ipc),
    FileFormat("an Arrow IPC stream", (".arrows",), _read_ipc, _walk_ipc, _write_stream),
    FileFormat(
        "CSV",
        (".csv", *(f".csv{end}" for end in _CODECS)),
        _read_csv,
        _walk_csv,
        _write_csv,
        is_typed=False,
    ),
)
"""Every format; add one here, and it is known everywhere."""

_BY_ENDING = {ending: one for one in FORMATS for ending in one.endings}
ENDINGS = tuple(_BY_ENDING)
"""Every ending that is understood."""


def ending_of(path: Path) -> str:
    """Return the known ending of a path in lower case, the longest one; else its last part."""
    name = path.name.lower()
    known = [ending for ending in ENDINGS if name.endswith(ending)]
    return max(known, key=len, default=path.suffix)


def format_of(path: Path) -> FileFormat:
    """Return the format of a file, told by its ending.

    Raises:
        UnsupportedBarsError: The ending is none that is understood.
    """
    ending = ending_of(path)
    if ending not in _BY_ENDING:
        what = f"Files ending in '{ending}'" if ending else f"Files without an ending ('{path}')"
        msg = message(f"{what} are not read.", hint=f"use {endings_text()}; or a folder of them.")
        raise UnsupportedBarsError(msg)
    return _BY_ENDING[ending]


def endings_text() -> str:
    """Return the endings that are understood, in words."""
    return f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
