"""O: one bar through an open store. D: the daily job, with nothing new and with ten new bars."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from benches import database
from benches.bars import SYMBOL, THRESHOLD, make_bars
from benches.contest import OURS, Contender, Contest, Workload
from rangebar_enrich import BarContext, Enricher

BARE = "insert_arrow"
AGAIN = "all of it again"
_NEW = 10
_BARS_EACH = 5
_TIMES = ("open_time", "close_time")
_BAR_COLUMNS = (*_TIMES, "open", "high", "low", "close", "volume")


class Averages:
    """Twenty exponential averages: recursions over the whole series."""

    name, version, min_bars = "averages", "1.0", 0
    columns = tuple(f"averages_{span}" for span in range(5, 25))

    def expressions(self, context: BarContext) -> list[pl.Expr]:
        del context
        close = pl.col("close")
        return [close.ewm_mean(span=span).alias(f"averages_{span}") for span in range(5, 25)]


def _narrow(rows: int) -> pa.Table:
    return make_bars(rows).select(_BAR_COLUMNS)


def make_one(rows: int) -> Contest:
    """One row a call: ours, and the bare insert of a row with the same columns."""
    bars, store = _narrow(50_000), database.open_store()
    table = database.make_bar_table("one", ("spare",), "Nullable(Float64)")
    places, plain = count(), count()

    def bare_row() -> pa.Table:
        row = bars.slice(next(plain), 1)
        times = {f"{name}_ms": pa.array(row[name].to_numpy() // 1000) for name in _TIMES}
        prices = {name: row[name] for name in _BAR_COLUMNS if name not in _TIMES}
        key = {"symbol": [SYMBOL], "threshold_decimal_bps": pa.array([THRESHOLD], pa.uint32())}
        return pa.table({**key, **times, **prices})

    return Contest(
        rows,
        [
            Contender(
                OURS,
                lambda row: store.write(row, symbol=SYMBOL, threshold_decimal_bps=THRESHOLD),
                lambda: bars.slice(next(places), 1),
            ),
            Contender(BARE, lambda row: store.client.insert_arrow(table, row), bare_row),
        ],
    )


def make_quiet(series: int) -> Contest:
    """The job over many series that have nothing new."""
    store, enricher = database.open_store(), Enricher([Averages()])
    database.empty(store.table)
    bars = _narrow(_BARS_EACH)
    symbols = pa.array(np.repeat([f"S{place:05}" for place in range(series)], _BARS_EACH))
    table = pa.concat_tables([bars] * series).append_column("symbol", symbols)
    store.write(table, threshold_decimal_bps=THRESHOLD)
    store.backfill(enricher)
    return Contest(series, [Contender(OURS, lambda _: store.backfill(enricher))])


def make_new(rows: int) -> Contest:
    """The job after ten new bars of a series, and the series computed once more."""
    store, enricher = database.open_store(), Enricher([Averages()])
    database.empty(store.table)
    bars, starts = _narrow(rows + 20_000), count(rows, _NEW)
    key = {"symbol": SYMBOL, "threshold_decimal_bps": THRESHOLD}
    store.write(bars.slice(0, rows), **key)
    store.backfill(enricher)

    def more() -> None:
        store.write(bars.slice(next(starts), _NEW), **key)

    def ours(_: Any) -> None:
        store.backfill(enricher)

    def again(_: Any) -> None:
        store.backfill(enricher, force=True)

    return Contest(rows, [Contender(OURS, ours, more), Contender(AGAIN, again, more)])


WORKLOADS = (
    Workload(
        "O",
        "store-one",
        "write one bar through an open store",
        {"full": [1], "quick": [1], "ci": [1]},
        make_one,
        (OURS, BARE),
        seconds=10.0,
    ),
    Workload(
        "D0",
        "store-quiet",
        "daily job: series with nothing new",
        {"full": [3_000], "quick": [100], "ci": [3]},
        make_quiet,
        (OURS,),
        seconds=20.0,
    ),
    Workload(
        "D",
        "store-daily",
        "daily job: 10 new bars, 20 recursions",
        {"full": [20_000], "quick": [20_000], "ci": [200]},
        make_new,
        (OURS, AGAIN),
        seconds=20.0,
    ),
)
