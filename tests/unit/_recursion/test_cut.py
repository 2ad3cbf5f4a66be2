from __future__ import annotations

import re

import polars as pl
import pytest

from rangebar_enrich._recursion import hold, why_not_held

close, open_ = pl.col("close"), pl.col("open")
row = pl.int_range(pl.len())

REFUSED = {
    "ewm std": (close.ewm_std(span=3) * 2, r"`ewm_std` is not held"),
    "ewm var": (close.ewm_var(span=3).ewm_mean(span=4), r"`ewm_var` is not held"),
    "first": (close / close.first(), r"`first` is not held"),
    "run": (close.rle_id(), r"`rle_id` is not held"),
    "distinct": (close.is_first_distinct().cum_sum(), r"`is_first_distinct` is not held"),
    "over": (close.cum_sum().over("symbol"), r"\.over\(.*`over` is not held"),
    "time window": (
        close.rolling_mean_by("close_time", "5m").cum_sum(),
        r"reads no fixed number of earlier rows, and `rolling_mean_by` is not held",
    ),
    "recursion in a time window": (
        close.cum_sum().rolling("close_time", period="5m"),
        r"`rolling` is not held",
    ),
    "cumulative eval": (
        close.cumulative_eval(pl.element().max()),
        r"`cumulative_eval` is not held",
    ),
    "reversed": (close.cum_sum(reverse=True), r"cum_sum\(reverse=True\)` reads to the end"),
    "ahead below": (close.shift(-1).ewm_mean(span=3), r"shift\(-1\)` reads 1 bar ahead"),
    "ahead above": (close.cum_sum().shift(-2), r"cum_sum\(\).shift\(-2\)` reads 2 bars ahead"),
    "aggregate above": (close.cum_max() / close.cum_max().max(), r"cum_max\(\)\.max\(\)` reads to"),
    "length": (pl.len() - row, r"pl\.len\(\)` reads to the end"),
    "function": (close.map_batches(lambda one: one), r"calls a Python function"),
    "rule": (pl.sum_horizontal(pl.selectors.float()).cum_sum(), r"columns by a rule"),
    "mirrored": (close.reverse().cum_sum().reverse(), r"reverse\(\)` reads to the end"),
}


@pytest.mark.parametrize(("expr", "reason"), REFUSED.values(), ids=REFUSED)
def test_refusal_names_its_operator(expr: pl.Expr, reason: str) -> None:
    text = why_not_held(expr)
    assert text is not None
    assert re.search(reason, text)
    assert "__enrich_" not in text


HELD = {
    "fold": (close.cum_sum(), 0),
    "limited fill": (close.forward_fill(limit=4), 4),
    "fill by strategy": (close.fill_null(strategy="forward"), 0),
    "reach below": (close.diff(3).ewm_mean(span=5), 3),
    "reach above": (close.ewm_mean(span=5).shift(4), 4),
    "reach above and below": (close.rolling_max(6).cum_min().rolling_min(3), 5),
    "row number": (pl.when(row >= 20).then(close), 0),
    "row number under an operator": ((row + 1).log().shift(2), 2),
    "row window": (close.arg_max().rolling(row, period="9i"), 8),
    "row window by": ((close - close.cum_min()).rolling_mean_by(row, "4i"), 3),
    "renamed": (close.cum_sum().name.suffix("_sum"), 0),
    "repeated": (pl.repeat(1, pl.len()).cum_sum(), 0),
    "constant": (pl.lit(3).cum_sum(), 0),
}


@pytest.mark.parametrize(("expr", "past"), HELD.values(), ids=HELD)
def test_context_by_operator(expr: pl.Expr, past: int) -> None:
    assert why_not_held(expr) is None
    assert hold({"x": expr}).context_rows == past


@pytest.mark.parametrize(("expr", "past"), HELD.values(), ids=HELD)
def test_context_suffices(expr: pl.Expr, past: int) -> None:
    bars = pl.DataFrame({"close": [3.0, None, 1.0, 7.0, 5.0, 2.0, 9.0, 9.0, None, 4.0, 6.0] * 3})
    continuation, made = hold({"x": expr}), []
    state = continuation.start()
    for start in range(bars.height):
        out, state = continuation.advance(state, bars.slice(start, 1))
        made.append(out)
        assert state.context is not None
        assert state.context.height == min(past, start + 1)
    expected = bars.lazy().with_columns(x=expr).select("x").collect(engine="in-memory")
    assert pl.concat(made).equals(expected)
