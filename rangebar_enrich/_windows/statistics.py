"""From moments of a window to what users ask for."""

from __future__ import annotations

from typing import cast

import numpy as np

from rangebar_enrich._windows.doubling import Floats, Piece
from rangebar_enrich._windows.window import Window

Count = Floats | float


def of_squares(window: Window, piece: Piece, count: Count) -> Floats:
    """Return mean, variance or standard deviation of (mean, M2)."""
    mean, squares = cast("tuple[Floats, Floats]", piece[:2])
    if window.kind == "mean":
        return mean
    variance = squares / (count - window.ddof)
    return np.sqrt(variance, out=variance) if window.kind == "std" else variance


def of_fourth(window: Window, piece: Piece, count: Count) -> Floats:
    """Return skewness (g1, or G1 without bias) or kurtosis (g2, or G2) of (mean, M2, M3, M4).

    Source: Joanes and Gill, Comparing Measures of Sample Skewness and Kurtosis, 1998.
    """
    _, squares, cubes, fourths = cast("tuple[Floats, Floats, Floats, Floats]", piece[:4])
    variance = squares / count
    if window.kind == "skew":
        skew = (cubes / count) / (variance * np.sqrt(variance))
        return skew if window.bias else skew * np.sqrt(count * (count - 1)) / (count - 2)
    excess = (fourths / count) / (variance * variance) - 3.0
    if not window.bias:
        excess = (count - 1) / ((count - 2) * (count - 3)) * ((count + 1) * excess + 6.0)
    return excess if window.fisher else excess + 3.0


def of_products(window: Window, piece: Piece, count: Count) -> Floats:
    """Return covariance or correlation; undefined (NaN) where a deviation is 0."""
    _, _, first, second, products = cast("tuple[Floats, Floats, Floats, Floats, Floats]", piece[:5])
    if window.kind == "cov":
        return products / (count - window.ddof)
    both = np.sqrt(first * second)
    # NOTE: the root of a product gives exactly 1 for equal columns, and may leave the range.
    outside = ~((both > 0.0) & (both < np.inf))
    np.copyto(both, np.sqrt(first) * np.sqrt(second), where=outside)
    return products / both
