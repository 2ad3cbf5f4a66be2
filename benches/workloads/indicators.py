"""A: thirty features. P: many small providers against one large one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from benches.bars import make_bars
from benches.contest import OURS, Contender, Contest, Workload
from benches.exact.arithmetic import Bars
from benches.exact.indicators import indicators
from benches.indicators import (
    Indicators,
    PluginIndicators,
    enrich_pandas_naive,
    enrich_pandas_shared,
    flat_expressions,
    scales,
    talib_features,
)
from rangebar_enrich import BarContext, Enricher

ONE = "one of 150"
_SEEDED = frozenset(name for name in Indicators().columns if "_ema_" in name)
"""TA-Lib starts an EMA from the mean of its first window, the others from the first value."""


def flat_plan(frame: pl.DataFrame, exprs: Sequence[pl.Expr], names: Sequence[str]) -> pl.LazyFrame:
    """Return the plan a good Polars user writes: one with_columns, then NaN to null."""
    return frame.lazy().with_columns(exprs).with_columns(pl.col(names).fill_nan(None))


def pandas_maker(table: pa.Table) -> Callable[[], Any]:
    """Return a function that gives a fresh DataFrame of the bars, for a plugin to add to."""

    @cache
    def base() -> Any:
        return table.to_pandas()

    return lambda: base().copy()


def from_pandas(names: Sequence[str]) -> Callable[[Any], pl.DataFrame]:
    """Return a function that takes the features out of a DataFrame."""
    return lambda made: pl.DataFrame({name: made[name].to_numpy() for name in names})


def copy_floor(rows: int, columns: int) -> Contender:
    """Return the least that any contender must do: write its columns once."""
    source = [np.full(rows, float(number)) for number in range(columns)]
    return Contender("copy floor", lambda _: [values.copy() for values in source])


def make_indicators(rows: int) -> Contest:
    table = make_bars(rows)
    frame = pl.DataFrame(table)
    provider = Indicators()
    names = provider.columns
    exprs = flat_expressions(provider)
    enricher = Enricher([provider])
    arrays = [frame[name].to_numpy() for name in ("close", "high", "low")]
    picked: Callable[[pl.DataFrame], pl.DataFrame] = lambda made: made.select(names)  # noqa: E731
    return Contest(
        rows,
        [
            Contender(
                "flat",
                lambda _: flat_plan(frame, exprs, names).collect(engine="in-memory"),
                values=picked,
            ),
            Contender(OURS, lambda _: enricher.run(frame).to_caller(), values=picked),
            Contender(
                "ours arrow",
                lambda _: enricher.run(table).table,
                values=lambda made: pl.DataFrame(made.select(names)),
            ),
            Contender(
                "ours first run",
                lambda _: Enricher([Indicators()]).run(frame).to_caller(),
                values=picked,
            ),
            Contender(
                "flat collect()",
                lambda _: flat_plan(frame, exprs, names).collect(),
                values=picked,
            ),
            Contender(
                "pandas", enrich_pandas_naive, pandas_maker(table), values=from_pandas(names)
            ),
            Contender(
                "pandas shared",
                enrich_pandas_shared,
                pandas_maker(table),
                values=from_pandas(names),
            ),
            *_talib(arrays),
            *_plugin(frame, names),
            copy_floor(rows, len(names)),
        ],
        exact=indicators(Bars(frame)),
        scales=scales(frame),
    )


def _plugin(frame: pl.DataFrame, names: Sequence[str]) -> list[Contender]:
    """Return other people's expression plugin, in one plan by hand and through this engine."""
    try:
        provider = PluginIndicators()
    except ImportError:
        return []
    exprs = [expr.alias(name) for name, expr in provider.expressions(BarContext()).items()]
    enricher = Enricher([provider])
    picked: Callable[[pl.DataFrame], pl.DataFrame] = lambda made: made.select(names)  # noqa: E731
    return [
        Contender(
            "polars_talib",
            lambda _: flat_plan(frame, exprs, names).collect(engine="in-memory"),
            values=picked,
            differs=_SEEDED,
        ),
        Contender(
            "ours + polars_talib",
            lambda _: enricher.run(frame).to_caller(),
            values=picked,
            differs=_SEEDED,
        ),
    ]


def _talib(arrays: Sequence[np.ndarray]) -> list[Contender]:
    try:
        import talib  # noqa: F401 - only whether it is there
    except ImportError:
        return []
    return [
        Contender("TA-Lib", lambda _: talib_features(*arrays), values=pl.DataFrame, differs=_SEEDED)
    ]


def make_many_providers(rows: int) -> Contest:
    frame = pl.DataFrame(make_bars(rows))
    keys = [(stem, 5 + n) for n in range(50) for stem in ("mean", "std", "return")]
    one = Enricher([Indicators("one", keys=keys)])
    many = [Indicators(f"p{n:02}", keys=keys[3 * n : 3 * n + 3]) for n in range(50)]
    fifty = Enricher(many)
    exprs = [e.alias(n) for p in many for n, e in p.expressions(BarContext()).items()]
    names = fifty.columns
    plain = [f"{stem}_{window}" for stem, window in keys]

    def renamed(columns: Sequence[str]) -> Callable[[pl.DataFrame], pl.DataFrame]:
        return lambda made: made.select(columns).rename(dict(zip(columns, plain, strict=True)))

    level = dict.fromkeys(plain, frame["close"])
    return Contest(
        rows,
        [
            Contender(ONE, lambda _: one.run(frame).to_caller(), values=renamed(one.columns)),
            Contender(OURS, lambda _: fifty.run(frame).to_caller(), values=renamed(names)),
            Contender(
                "flat",
                lambda _: flat_plan(frame, exprs, names).collect(engine="in-memory"),
                values=renamed(names),
            ),
        ],
        exact=indicators(Bars(frame)),
        scales=level,
    )


WORKLOADS = (
    Workload(
        "A",
        "engine-indicators",
        "30 features",
        {"full": [100, 10_000, 100_000, 1_000_000], "quick": [100, 10_000, 100_000], "ci": [300]},
        make_indicators,
        (
            "flat",
            OURS,
            "ours arrow",
            "ours first run",
            "flat collect()",
            "pandas",
            "pandas shared",
            "TA-Lib",
            "polars_talib",
            "ours + polars_talib",
            "copy floor",
        ),
        seconds=25.0,
        memory={"full": 1_000_000, "quick": 100_000},
        unmeasured=frozenset({"ours first run", "copy floor"}),
    ),
    Workload(
        "P",
        "engine-providers",
        "50 providers of 3",
        {"full": [100_000], "quick": [10_000], "ci": [200]},
        make_many_providers,
        (ONE, OURS, "flat"),
        memory={"full": 100_000, "quick": 10_000},
    ),
)
