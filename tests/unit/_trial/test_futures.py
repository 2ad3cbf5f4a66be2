from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rangebar_enrich._bars.columns import BUILDER_COLUMNS
from rangebar_enrich._trial.futures import FUTURES, draw_cuts, replace_future
from rangebar_enrich._trial.samples import Recipe, clocks_of, make_bars
from rangebar_enrich._trial.shapes import MARKET, ODD

LAYOUT = {
    **BUILDER_COLUMNS,
    "timestamp": pl.Datetime("ns"),
    "close_time_ms": pl.Int64(),
    "index": pl.UInt8(),
    "date": pl.Date(),
    "pair": pl.Struct({"a": pl.Float64()}),
    "symbol": pl.String(),
}
RECIPE = Recipe(LAYOUT, clocks_of(LAYOUT))
SAMPLES = [make_bars(shape, 64, 0, RECIPE) for shape in [*MARKET.values(), *ODD.values()]]


@given(cut=st.integers(1, 63), bars=st.sampled_from(SAMPLES), mode=st.sampled_from(FUTURES))
def test_replaced_future_keeps_the_past_and_the_clocks(cut, bars, mode):
    changed = replace_future(bars, cut, np.random.default_rng(cut), mode, RECIPE.clocks)

    assert changed.head(cut).equals(bars.head(cut))
    assert changed.schema == bars.schema
    assert changed["symbol"].equals(bars["symbol"])
    for name in RECIPE.clocks:
        assert changed[name].to_physical().cast(pl.Int64).diff().drop_nulls().min() > 0, name


@given(cut=st.integers(1, 63), name=st.sampled_from(list(MARKET)), mode=st.sampled_from(FUTURES))
def test_replaced_future_is_another_from_its_first_bar_on(cut, name, mode):
    bars = make_bars(MARKET[name], 64, 0, RECIPE)

    changed = replace_future(bars, cut, np.random.default_rng(cut), mode, RECIPE.clocks)

    assert changed["close"][cut] != bars["close"][cut]


def test_blank_future_has_no_prices():
    changed = replace_future(SAMPLES[0], 9, np.random.default_rng(0), "blank", RECIPE.clocks)

    assert changed["close"].null_count() == 64 - 9


@pytest.mark.parametrize("rows", [2, 3, 64])
def test_cuts_are_inside_and_one_is_early(rows):
    cuts = draw_cuts(np.random.default_rng(0), rows, 12)

    assert cuts[0] == 1
    assert max(cuts) < rows
    assert cuts == sorted(set(cuts))
