"""L: one live bar after 200 bars of history, Arrow in and Arrow out."""

from __future__ import annotations

from itertools import count
from typing import Any

import polars as pl
import pyarrow as pa

from benches.bars import SYMBOL, THRESHOLD, make_bars
from benches.contest import OURS, Contender, Contest, Workload
from benches.exact.arithmetic import Bars
from benches.exact.indicators import indicators
from benches.indicators import Indicators, enrich_pandas_naive, flat_expressions, scales
from benches.workloads.indicators import flat_plan
from rangebar_enrich import Enricher

SELECT = "flat select"
_STREAM = 100_000


def make_live(history: int) -> Contest:
    bars = make_bars(_STREAM)
    window = bars.slice(0, history + 1).combine_chunks()
    earlier, latest = window.slice(0, history), window.slice(history, 1)
    provider = Indicators()
    names = provider.columns
    exprs = flat_expressions(provider)
    enricher = Enricher([provider])

    def with_history(_: Any) -> pa.Table:
        return enricher.run(latest, history=earlier, history_is_complete=True).table

    def whole_window(_: Any) -> pa.Table:
        return enricher.run(window).table.slice(history, 1)

    def by_hand(_: Any) -> pa.Table:
        frame = pl.from_arrow(window)
        assert isinstance(frame, pl.DataFrame)
        return flat_plan(frame, exprs, names).tail(1).collect(engine="in-memory").to_arrow()

    hand = pl.DataFrame(window)

    def by_pandas(_: Any) -> pa.Table:
        enriched = enrich_pandas_naive(window.to_pandas())
        return pa.Table.from_pandas(enriched.tail(1), preserve_index=False)

    def features(made: pa.Table) -> pl.DataFrame:
        return pl.DataFrame(made.select(names))

    exact = indicators(Bars(pl.DataFrame(window)))
    last = {name: series.tail(1) for name, series in scales(pl.DataFrame(window)).items()}
    return Contest(
        history + 1,
        [
            Contender("pandas", by_pandas, values=features),
            _pushing(enricher, bars, history),
            Contender("run with history", with_history, values=features),
            Contender("run on the window", whole_window, values=features),
            Contender("flat", by_hand, values=features),
            Contender(SELECT, lambda _: hand.select(exprs), values=lambda made: made.tail(1)),
        ],
        exact=lambda column, row: exact(column, history + row),
        scales=last,
    )


def _pushing(enricher: Enricher, bars: pa.Table, history: int) -> Contender:
    """Return the engine's own way: a live enricher that is given bar after bar."""
    names = list(enricher.columns)
    live = enricher.live(
        symbol=SYMBOL,
        threshold_decimal_bps=THRESHOLD,
        history=bars.slice(0, history),
        history_is_complete=True,
    )
    places = count(history)
    return Contender(
        OURS,
        live.push,
        prepare=lambda: bars.slice(next(places), 1),
        values=lambda made: pl.DataFrame(made.select(names)),
    )


WORKLOADS = (
    Workload(
        "L",
        "live-bar",
        "one bar after 200",
        {"full": [200], "quick": [200], "ci": [200]},
        make_live,
        ("pandas", OURS, "run with history", "run on the window", "flat", SELECT),
        seconds=8.0,
    ),
)
