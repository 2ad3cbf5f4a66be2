from __future__ import annotations

import re

import polars as pl
import pytest

from rangebar_enrich.conformance.examination import Examination

close = pl.col("close")


class One:
    name = "one"
    version = "1"
    columns = ("one_x",)
    min_bars = 0

    def __init__(self, expr, **more):
        self.expr = expr
        for attribute, value in more.items():
            setattr(self, attribute, value)

    def expressions(self, _context):
        return {"one_x": self.expr}


def lookback(expr, **more):
    return Examination(One(expr, **more)).result("lookback")


def by_hand(window):
    return close.map_batches(lambda s: s.rolling_mean(window), return_dtype=pl.Float64)


@pytest.mark.parametrize("expr", [close.rolling_mean(20), close.shift(19), by_hand(20)])
def test_declared_lookback_is_held(expr):
    assert lookback(expr, lookback=19).status == "passed"


@pytest.mark.parametrize("expr", [close.rolling_mean(20), close.shift(19), by_hand(20)])
def test_lookback_short_by_one_fails(expr):
    result = lookback(expr, lookback=18)

    assert result.status == "failed"
    assert "18 earlier bars (declared) do not fix it" in result.detail


def test_lookback_longer_than_the_samples_is_held():
    assert lookback(close.shift(5000), lookback=5000).status == "passed"
    assert lookback(close.shift(5000), lookback=4999).status == "failed"


def test_derived_lookback_is_told():
    assert "19 earlier bars fix every value, as derived" in lookback(close.rolling_max(20)).detail


def test_window_of_python_is_measured():
    assert "fixed by 36 earlier bars, as measured" in lookback(by_hand(37)).detail


def test_unstable_period_is_measured():
    """The weight of history falls to 1e-6 after n bars where (1 - alpha)^n does."""
    result = lookback(close.ewm_mean(alpha=0.1, adjust=False))

    loose, tight = map(
        int, re.findall(r"within 1e-6 after (\d+) earlier bars, 1e-9 after (\d+)", result.detail)[0]
    )
    assert result.status == "passed"
    assert 70 < loose < 135
    assert 55 < tight - loose < 76


def test_sum_of_all_has_no_end():
    assert "has no end" in lookback(close.cum_sum()).detail


def test_declared_lookback_of_a_recursion_must_reach_far_enough():
    expr = close.ewm_mean(alpha=0.1, adjust=False)

    assert lookback(expr, lookback=300).status == "passed"
    assert lookback(expr, lookback=100).status == "failed"
