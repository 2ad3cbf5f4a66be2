"""B: the 158 features of Alpha158."""

from __future__ import annotations

import polars as pl

from benches.alpha158_pandas import WINDOWS, enrich_alpha158, scale_expressions
from benches.bars import make_bars
from benches.contest import OURS, Contender, Contest, Workload
from benches.exact.alpha158 import alpha158
from benches.exact.arithmetic import Bars
from benches.workloads.indicators import copy_floor, flat_plan, from_pandas, pandas_maker
from rangebar_enrich import BarContext, Enricher
from rangebar_enrich.features import Alpha158


def make_alpha158(rows: int) -> Contest:
    table = make_bars(rows)
    frame = pl.DataFrame(table)
    provider = Alpha158()
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
            Contender(
                "flat collect()",
                lambda _: flat_plan(frame, exprs, names).collect(),
                values=lambda made: made.select(names),
            ),
            Contender("pandas", enrich_alpha158, pandas_maker(table), values=from_pandas(names)),
            copy_floor(rows, len(names)),
        ],
        exact=alpha158(Bars(frame), provider.min_bars),
        scales=_scales(frame),
    )


def _scales(frame: pl.DataFrame) -> dict[str, pl.Series]:
    """Return what an error of 1 in the inputs' own units does to each column."""
    close, volume = pl.col("close"), pl.col("volume")
    kinds = scale_expressions()
    bar_spread = pl.col("high") - pl.col("low")
    named = {f"alpha158_{stem}": close / bar_spread for stem in kinds["spread"] if stem != "rsv"}
    for w in WINDOWS:
        spread = pl.col("high").rolling_max(w) - pl.col("low").rolling_min(w)
        log_volume = volume.log1p()
        level = close / close.rolling_std(w)
        # A correlation divides by both spreads, so both levels count; a ratio's level is 1.
        both = level * (log_volume.rolling_max(w) / log_volume.rolling_std(w))
        change = (close / close.shift(1)).rolling_std(w)
        change_both = 1.0 / (change * (volume / volume.shift(1)).log1p().rolling_std(w))
        travel = (close - close.shift(1)).abs().rolling_sum(w)
        loud = volume.rolling_max(w)
        quiet = pl.min_horizontal(volume, (volume - volume.shift(1)).abs().rolling_sum(w))
        named |= {
            f"alpha158_rsv{w}": close / spread,
            f"alpha158_rsqr{w}": level.pow(2),
            f"alpha158_corr{w}": both * level,
            f"alpha158_cord{w}": change_both / change,
        }
        named |= {f"alpha158_{stem}{w}": close / travel for stem in kinds["travel"]}
        named |= {f"alpha158_{stem}{w}": loud / quiet for stem in kinds["volume"]}
    made = frame.lazy().select(**named).collect(engine="in-memory")
    return made.to_dict(as_series=True)


WORKLOADS = (
    Workload(
        "B",
        "engine-alpha158",
        "Alpha158, 158 features",
        {"full": [1_000, 100_000], "quick": [10_000], "ci": [300]},
        make_alpha158,
        ("flat", OURS, "flat collect()", "pandas", "copy floor"),
        seconds=25.0,
        memory={"full": 100_000, "quick": 10_000},
        unmeasured=frozenset({"copy floor"}),
    ),
)
