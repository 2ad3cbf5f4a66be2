"""S: many series in one table, against one series of as many rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from benches.bars import interleaving, make_bars, many_series
from benches.contest import OURS, Contender, Contest, Workload
from benches.exact.arithmetic import Bars
from benches.exact.indicators import indicators
from benches.indicators import Indicators, flat_expressions
from rangebar_enrich import Enricher

ONE = "one series"
INTERLEAVED = "interleaved"


def _contest(rows: int, series: int, *, over: bool) -> Contest:
    length = rows // series
    single = pl.DataFrame(make_bars(rows))
    runs = pl.DataFrame(many_series(series, length))
    mixed = pl.DataFrame(many_series(series, length, interleaved=True))
    places = np.argsort(interleaving(series, length))
    provider = Indicators()
    names = list(provider.columns)
    enricher = Enricher([provider])
    picked: Callable[[pl.DataFrame], pl.DataFrame] = lambda made: made.select(names)  # noqa: E731
    contenders = [
        Contender(OURS, lambda _: enricher.run(runs).to_caller(), values=picked),
        Contender(ONE, lambda _: enricher.run(single).to_caller()),
        Contender(
            INTERLEAVED,
            lambda _: enricher.run(mixed).to_caller(),
            values=lambda made: made.select(names)[places],
        ),
    ]
    if over:
        contenders.append(_over(runs, flat_expressions(provider), names))
    starts = range(0, rows, length)
    return Contest(rows, contenders, exact=indicators(Bars(runs, starts)))


def _over(frame: pl.DataFrame, exprs: Sequence[pl.Expr], names: Sequence[str]) -> Contender:
    windowed = [expr.over("symbol", "threshold_decimal_bps") for expr in exprs]
    return Contender(
        "flat over()",
        lambda _: (
            frame.lazy()
            .with_columns(windowed)
            .with_columns(pl.col(names).fill_nan(None))
            .collect(engine="in-memory")
        ),
        values=lambda made: made.select(names),
    )


def make_long_series(rows: int) -> Contest:
    return _contest(rows, 200 if rows >= 200_000 else 4, over=True)


def make_short_series(rows: int) -> Contest:
    return _contest(rows, rows // 200, over=False)


WORKLOADS = (
    Workload(
        "S",
        "engine-series",
        "200 series",
        {"full": [2_000_000], "quick": [200_000], "ci": [1_200]},
        make_long_series,
        (OURS, ONE, INTERLEAVED, "flat over()"),
        seconds=30.0,
    ),
    Workload(
        "S5",
        "engine-short-series",
        "series of 200 bars",
        {"full": [1_000_000], "quick": [100_000], "ci": [1_200]},
        make_short_series,
        (OURS, ONE, INTERLEAVED),
        seconds=25.0,
    ),
)
