"""Merging of moments: mean and sums of powers of the distances from it, of one column or two.

Sources: Chan, Golub and LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample
Variances, 1979; Pébay, Formulas for Robust, One-Pass Parallel Computation of Covariances and
Arbitrary-Order Statistical Moments, Sandia SAND2008-6212, 2008.

Two halves of equal rows have equal means to the bit, so their distance is 0 and all moments of a
constant window are exactly 0. `n` and `m` are the rows of the older and the newer piece.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from rangebar_enrich._windows.doubling import Floats, Merge, Piece


def merge_sums(older: Piece, newer: Piece, _n: int, _m: int) -> Piece:
    """Merge sums."""
    return (np.add(older[0], newer[0]),)


def merge_squares(older: Piece, newer: Piece, n: int, m: int) -> Piece:
    """Merge means and sums of squares: (mean, M2)."""
    (a, aa), (b, bb) = cast("tuple[Floats, Floats]", older), cast("tuple[Floats, Floats]", newer)
    share = m / (n + m)
    apart = b - a
    mean = apart * share
    mean += a
    apart *= apart
    apart *= n * share
    apart += aa
    apart += bb
    return mean, apart


def merge_fourth(older: Piece, newer: Piece, n: int, m: int) -> Piece:
    """Merge means and sums up to fourth powers: (mean, M2, M3, M4)."""
    a, a2, a3, a4 = cast("tuple[Floats, Floats, Floats, Floats]", older)
    b, b2, b3, b4 = cast("tuple[Floats, Floats, Floats, Floats]", newer)
    total = n + m
    share, rest = m / total, n / total
    mean, squares = merge_squares((a, a2), (b, b2), n, m)
    apart = b - a
    square = apart * apart
    cubes = a3 + b3 + square * apart * (n * share * (rest - share))
    cubes += 3.0 * apart * (rest * b2 - share * a2)
    fourths = a4 + b4 + square * square * (n * share * (rest * rest - rest * share + share * share))
    fourths += 6.0 * square * (rest * rest * b2 + share * share * a2)
    fourths += 4.0 * apart * (rest * b3 - share * a3)
    return mean, squares, cubes, fourths


def merge_products(older: Piece, newer: Piece, n: int, m: int) -> Piece:
    """Merge moments of two columns: (mean x, mean y, M2 x, M2 y, products)."""
    a, c, aa, cc, ac = cast("tuple[Floats, Floats, Floats, Floats, Floats]", older)
    b, d, bb, dd, bd = cast("tuple[Floats, Floats, Floats, Floats, Floats]", newer)
    first, first_squares = merge_squares((a, aa), (b, bb), n, m)
    second, second_squares = merge_squares((c, cc), (d, dd), n, m)
    products = (b - a) * (d - c)
    products *= n * (m / (n + m))
    products += ac
    products += bd
    return first, second, first_squares, second_squares, products


def counted(merge: Merge) -> Merge:
    """Return a merge of pieces in which rows are missing: their last array counts what is there.

    Where both are whole it gives the bits of `merge`; an empty piece changes nothing.
    """

    def merged(older: Piece, newer: Piece, _n: int, _m: int) -> Piece:
        n, m = older[-1], newer[-1]
        first, second = n == 0, m == 0
        rows = np.where(first, 1.0, n), np.where(second, 1.0, m)
        made = merge(older[:-1], newer[:-1], *rows)  # type: ignore[arg-type]
        for part, old, new in zip(made, older, newer, strict=False):
            np.copyto(part, new, where=first)
            np.copyto(part, old, where=second)
        return (*made, cast("Floats", n) + cast("Floats", m))

    return merged
