"""Comparing values: exact pattern of undefined values, numbers within a tolerance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
"""Rows by columns; NaN where a value is undefined (null or NaN: the engine makes both null)."""

RELATIVE = 1e-9
ROUNDING = 1e-14
"""Of the inputs' scale: what the order of additions may change where a result is near zero."""


class Difference(NamedTuple):
    """The first row of a column in which two results differ."""

    row: int
    column: int
    before: float
    after: float


def column_scales(*parts: Values) -> Values:
    """Return the largest finite size that each column reaches in any of `parts`."""
    scales = [
        np.where(np.isfinite(part), np.abs(part), 0.0).max(axis=0, initial=0.0) for part in parts
    ]
    made: Values = np.max(scales, axis=0)
    return made


def differing(before: Values, after: Values, tolerance: Values) -> npt.NDArray[np.bool_]:
    """Return where two results of one shape differ by more than a tolerance for each column."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(before - after) > tolerance
        infinite = np.isinf(before) | np.isinf(after)
        apart = np.where(infinite, before != after, apart)
    gone, still = np.isnan(before), np.isnan(after)
    found: npt.NDArray[np.bool_] = np.where(gone | still, gone != still, apart)
    return found


def first_differences(
    before: Values, after: Values, *, input_scale: float = 0.0
) -> list[Difference]:
    """Return the first differing row of each column that differs.

    Args:
        before: One result.
        after: The other, of the same shape.
        input_scale: Size of the prices that were read; 1e-14 of it counts as rounding.

    Returns:
        Differences beyond 1e-9 of the column's own scale, and all of null pattern or infinity.
    """
    tolerance = RELATIVE * column_scales(before, after) + ROUNDING * input_scale
    found = differing(before, after, tolerance)
    return [
        Difference(row, column, float(before[row, column]), float(after[row, column]))
        for column in np.flatnonzero(found.any(axis=0)).tolist()
        for row in [int(found[:, column].argmax())]
    ]


def is_same(before: Values, after: Values) -> npt.NDArray[np.bool_]:
    """Return for each column whether two results are bit-equal; another shape equals nothing."""
    if before.shape != after.shape:
        return np.zeros(before.shape[1], dtype=bool)
    same: npt.NDArray[np.bool_] = ((before == after) | (np.isnan(before) & np.isnan(after))).all(
        axis=0
    )
    return same


def shown(value: float) -> str:
    """Return a value as people read it."""
    return "null" if np.isnan(value) else f"{value:.8g}"
