"""Statistics of a window of prices."""

from __future__ import annotations

from functools import reduce
from math import log
from operator import add

import polars as pl

from rangebar_enrich.features import _windows as windows
from rangebar_enrich.features._arithmetic import divide_by_positive

HURST_PARTS = (1, 2, 4)
"""The sizes of `hurst` are the window divided by these."""


def slope(values: pl.Expr, *, window: int) -> pl.Expr:
    """Slope of the least-squares line: Σ (k - k̄)·x / Σ (k - k̄)² over w.

    Source: Gauss, Theoria motus corporum coelestium, 1809
    Unit: price per bar
    TA-Lib: LINEARREG_SLOPE
    """
    return windows.slope(values, window).fill_nan(None)


def intercept(values: pl.Expr, *, window: int) -> pl.Expr:
    """Intercept of the least-squares line: mean(x, w) - slope·(w - 1) / 2, its value at the oldest bar.

    Source: Gauss, Theoria motus corporum coelestium, 1809
    Unit: price
    TA-Lib: LINEARREG_INTERCEPT
    """
    return values.rolling_mean(window) - (window - 1) / 2.0 * slope(values, window=window)


def r_squared(values: pl.Expr, *, window: int) -> pl.Expr:
    """Share of the variance that the line explains: r² of x against the bar number over w.

    Source: Wright, Correlation and Causation, 1921
    Unit: share
    TA-Lib: CORREL with the bar number, squared
    """
    return windows.r_squared(values, window).fill_nan(None)


def zscore(values: pl.Expr, *, window: int) -> pl.Expr:
    """Distance from the mean in deviations: (x - mean(x, w)) / std(x, w), which divides by w - 1.

    Source: the standard score, as in pandas-ta
    Unit: deviations
    """
    return divide_by_positive(values - values.rolling_mean(window), values.rolling_std(window))


def skew(values: pl.Expr, *, window: int) -> pl.Expr:
    """Skewness: √(w·(w - 1)) / (w - 2)·m₃ / m₂^1.5 over w.

    Source: Joanes and Gill, Comparing Measures of Sample Skewness and Kurtosis, 1998
    Unit: none
    """
    return values.rolling_skew(window, bias=False).fill_nan(None)


def kurtosis(values: pl.Expr, *, window: int) -> pl.Expr:
    """Excess kurtosis: (w - 1)·((w + 1)·(m₄ / m₂² - 3) + 6) / ((w - 2)·(w - 3)) over w.

    Source: Joanes and Gill, Comparing Measures of Sample Skewness and Kurtosis, 1998
    Unit: none
    """
    return values.rolling_kurtosis(window, bias=False).fill_nan(None)


def hurst(values: pl.Expr, *, window: int) -> pl.Expr:
    """Hurst exponent by rescaled range: slope of ln(R / S) against ln(size).

    R / S of log returns is the mean over all stretches of a size within the window of w returns; sizes are
    w, w / 2 and w / 4. R is the range of the cumulated distances from the stretch's mean, S its deviation,
    which divides by the size.

    Source: Mandelbrot and Wallis, Robustness of the Rescaled Range R/S, 1969
    Unit: none; 0.5 for a random walk of long windows, more in short ones
    """
    sizes = [window // parts for parts in HURST_PARTS]
    means = [_rescaled_range(values.log(), size).rolling_mean(window - size + 1) for size in sizes]
    centre = sum(map(log, sizes)) / len(sizes)
    weights = [log(size) - centre for size in sizes]
    scale = sum(weight * weight for weight in weights)
    terms = (one.log() * (weight / scale) for one, weight in zip(means, weights, strict=True))
    return reduce(add, terms)


def efficiency(values: pl.Expr, *, window: int) -> pl.Expr:
    """Efficiency ratio: |x - x[-w]| / Σ |Δx| over w.

    Source: Kaufman, Smarter Trading, 1995
    Unit: share
    """
    travel = (values - values.shift(1)).abs().rolling_sum(window)
    return divide_by_positive((values - values.shift(window)).abs(), travel)


def _rescaled_range(prices: pl.Expr, size: int) -> pl.Expr:
    """Return R / S of the last `size` returns; `prices` are logarithms.

    Going back, the way from the stretch's line is the price plus what the line fell.
    """
    returns = prices - prices.shift(1)
    per_step = (prices - prices.shift(size)) / size
    way = [prices, *(prices.shift(back) + per_step * back for back in range(1, size))]
    # NOTE: the horizontal extremes skip nulls; the deviation has none where one is missing.
    spread = pl.max_horizontal(*way) - pl.min_horizontal(*way)
    return divide_by_positive(spread, returns.rolling_std(size, ddof=0))
