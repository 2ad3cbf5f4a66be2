"""Exact arithmetic over windows of bars.

Inputs are taken as the rational numbers that their floats are; sums, products and quotients are
exact, roots and logarithms have 60 digits. A value is computed for one row at a time, from the
rows of its window alone, so a sample of rows is enough to say who is off, and by how much.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal
from fractions import Fraction

import numpy as np
import polars as pl

DIGITS = Context(prec=60)
Value = Fraction | None
Rows = Sequence[Fraction]


def root(value: Fraction) -> Fraction:
    """Return a square root to 60 digits."""
    quotient = DIGITS.divide(Decimal(value.numerator), Decimal(value.denominator))
    return Fraction(DIGITS.sqrt(quotient))


def log(value: Fraction) -> Fraction:
    """Return a natural logarithm to 60 digits."""
    quotient = DIGITS.divide(Decimal(value.numerator), Decimal(value.denominator))
    return Fraction(DIGITS.ln(quotient))


def ratio(top: Fraction, bottom: Fraction) -> Value:
    """Return a quotient, `None` where it is undefined."""
    return top / bottom if bottom else None


def mean(rows: Rows) -> Fraction:
    """Return the mean."""
    return sum(rows, Fraction()) / len(rows)


def covariance(left: Rows, right: Rows) -> Fraction:
    """Return the covariance with n - 1."""
    a, b = mean(left), mean(right)
    products = ((x - a) * (y - b) for x, y in zip(left, right, strict=True))
    return sum(products, Fraction()) / (len(left) - 1)


def deviation(rows: Rows) -> Fraction:
    """Return the standard deviation with n - 1."""
    return root(covariance(rows, rows))


def as_float(value: Value) -> float | None:
    """Return the nearest float."""
    return None if value is None else float(value)


class Bars:
    """Columns of bars, a window of exact numbers at a time; windows do not cross series.

    Args:
        frame: The bars, in time order within each series.
        starts: First row of each series; by default there is one.
    """

    def __init__(self, frame: pl.DataFrame, starts: Sequence[int] = (0,)) -> None:
        self._arrays = {
            name: frame[name].to_numpy() for name in frame.columns if frame[name].dtype.is_float()
        }
        self._starts = np.asarray(starts)

    def earlier(self, row: int) -> int:
        """Return how many rows of its series lie before a row."""
        return row - int(self._starts[np.searchsorted(self._starts, row, side="right") - 1])

    def window(self, column: str, row: int, count: int) -> list[Fraction]:
        """Return the last `count` rows of a column, the row itself at the end."""
        return [Fraction(float(x)) for x in self._arrays[column][row + 1 - count : row + 1]]

    def at(self, column: str, row: int) -> Fraction:
        """Return one value."""
        return Fraction(float(self._arrays[column][row]))
