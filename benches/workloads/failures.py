"""F: one failing provider of twenty. G: a legacy plugin. Z: no provider at all."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

import polars as pl

from benches.bars import SYMBOL, THRESHOLD, make_bars
from benches.contest import OURS, Contender, Contest, Workload
from benches.exact.arithmetic import Bars
from benches.exact.indicators import indicators
from benches.indicators import Indicators
from rangebar_enrich import BarContext, Enricher, enrich_bars, reset_provider_cache
from rangebar_enrich.protocol import ENTRY_POINT_GROUP

HEALTHY_FIRST, HEALTHY_LATER = "19 healthy first run", "19 healthy"
FIRST, LATER = "ours first run", OURS
BY_HAND = "by hand"


class Failing:
    """A provider whose expression compiles and fails when it runs."""

    name = "failing"
    version = "1"
    columns = ("failing_small",)
    min_bars = 0

    def expressions(self, context: BarContext, /) -> dict[str, pl.Expr]:
        return {"failing_small": pl.col("close").cast(pl.Int8, strict=True)}


def _providers() -> list[Any]:
    keys = [(stem, 5 + n) for n in range(19) for stem in ("mean", "std", "return")]
    return [Indicators(f"p{n:02}", keys=keys[3 * n : 3 * n + 3]) for n in range(19)]


def make_failure(rows: int) -> Contest:
    logging.getLogger("rangebar_enrich").setLevel(logging.CRITICAL)
    frame = pl.DataFrame(make_bars(rows))
    healthy, struck = Enricher(_providers()), Enricher([*_providers(), Failing()])
    healthy.run(frame)
    struck.run(frame)
    names = list(healthy.columns)
    picked: Callable[[pl.DataFrame], pl.DataFrame] = lambda made: made.select(names)  # noqa: E731

    def run(enricher: Enricher) -> pl.DataFrame:
        made: pl.DataFrame = enricher.run(frame).to_caller()
        return made

    return Contest(
        rows,
        [
            Contender(HEALTHY_LATER, lambda _: run(healthy), values=picked),
            Contender(LATER, lambda _: run(struck), values=picked),
            Contender(HEALTHY_FIRST, run, lambda: Enricher(_providers()), picked),
            Contender(FIRST, run, lambda: Enricher([*_providers(), Failing()]), picked),
        ],
        exact=indicators(Bars(frame)),
    )


def make_legacy(rows: int) -> Contest:
    found = tuple(entry_points(group=ENTRY_POINT_GROUP, name="laguerre"))
    if not found:
        msg = "the plugin atr-adaptive-laguerre is not installed"
        raise ModuleNotFoundError(msg)
    plugin = found[0].load()()
    table = make_bars(rows)
    names = list(plugin.columns)
    warm_up = plugin.min_bars
    enricher = Enricher([plugin])

    def by_hand() -> Any:
        import pandas as pd

        bars = table.to_pandas()
        bars.index = pd.DatetimeIndex(bars["close_time"].astype("datetime64[us]"), tz="UTC")
        return bars

    def masked(made: Any) -> pl.DataFrame:
        # The plugin gives values in rows that it declares as warm-up; the engine makes them null.
        early = pl.int_range(pl.len()) < warm_up
        values = {name: made[name].to_numpy() for name in names}
        return pl.DataFrame(values).with_columns(
            pl.when(early.not_()).then(pl.col(names)).cast(pl.Float64)
        )

    return Contest(
        rows,
        [
            Contender(
                BY_HAND, lambda bars: plugin.enrich(bars, SYMBOL, THRESHOLD), by_hand, masked
            ),
            Contender(
                OURS,
                lambda _: enricher.run(table).table,
                values=lambda made: pl.DataFrame(made.select(names)),
            ),
        ],
    )


def make_nothing(rows: int) -> Contest:
    bars = make_bars(rows)
    before = os.environ.get("RANGEBAR_ENRICH_PROVIDERS")
    os.environ["RANGEBAR_ENRICH_PROVIDERS"] = "none_of_them"
    reset_provider_cache()
    if enrich_bars(bars) is not bars:
        msg = "with no provider the bars themselves come back"
        raise AssertionError(msg)

    def restore() -> None:
        if before is None:
            del os.environ["RANGEBAR_ENRICH_PROVIDERS"]
        else:
            os.environ["RANGEBAR_ENRICH_PROVIDERS"] = before
        reset_provider_cache()

    return Contest(
        rows,
        [
            Contender(OURS, lambda _: enrich_bars(bars)),
            Contender("ours, providers=[]", lambda _: enrich_bars(bars, providers=[])),
        ],
        close=restore,
    )


WORKLOADS = (
    Workload(
        "F",
        "engine-failure",
        "one failing of 20",
        {"full": [100_000], "quick": [10_000], "ci": [200]},
        make_failure,
        (HEALTHY_LATER, LATER, HEALTHY_FIRST, FIRST),
    ),
    Workload(
        "G",
        "shim-legacy",
        "real legacy plugin",
        {"full": [100_000], "quick": [10_000], "ci": [200]},
        make_legacy,
        (BY_HAND, OURS),
    ),
    Workload(
        "Z",
        "engine-nothing",
        "no provider",
        {"full": [100_000], "quick": [10_000], "ci": [200]},
        make_nothing,
        (OURS, "ours, providers=[]"),
        seconds=1.0,
    ),
)
