"""Over bars that stand still, a window holds only what rounding left of the bars before it."""

from __future__ import annotations

import polars as pl
import pytest

from rangebar_enrich.conformance.examination import Examination

close = pl.col("close")
change = close / close.shift(1) - 1


class Flat:
    """One feature over 20 bars."""

    name, version, columns, min_bars = "flat", "1", ("flat_x",), 0

    def __init__(self, expr, lookback=None):
        self.expr, self.lookback = expr, lookback

    def expressions(self, _context):
        yield self.expr.alias("flat_x")


def _running_score(series: pl.Series) -> pl.Series:
    """Score by Polars' own windows, which carry their sums along."""
    return (series - series.rolling_mean(20)) / series.rolling_std(20)


def _lookback(provider):
    return Examination(provider).result("lookback")


def test_values_that_hang_on_rounding_are_found():
    running = close.map_batches(_running_score, return_dtype=pl.Float64)

    result = _lookback(Flat(running, lookback=19))

    assert result.status == "failed"
    assert "of series 'standstill' is" in result.detail


@pytest.mark.parametrize(
    "expr",
    [
        (close - close.rolling_mean(20)) / close.rolling_std(20),
        (change - change.rolling_mean(20)) / change.rolling_std(20),
        pl.rolling_corr(close, pl.col("volume"), window_size=20),
        change.rolling_skew(20),
    ],
    ids=["score", "score of changes", "correlation", "skewness"],
)
def test_windows_of_the_engine_are_fixed_by_their_bars(expr):
    assert _lookback(Flat(expr)).status == "passed"
