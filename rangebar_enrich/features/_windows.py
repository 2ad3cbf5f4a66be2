"""Windowed statistics as causal Polars expressions that stay sound far from zero.

Every function takes `window` rows, the current one counted, and gives null until the window is
full. A null or NaN anywhere in the window makes the result undefined, never a statistic of what
is left. Nothing here compares values with `<` or `>` where NaN could come in: Polars orders NaN
above every number, so a comparison would turn it into a plausible feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add

import polars as pl

NOISE = 1e-12
"""A window that spreads less than this share of its level holds rounding noise, no signal."""


def larger(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    """Return the larger of two values, undefined where one is (`max_horizontal` skips it)."""
    return pl.when(left > right).then(left).when(left <= right).then(right)


def smaller(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    """Return the smaller of two values, undefined where one is."""
    return -larger(-left, -right)


def slope(values: pl.Expr, window: int) -> pl.Expr:
    """Least-squares slope of `values` against the row number."""
    return _contrast(values, _slope_weights(window))


def residual(values: pl.Expr, window: int) -> pl.Expr:
    """Distance of the current value from the least-squares line through the window."""
    half = (window - 1) / 2
    line = [1 / window + half * weight for weight in _slope_weights(window)]
    return _contrast(values, [*(-weight for weight in line[:-1]), 1 - line[-1]])


def r_squared(values: pl.Expr, window: int) -> pl.Expr:
    """Share of the window's variance that its least-squares line explains; null if constant."""
    row_variance = (window**2 + window) / 12
    fit = slope(values, window) / values.rolling_std(window)
    defined = _has_signal(values, window, level=values.abs())
    return pl.when(defined).then((fit * fit * row_variance).clip(upper_bound=1.0))


def correlation(
    left: pl.Expr, right: pl.Expr, window: int, *, levels: tuple[pl.Expr, pl.Expr]
) -> pl.Expr:
    """Pearson correlation over the window; null where either side is constant.

    `levels` say how large the numbers were that each side was computed from: less spread than
    rounding noise at that level counts as constant.
    """
    defined = _has_signal(left, window, level=levels[0]) & _has_signal(
        right, window, level=levels[1]
    )
    value = pl.rolling_corr(left, right, window_size=window)
    return pl.when(defined).then(value.clip(-1.0, 1.0))


def rank_share(values: pl.Expr, window: int) -> pl.Expr:
    """Average rank of the current value in its window, divided by the window: (0, 1].

    The signs of the differences to the earlier rows add up to (smaller - greater), which fixes
    the average rank, ties included, and the sum is exact. It takes a third of the time of
    `rolling_rank`, shares its terms between windows, and a NaN does not rank highest.
    """
    signs = [(values - values.shift(k)).sign() for k in range(1, window)]
    return (reduce(add, signs) + (window + 1)) / (2 * window)


def position_of_max(values: pl.Expr, window: int) -> pl.Expr:
    """Position of the largest value, 1 for the oldest row to `window`; the earliest of equals."""
    return _position(values.arg_max(), values.rolling_max(window), window)


def position_of_min(values: pl.Expr, window: int) -> pl.Expr:
    """Position of the smallest value, 1 for the oldest row to `window`; the earliest of equals."""
    return _position(values.arg_min(), values.rolling_min(window), window)


def quantile(values: pl.Expr, share: float, window: int) -> pl.Expr:
    """Quantile of the window, linear between neighbours."""
    # NOTE: a NaN would sort last and leave the lower quantiles standing.
    return values.fill_nan(None).rolling_quantile(share, interpolation="linear", window_size=window)


def _position(place: pl.Expr, extreme: pl.Expr, window: int) -> pl.Expr:
    # NOTE: arg_max is UInt32, whose differences wrap around; and it skips what is undefined,
    # which the rolling extreme does not.
    row = pl.int_range(pl.len())
    position = place.rolling(row, period=f"{window}i").cast(pl.Float64) + 1.0
    return pl.when(extreme.is_not_nan()).then(position)


def _slope_weights(window: int) -> list[float]:
    half = (window - 1) / 2
    total = (window**3 - window) / 12
    return [(row - half) / total for row in range(window)]


def _contrast(values: pl.Expr, weights: Sequence[float]) -> pl.Expr:
    """Sum of the window's values times `weights`, which add up to zero.

    Summed by parts it needs only the steps between rows, which hold no level to cancel; and
    each window is summed afresh, so nothing carries over from rows that have left it.
    """
    remaining = [sum(weights[row:]) for row in range(1, len(weights))]
    # NOTE: a weighted window over a column with nulls panics in Polars; NaN it carries through.
    steps = (values - values.shift(1)).fill_null(float("nan"))
    return steps.rolling_sum(len(remaining), weights=remaining)


def _has_signal(values: pl.Expr, window: int, *, level: pl.Expr) -> pl.Expr:
    return values.rolling_std(window) > level * NOISE
