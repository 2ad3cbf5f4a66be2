"""Trades in, range bars out: the bridge to the Rust builder (PyPI `rangebar`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from rangebar_enrich.demo.trades import iter_checked_trades
from rangebar_enrich.errors import BarsError, TradesError, message

OuroborosMode = Literal["month", "week", "year"]

_CHUNK_ROWS = 50_000  # the builder takes dicts only: this bounds how many exist at once
_THRESHOLDS = range(1, 100_001)


def build_bars(
    trades: pa.Table | Iterable[pa.RecordBatch],
    *,
    symbol: str,
    threshold_decimal_bps: int,
    ouroboros_mode: OuroborosMode | None = "month",
) -> pa.Table:
    """Build closed range bars from trades.

    Args:
        trades: Trades, oldest first; `rangebar_enrich.demo.trades` says what they look like.
        symbol: Trading symbol.
        threshold_decimal_bps: Width of a bar, 1 to 100,000; 250 is 0.25 %.
        ouroboros_mode: Start the builder anew with each UTC month, week (from Monday) or year,
            which drops the bar that is open then; `None` never does.

    Returns:
        The builder's columns, one row a closed bar; times in µs. `symbol` and
        `threshold_decimal_bps` stand in the schema metadata. The last, open bar is not in it.

    Raises:
        TradesError: No trade, or a bad one; its row is named.
        BarsError: The threshold is out of range.
    """
    if threshold_decimal_bps not in _THRESHOLDS:
        msg = message(f"'threshold_decimal_bps' is {threshold_decimal_bps}; expected 1 to 100000.")
        raise BarsError(msg)
    batches = trades.to_batches(_CHUNK_ROWS) if isinstance(trades, pa.Table) else trades
    built = list(_iter_built(batches, symbol, threshold_decimal_bps, ouroboros_mode))
    if not built:
        raise TradesError(message("There is no trade to build bars from."))
    metadata = {"symbol": symbol, "threshold_decimal_bps": str(threshold_decimal_bps)}
    return pa.concat_tables(built).combine_chunks().replace_schema_metadata(metadata)


def _iter_built(
    batches: Iterable[pa.RecordBatch], symbol: str, threshold: int, mode: OuroborosMode | None
) -> Iterator[pa.Table]:
    from rangebar._core import PyRangeBarProcessor

    period, processor = None, PyRangeBarProcessor(threshold, symbol=symbol)
    for batch in iter_checked_trades(batches):
        for start, piece in _split_by_period(batch, mode):
            if period is not None and start != period:
                processor = PyRangeBarProcessor(threshold, symbol=symbol)
            period = start
            # pa.table takes the builder's arro3 batch without a copy.
            yield pa.table(processor.process_trades_streaming_arrow(_to_dicts(piece)))


def _split_by_period(
    batch: pa.RecordBatch, mode: OuroborosMode | None
) -> Iterator[tuple[Any, pa.RecordBatch]]:
    """Yield the period's start and its rows for each period that `batch` touches."""
    if mode is None:
        yield 0, batch
        return
    times = batch.column("timestamp").cast(pa.timestamp("ms"))
    runs = pc.run_end_encode(pc.floor_temporal(times, unit=mode))
    begin = 0
    for start, end in zip(runs.values, runs.run_ends.to_pylist(), strict=True):
        yield start.value, batch.slice(begin, end - begin)
        begin = end


def _to_dicts(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return one dict a row; 1.6 times as fast as `to_pylist`."""
    names = batch.schema.names
    columns = (column.to_pylist() for column in batch.columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
