from __future__ import annotations

import math
import random
from itertools import pairwise

import polars as pl
import pytest
from corpus.tried import tried
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_series_equal

from rangebar_enrich._recursion.ewm import Decay, Decayed

_DTYPES = [pl.Float64, pl.Float32, pl.Float16]
_options = st.builds(
    Decay,
    alpha=st.sampled_from([1.0, 0.5, 1 / 3, 0.05, 0.002]),
    adjust=st.booleans(),
    ignore_nulls=st.booleans(),
    min_samples=st.sampled_from([0, 1, 2, 9, 1_200]),
)


def _values(seed: int, rows: int, nulls: float, odd: float) -> list[float | None]:
    rng = random.Random(seed)
    cells = [rng.gauss(100, 5) if rng.random() >= nulls else None for _ in range(rows)]
    return [rng.choice([math.nan, math.inf]) if rng.random() < odd else cell for cell in cells]


def _in_parts(
    decay: Decay, values: pl.Series, bounds: list[int]
) -> tuple[pl.Series, Decayed | None]:
    held, made = None, []
    for start, end in pairwise([0, *bounds, len(values)]):
        part, held = decay.advance(held, values[start:end])
        made.append(part)
    return pl.concat(made), held


def _whole(decay: Decay, values: pl.Series) -> pl.Series:
    return values.ewm_mean(
        alpha=decay.alpha,
        adjust=decay.adjust,
        ignore_nulls=decay.ignore_nulls,
        min_samples=decay.min_samples,
    )


@tried(50, 300)
@given(
    decay=_options,
    seed=st.integers(0, 10_000),
    nulls=st.sampled_from([0.0, 0.0, 0.1, 0.7]),
    odd=st.sampled_from([0.0, 0.0, 0.02]),
    bounds=st.lists(st.integers(0, 80), max_size=6).map(sorted),
    dtype=st.sampled_from(_DTYPES),
)
def test_decay_any_split(decay, seed, nulls, odd, bounds, dtype) -> None:
    values = pl.Series("x", _values(seed, 80, nulls, odd), dtype=pl.Float64).cast(dtype)
    actual, _ = _in_parts(decay, values, bounds)
    assert_series_equal(actual, _whole(decay, values), check_exact=True)


@tried(20, 80)
@given(
    decay=_options,
    seed=st.integers(0, 10_000),
    nulls=st.sampled_from([0.0, 0.0, 0.0004, 0.3]),
    odd=st.sampled_from([0.0, 0.0, 0.0003]),
    bounds=st.lists(st.integers(0, 9_000), max_size=4).map(sorted),
    dtype=st.sampled_from(_DTYPES[:2]),
)
def test_decay_many_rows(decay, seed, nulls, odd, bounds, dtype) -> None:
    values = pl.Series("x", _values(seed, 9_000, nulls, odd), dtype=pl.Float64).cast(dtype)
    actual, _ = _in_parts(decay, values, bounds)
    assert_series_equal(actual, _whole(decay, values), check_exact=True)


@tried(30, 120)
@given(decay=_options, seed=st.integers(0, 999), nulls=st.sampled_from([0.0, 0.1, 0.9]))
def test_decay_state_any_split(decay, seed, nulls) -> None:
    values = pl.Series("x", _values(seed, 3_000, nulls, 0.0), dtype=pl.Float64)
    _, at_once = _in_parts(decay, values, [])
    _, in_steps = _in_parts(decay, values, [1, 2, 900, 2_400])
    assert at_once == in_steps


@pytest.mark.parametrize("adjust", [True, False])
def test_decay_long_silence(adjust: bool) -> None:  # noqa: FBT001
    decay = Decay(alpha=0.01, adjust=adjust, ignore_nulls=False, min_samples=1)
    values = pl.Series([1.0, 2.0, *[None] * 90_000, 5.0, 6.0])
    actual, held = _in_parts(decay, values, [2, 50_000, 90_001])
    assert_series_equal(actual, _whole(decay, values), check_exact=True)
    assert held is not None
    assert held.seen == 4


def test_decay_before_any_value() -> None:
    decay = Decay(alpha=0.5, adjust=True, ignore_nulls=False, min_samples=1)
    made, held = decay.advance(None, pl.Series([None, None], dtype=pl.Float64))
    assert made.to_list() == [None, None]
    assert held is None
    made, held = decay.advance(None, pl.Series([4, None, 8]))
    assert made.to_list() == [4.0, None, 7.2]
    assert held == Decayed(mean=7.2, weight=1.25, seen=2)
