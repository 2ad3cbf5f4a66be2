"""Statistics of a window of prices."""

from __future__ import annotations

from functools import reduce
from math import log
from operator import add

import polars as pl

from rangebar_enrich.features import _windows as windows
from rangebar_enrich.features._arithmetic import divide_by_positive, log_of

HURST_SIZES = (1, 2, 4)
"""Into how many blocks the window of `hurst` is cut."""


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

    R / S of the log returns is the mean over the blocks that a window of w returns is cut into, once
    whole, once in two and once in four. R is the range of the cumulated distances from the block's
    mean, S its deviation, divided by the size.

    Source: Mandelbrot and Wallis, Robustness of the Rescaled Range R/S, 1969
    Unit: none; 0.5 for a random walk of long windows, more in short ones
    """
    prices = log_of(values)
    sizes = [window // blocks for blocks in HURST_SIZES]
    logs = [
        log_of(_mean_of_blocks(_rescaled_range(prices, size), size, blocks))
        for size, blocks in zip(sizes, HURST_SIZES, strict=True)
    ]
    centre = sum(map(log, sizes)) / len(sizes)
    weights = [log(size) - centre for size in sizes]
    scale = sum(weight * weight for weight in weights)
    return reduce(add, (one * (w / scale) for one, w in zip(logs, weights, strict=True)))


def efficiency(values: pl.Expr, *, window: int) -> pl.Expr:
    """Efficiency ratio: |x - x[-w]| / Σ |Δx| over w.

    Source: Kaufman, Smarter Trading, 1995
    Unit: share
    """
    travel = (values - values.shift(1)).abs().rolling_sum(window)
    return divide_by_positive((values - values.shift(window)).abs(), travel)


def _rescaled_range(prices: pl.Expr, size: int) -> pl.Expr:
    """Return R / S of the last `size` returns; `prices` are logarithms."""
    start = prices.shift(size)
    moved = prices - start
    way = [prices.shift(size - step) - start - moved * (step / size) for step in range(1, size)]
    # NOTE: 0 is where the way begins and ends.
    spread = pl.max_horizontal(*way, 0.0) - pl.min_horizontal(*way, 0.0)
    returns = prices - prices.shift(1)
    return divide_by_positive(spread, returns.rolling_std(size, ddof=0))


def _mean_of_blocks(values: pl.Expr, size: int, blocks: int) -> pl.Expr:
    return reduce(add, (values.shift(size * block) for block in range(blocks))) / blocks
