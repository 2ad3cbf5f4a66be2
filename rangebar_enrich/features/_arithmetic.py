"""Arithmetic that is undefined, and neither infinite nor NaN, where its result would be."""

from __future__ import annotations

import polars as pl


def divide(dividend: pl.Expr | float, divisor: pl.Expr) -> pl.Expr:
    """Return the quotient; null where the divisor is 0."""
    return pl.when(divisor != 0.0).then(dividend / divisor)


def divide_by_positive(dividend: pl.Expr | float, divisor: pl.Expr) -> pl.Expr:
    """Return the quotient; null where the divisor is not above 0, as no spread or sum can be."""
    return pl.when(divisor > 0.0).then(dividend / divisor)


def log_of(values: pl.Expr) -> pl.Expr:
    """Return the natural logarithm; null where the value is not above 0."""
    return pl.when(values > 0.0).then(values.log())


def root_of(values: pl.Expr) -> pl.Expr:
    """Return the square root of what is below 0 by rounding only; that is taken for 0."""
    return values.clip(lower_bound=0.0).sqrt()
