"""M: a file larger than one likes to hold in memory, features into another file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from benches.bars import make_bars
from benches.contest import OURS, Contender, Contest, Workload
from benches.exact.arithmetic import Bars
from benches.exact.indicators import indicators
from benches.indicators import Indicators, flat_expressions, scales
from rangebar_enrich import Enricher

WHOLE = "run in memory"
FLAT = "flat sink"
_GROUP = 500_000
_MOST_CHECKED = 100_000
_COLUMNS = ["close_time", "open", "high", "low", "close", "volume"]


def bars_file(rows: int) -> Path:
    """Return a Parquet file of bars, made once and kept in the temporary folder."""
    path = Path(tempfile.gettempdir()) / f"rangebar-bench-{rows}.parquet"
    if not path.exists():
        part = path.with_suffix(".part")
        with pq.ParquetWriter(part, make_bars(1).select(_COLUMNS).schema) as writer:
            made = 0
            while made < rows:
                count = min(_GROUP, rows - made)
                writer.write_table(_piece(count, made))
                made += count
        part.rename(path)
    return path


def _piece(count: int, made: int) -> pa.Table:
    table = make_bars(count).select(_COLUMNS)
    shift = made * 200_000
    later = pa.compute.add(table.column("close_time"), pa.scalar(shift, pa.int64()))
    return table.set_column(0, "close_time", later)


def make_large(rows: int) -> Contest:
    path = bars_file(rows)
    provider = Indicators()
    names = list(provider.columns)
    enricher = Enricher([provider])
    exprs = flat_expressions(provider)
    target = Path(tempfile.mkdtemp(prefix="rangebar-bench-")) / "features.parquet"

    def whole(_: Any) -> None:
        pq.write_table(enricher.run(pq.read_table(path)).table, target)

    def batches(_: Any) -> None:
        writer: pq.ParquetWriter | None = None
        for batch in enricher.iter_batches(path, rows=min(_GROUP, rows // 4)):
            if writer is None:
                writer = pq.ParquetWriter(target, batch.schema)
            writer.write_table(batch)
        if writer is not None:
            writer.close()

    def streaming(_: Any) -> None:
        enricher.lazy(pl.scan_parquet(path)).sink_parquet(target)

    def flat(_: Any) -> None:
        plan = pl.scan_parquet(path).with_columns(exprs)
        plan.with_columns(pl.col(names).fill_nan(None)).sink_parquet(target)

    values: Callable[[Any], pl.DataFrame] = lambda _: pl.read_parquet(target, columns=names)  # noqa: E731
    return Contest(
        rows,
        [
            Contender(WHOLE, whole, values=values),
            Contender(OURS, batches, values=values),
            Contender("lazy sink", streaming, values=values),
            Contender(FLAT, flat, values=values),
        ],
        exact=indicators(Bars(pl.read_parquet(path))) if rows <= _MOST_CHECKED else None,
        scales=scales(pl.read_parquet(path)) if rows <= _MOST_CHECKED else {},
        close=lambda: _remove(target),
    )


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.parent.rmdir()


WORKLOADS = (
    Workload(
        "M",
        "engine-large",
        "Parquet → 30 features → Parquet",
        {"full": [], "quick": [], "ci": [2_000]},
        make_large,
        (WHOLE, OURS, "lazy sink", FLAT),
        memory={"full": 20_000_000, "quick": 500_000},
    ),
)
