"""Bars larger than memory: batch by batch, with the state of each series carried along."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rangebar_enrich.bars.containers import ArrowBars, read_bars
from rangebar_enrich.bars.series import SeriesKey, SeriesSplit, split_series
from rangebar_enrich.errors import UnsupportedBarsError, message
from rangebar_enrich.live import LiveEnricher

_IPC = frozenset({".arrow", ".ipc", ".feather"})


def read_batches(source: Any, rows: int) -> Iterator[pa.Table]:
    """Yield bars in tables of at most `rows` rows, without holding more than that.

    Args:
        source: A path to Parquet (`.parquet`), Arrow IPC (`.arrow`, `.ipc`, `.feather`) or an IPC
            stream (`.arrows`); a `pa.RecordBatchReader`, or any eager kind of bars.
        rows: Most rows of a table.

    Raises:
        UnsupportedBarsError: The path has another ending.
        FileNotFoundError: There is no such file.
    """
    if isinstance(source, str | PathLike):
        yield from _regrouped(_file_batches(Path(fspath(source)), rows), rows)
    elif isinstance(source, pa.RecordBatchReader):
        yield from _regrouped(iter(source), rows)
    else:
        table = read_bars(source).to_arrow(())
        yield from _regrouped(iter(table.to_batches(max_chunksize=rows)), rows)


def _file_batches(path: Path, rows: int) -> Iterator[pa.RecordBatch]:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=rows)
    elif suffix in _IPC:
        with pa.memory_map(str(path)) as raw, pa.ipc.open_file(raw) as file:
            for index in range(file.num_record_batches):
                yield file.get_batch(index)
    elif suffix == ".arrows":
        with pa.memory_map(str(path)) as raw, pa.ipc.open_stream(raw) as stream:
            yield from stream
    else:
        msg = message(
            f"Files ending in '{suffix}' are not read batch by batch.",
            hint="use .parquet, .arrow, .ipc, .feather or .arrows.",
        )
        raise UnsupportedBarsError(msg)


def _regrouped(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Cut and join batches into tables of `rows` rows; the last may have fewer."""
    pending: list[pa.RecordBatch] = []
    held = 0
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            piece = batch.slice(start, rows - held)
            pending.append(piece)
            held += piece.num_rows
            start += piece.num_rows
            if held == rows:
                yield pa.Table.from_batches(pending)
                pending, held = [], 0
        if not batch.num_rows and not pending:
            pending.append(batch)
    if pending:
        yield pa.Table.from_batches(pending)


class BatchWalk:
    """Enriches one table after another, each series going on from where it stopped.

    Args:
        make: Makes the live enricher of a series.
        symbol: Symbol of all bars, or `None`.
        threshold_decimal_bps: Threshold of all bars, or `None`.
    """

    def __init__(
        self,
        make: Callable[[SeriesKey], LiveEnricher],
        symbol: str | None,
        threshold_decimal_bps: int | None,
    ) -> None:
        self._make, self._symbol, self._threshold = make, symbol, threshold_decimal_bps
        self._live: dict[SeriesKey, LiveEnricher] = {}

    def enrich(self, table: pa.Table) -> pa.Table:
        """Return a table with its features; rows stay in their order."""
        split = split_series(
            ArrowBars(table), symbol=self._symbol, threshold_decimal_bps=self._threshold
        )
        if len(split.keys) == 1:
            return self._push(split.keys[0], table)
        sorted_rows = table if split.order is None else table.take(pa.array(split.order))
        parts = [
            self._push(key, sorted_rows.slice(int(start), int(length)))
            for key, start, length in zip(split.keys, split.starts[:-1], split.lengths, strict=True)
        ]
        # NOTE: fields of parts differ in metadata where a provider failed in one series only.
        joined = pa.concat_tables(part.cast(_joint_schema(parts)) for part in parts)
        return joined if split.order is None else joined.take(_back(split))

    def _push(self, key: SeriesKey, table: pa.Table) -> pa.Table:
        if key not in self._live:
            self._live[key] = self._make(key)
        return self._live[key].push(table)


def _back(split: SeriesSplit) -> pa.Array:
    order = split.order if split.order is not None else np.arange(int(split.starts[-1]))
    back = np.empty(len(order), dtype=np.int64)
    back[order] = np.arange(len(order))
    return pa.array(back)


def _joint_schema(parts: list[pa.Table]) -> pa.Schema:
    """Return the first part's schema, with the worst status of each feature over all parts."""
    schema = parts[0].schema
    for index, field in enumerate(schema):
        statuses = [(part.schema.field(index).metadata or {}).get(b"status") for part in parts]
        if len(set(statuses)) > 1:
            metadata = {**(field.metadata or {}), b"status": b"partial"}
            schema = schema.set(index, field.with_metadata(metadata))
    return schema
