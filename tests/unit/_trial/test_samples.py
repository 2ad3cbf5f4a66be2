from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rangebar_enrich._trial.futures import FUTURES, replace_future
from rangebar_enrich._trial.samples import Recipe, make_samples
from rangebar_enrich.conformance.layout import builder_layout, clocks_of

LAYOUT = {
    **builder_layout(),
    "timestamp": pl.Datetime("us", "UTC"),
    "close_time_ms": pl.Int64(),
    "t": pl.Int64(),
    "mood": pl.String(),
    "symbol": pl.String(),
}
RECIPE = Recipe(LAYOUT, clocks_of(LAYOUT, None))
CLOCKS = {"open_time", "close_time", "timestamp", "close_time_ms", "t"}


@pytest.fixture(scope="module")
def samples():
    return make_samples(64, 600, 0, RECIPE)


def test_clocks_are_recognised():
    assert RECIPE.clocks == CLOCKS


def test_clocks_increase_strictly(samples):
    for sample in samples:
        for name in CLOCKS:
            assert sample.bars[name].to_physical().diff().drop_nulls().min() > 0, sample.name


def test_bars_are_bars(samples):
    for sample in samples:
        bars = sample.bars.drop_nulls()
        assert (bars["high"] >= bars.select(pl.max_horizontal("open", "close")).to_series()).all()
        assert (bars["low"] <= bars.select(pl.min_horizontal("open", "close")).to_series()).all()
        assert (bars["volume"] > 0).all()
        assert dict(sample.bars.schema) == LAYOUT


def test_bars_have_the_builders_columns(real_batch):
    batch = pl.DataFrame(real_batch(250))

    assert dict(batch.schema) == dict(builder_layout())


def test_samples_have_what_brings_faults_to_light(samples):
    bars = {sample.name: sample.bars for sample in samples}

    assert bars["ties"]["close"].n_unique() <= 5
    assert bars["nulls"]["close"].null_count() > 5
    assert bars["first row highest"]["close"].arg_max() == 0
    assert bars["late extremes"]["close"].arg_max() > 48
    assert bars["walk"]["close"].is_sorted() is False
    assert bars["gaps"]["close_time"].diff().max() > 86_400_000_000


def test_samples_repeat_for_a_seed(samples):
    again = make_samples(64, 600, 0, RECIPE)
    other = make_samples(64, 600, 1, RECIPE)

    assert all(a.bars.equals(b.bars) for a, b in zip(samples, again, strict=True))
    assert not any(a.bars.equals(b.bars) for a, b in zip(samples, other, strict=True))


@given(cut=st.integers(1, 63), which=st.integers(0, 8), mode=st.sampled_from(FUTURES))
def test_replaced_future_keeps_the_past_and_the_clocks(samples, cut, which, mode):
    bars = samples[which].bars
    changed = replace_future(bars, cut, np.random.default_rng(cut), mode, RECIPE.clocks)

    assert changed.head(cut).equals(bars.head(cut))
    assert changed.schema == bars.schema
    assert not changed["close"].equals(bars["close"])
    for name in CLOCKS:
        assert changed[name].to_physical().diff().drop_nulls().min() > 0
