"""T: the indicators that the pack `ta` shares with TA-Lib."""

from __future__ import annotations

import polars as pl

from benches.bars import make_bars
from benches.contest import OURS, Contender, Contest, Workload
from benches.technical import (
    SEEDED_APART,
    STEMS,
    pandas_technical,
    plugin_technical,
    talib_technical,
    technical_scales,
)
from benches.workloads.indicators import copy_floor, flat_plan, from_pandas, pandas_maker
from rangebar_enrich import BarContext, Enricher
from rangebar_enrich.features import ta


def make_technical(rows: int) -> Contest:
    table = make_bars(rows)
    frame = pl.DataFrame(table)
    provider = ta.Core(only=STEMS)
    named = provider.expressions(BarContext(columns=dict(frame.schema)))
    exprs = [expr.alias(name) for name, expr in named.items()]
    names = provider.columns
    enricher = Enricher([provider])
    return Contest(
        rows,
        [
            Contender(
                "flat",
                lambda _: flat_plan(frame, exprs, names).collect(engine="in-memory"),
                values=lambda made: made.select(names),
            ),
            Contender(
                OURS,
                lambda _: enricher.run(frame).to_caller(),
                values=lambda made: made.select(names),
            ),
            Contender("pandas", pandas_technical, pandas_maker(table), values=from_pandas(names)),
            *_talib(frame),
            *_plugin(frame),
            copy_floor(rows, len(names)),
        ],
        scales=technical_scales(frame),
    )


def _talib(frame: pl.DataFrame) -> list[Contender]:
    try:
        import talib  # noqa: F401 - only whether it is there
    except ImportError:
        return []
    arrays = {name: frame[name].to_numpy() for name in ("high", "low", "close", "volume")}
    return [
        Contender(
            "TA-Lib", lambda _: talib_technical(arrays), values=pl.DataFrame, differs=SEEDED_APART
        )
    ]


def _plugin(frame: pl.DataFrame) -> list[Contender]:
    try:
        named = plugin_technical()
    except ImportError:
        return []
    exprs, names = [expr.alias(name) for name, expr in named.items()], list(named)
    return [
        Contender(
            "polars_talib",
            lambda _: flat_plan(frame, exprs, names).collect(engine="in-memory"),
            values=lambda made: made.select(names),
            differs=SEEDED_APART,
        )
    ]


WORKLOADS = (
    Workload(
        "T",
        "engine-technical",
        "37 indicators",
        {"full": [1_000, 100_000], "quick": [10_000], "ci": [600]},
        make_technical,
        ("flat", OURS, "pandas", "TA-Lib", "polars_talib", "copy floor"),
        seconds=25.0,
        memory={"full": 100_000, "quick": 10_000},
        unmeasured=frozenset({"copy floor"}),
    ),
)
