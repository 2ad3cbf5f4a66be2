"""Bars larger than memory: a file or a stream, read a table at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from rangebar_enrich._bars.columns import OHLCV
from rangebar_enrich._bars.containers import read_bars
from rangebar_enrich.errors import UnsupportedBarsError, message

_FILE = frozenset({".arrow", ".ipc", ".feather"})
_ENDINGS = frozenset({".parquet", ".arrows", ".csv", *_FILE})
_CSV_BLOCK = 1 << 24
"""Bytes of a CSV from which the types of its columns are guessed."""

_Batches = tuple[pa.Schema, Iterator[pa.RecordBatch]]


def read_batches(source: Any, rows: int) -> Iterator[pa.Table]:
    """Yield bars in tables of `rows` rows, the last with fewer, holding little more than one.

    Args:
        source: A path to Parquet (`.parquet`), Arrow IPC (`.arrow`, `.ipc`, `.feather`), an IPC
            stream (`.arrows`) or CSV (`.csv`); a `pa.RecordBatchReader` or anything else with
            `__arrow_c_stream__`, which is read as it comes; or any eager kind of bars.
        rows: Most rows of a table.

    Yields:
        Tables of one schema; a single one without rows where the source has none.

    Raises:
        UnsupportedBarsError: The path has another ending, or the object holds no bars.
        FileNotFoundError: There is no such file.
    """
    if isinstance(source, str | PathLike):
        opened = _open_file(_checked(Path(fspath(source))), rows)
    else:
        opened = _open_stream(source, rows)
    return _tables(opened, rows)


def _tables(opened: AbstractContextManager[_Batches], rows: int) -> Iterator[pa.Table]:
    with opened as (schema, batches):
        yield from _regrouped(schema, batches, rows)


def _checked(path: Path) -> Path:
    if path.suffix.lower() not in _ENDINGS:
        msg = message(
            f"Files ending in '{path.suffix}' are not read batch by batch.",
            hint="use .parquet, .arrow, .ipc, .feather, .arrows or .csv.",
        )
        raise UnsupportedBarsError(msg)
    if not path.is_file():
        msg = f"No such file: '{path}'"
        raise FileNotFoundError(msg)
    return path


@contextmanager
def _open_file(path: Path, rows: int) -> Iterator[_Batches]:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        # NOTE: buffered, or a row group would be read whole before its first row comes out.
        with pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
            yield file.schema_arrow, file.iter_batches(batch_size=rows)
    elif suffix in _FILE:
        with pa.memory_map(str(path)) as raw, pa.ipc.open_file(raw) as file:
            yield file.schema, (file.get_batch(i) for i in range(file.num_record_batches))
    elif suffix == ".csv":
        from pyarrow import csv

        block = csv.ReadOptions(block_size=_CSV_BLOCK)
        with csv.open_csv(path, read_options=block, convert_options=csv_types()) as reader:
            yield reader.schema, iter(reader)
    else:
        with pa.memory_map(str(path)) as raw, pa.ipc.open_stream(raw) as stream:
            yield stream.schema, iter(stream)


def csv_types() -> Any:
    """Return how to read a CSV of bars: price and volume as float64, also where all are whole."""
    from pyarrow import csv

    prices = {name: pa.float64() for known in OHLCV for name in (known, known.capitalize())}
    return csv.ConvertOptions(column_types=prices)


@contextmanager
def _open_stream(source: Any, rows: int) -> Iterator[_Batches]:
    if isinstance(source, pa.RecordBatchReader):
        yield source.schema, iter(source)
    elif hasattr(source, "__arrow_c_stream__") and not _is_whole(source):
        with pa.RecordBatchReader.from_stream(source) as reader:
            yield reader.schema, iter(reader)
    else:
        table = read_bars(source).to_arrow(())
        yield table.schema, iter(table.to_batches(max_chunksize=rows))


def _is_whole(source: Any) -> bool:
    """Return whether bars are in memory, in a kind that a stream would not carry as it is."""
    is_pandas = type(source).__module__.startswith("pandas")
    return is_pandas or isinstance(source, pa.Table | pa.RecordBatch | pl.DataFrame)


def _regrouped(
    schema: pa.Schema, batches: Iterator[pa.RecordBatch], rows: int
) -> Iterator[pa.Table]:
    """Cut and join batches into tables of `rows` rows; the last may have fewer."""
    pending: list[pa.RecordBatch] = []
    held, is_empty = 0, True
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            piece = batch.slice(start, rows - held)
            pending.append(piece)
            held += piece.num_rows
            start += piece.num_rows
            if held == rows:
                yield pa.Table.from_batches(pending, schema=schema)
                pending, held, is_empty = [], 0, False
    if pending or is_empty:
        yield pa.Table.from_batches(pending, schema=schema)
