"""Least-squares lines and standard scores over a window."""

from __future__ import annotations

import polars as pl

from rangebar_enrich.features._arithmetic import divide_by_positive


def zscore(values: pl.Expr, *, window: int) -> pl.Expr:
    """Return the distance from the window's mean in its deviations (divisor w - 1)."""
    return divide_by_positive(values - values.rolling_mean(window), values.rolling_std(window))


def slope_on(values: pl.Expr, regressor: pl.Expr, *, window: int) -> pl.Expr:
    """Return b of the line values = a + b·regressor; null where the regressor is constant."""
    shared = pl.rolling_cov(values, regressor, window_size=window)
    return divide_by_positive(shared, regressor.rolling_var(window))


def line_at_zero(values: pl.Expr, regressor: pl.Expr, *, window: int) -> pl.Expr:
    """Return a of the line values = a + b·regressor; null where the regressor is constant."""
    fitted = slope_on(values, regressor, window=window)
    return values.rolling_mean(window) - fitted * regressor.rolling_mean(window)
