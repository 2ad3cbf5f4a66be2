"""Whether bars came back from the database as they went in."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_PRICES = ("open", "high", "low", "close", "volume")


def find_differences(enriched: pa.Table, stored: pa.Table) -> Iterator[str]:
    """Yield a line for each difference: rows, times floored to ms, prices, and feature bits.

    Args:
        enriched: What the engine returned; `close_time` in µs, one series.
        stored: What was read of its time range; `close_time_ms`.
    """
    if stored.num_rows != enriched.num_rows:
        yield f"{stored.num_rows:,} rows came back for {enriched.num_rows:,} that were written"
        return
    floored = pc.divide(enriched.column("close_time"), 1_000)
    if not floored.equals(stored.column("close_time_ms")):
        yield "the close times differ"
    features = [field.name for field in enriched.schema if b"provider" in (field.metadata or {})]
    for name in (*_PRICES, *features):
        if name not in stored.column_names:
            yield f"column {name!r} did not come back"
        elif count := _count_unequal(enriched.column(name), stored.column(name)):
            yield f"column {name!r} differs in {count:,} rows"


def _count_unequal(left: pa.ChunkedArray, right: pa.ChunkedArray) -> int:
    """Count rows whose null or whose 64 bits differ; -0.0 is not 0.0 here."""
    nulls = [column.is_null().to_numpy() for column in (left, right)]
    bits = [column.fill_null(0.0).to_numpy().view(np.int64) for column in (left, right)]
    return int(np.count_nonzero((nulls[0] != nulls[1]) | (bits[0] != bits[1])))
