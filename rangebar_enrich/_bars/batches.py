"""Bars larger than memory: a file, a folder or a stream, read a table at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from rangebar_enrich._bars.containers import read_bars
from rangebar_enrich._bars.files import Batches
from rangebar_enrich._bars.folders import open_bars


def read_batches(source: Any, rows: int) -> Iterator[pa.Table]:
    """Yield bars in tables of `rows` rows, the last with fewer, holding little more than one.

    Args:
        source: A path to a file of one of the formats of `files`, or to a folder of such files;
            a `pa.RecordBatchReader` or anything else with `__arrow_c_stream__`, which is read as
            it comes; or any eager kind of bars.
        rows: Most rows of a table.

    Yields:
        Tables of one schema; a single one without rows where the source has none.

    Raises:
        UnsupportedBarsError: The path has another ending, or the object holds no bars.
        FileNotFoundError: There is no such file.
    """
    is_path = isinstance(source, str | PathLike)
    opened = open_bars(Path(fspath(source)), rows) if is_path else _open_stream(source, rows)
    return _tables(opened, rows)


def _tables(opened: AbstractContextManager[Batches], rows: int) -> Iterator[pa.Table]:
    with opened as (schema, batches):
        yield from _regrouped(schema, batches, rows)


@contextmanager
def _open_stream(source: Any, rows: int) -> Iterator[Batches]:
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
