"""Division that is undefined, and never infinite, where the divisor is zero."""

from __future__ import annotations

import polars as pl


def divide(dividend: pl.Expr | float, divisor: pl.Expr) -> pl.Expr:
    """Return the quotient; null where the divisor is 0."""
    return pl.when(divisor != 0.0).then(dividend / divisor)


def divide_by_positive(dividend: pl.Expr | float, divisor: pl.Expr) -> pl.Expr:
    """Return the quotient; null where the divisor is not above 0, as no spread or sum can be."""
    return pl.when(divisor > 0.0).then(dividend / divisor)
