"""Comparing values: exact pattern of undefined values, numbers within one tolerance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from rangebar_enrich._bars.columns import BAR_DTYPES
from rangebar_enrich._provider.declaration import ISOLATED

Values = npt.NDArray[np.float64]
"""Rows by columns; NaN where a value is undefined (null or NaN: the engine makes both null)."""
Mask = npt.NDArray[np.bool_]

RELATIVE = 1e-9
"""Of a column's own scale: what counts as rounding."""
ROUNDING = 2.0**-50
"""Of the inputs' scale, for each row: what the order of additions may change near zero."""

_RELATIVE_OF: Mapping[pl.DataType, float] = {pl.Float32(): 1e-4, pl.Float64(): RELATIVE}
PRICES = ("open", "high", "low", "close", "vwap")
"""Columns of bars that are as large as prices."""


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


def input_scale(*frames: pl.DataFrame) -> float:
    """Return the largest price of bars, or value of a column that is none of the builder's.

    NOTE: fixed-point turnover is left out: beside 1e17, no difference of a ratio would count.
    """
    sizes = [
        series.fill_nan(None).abs().max()
        for frame in frames
        for series in frame
        if series.dtype.is_float() and (series.name in PRICES or series.name not in BAR_DTYPES)
    ]
    known = [float(size) for size in sizes if size is not None]  # type: ignore[arg-type]
    return max((size for size in known if np.isfinite(size)), default=0.0)


def tolerances(
    before: Values, after: Values, *, scale: float = 0.0, relative: float = RELATIVE
) -> Values:
    """Return by how much two results may differ in each column.

    Args:
        before: One result.
        after: The other.
        scale: Size of what was read, from `input_scale`.
        relative: Share of the column's own scale.
    """
    return relative * column_scales(before, after) + ROUNDING * len(before) * scale


def differing(before: Values, after: Values, tolerance: Values | float) -> Mask:
    """Return where two results of one shape differ by more than a tolerance for each column."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(before - after) > tolerance
        infinite = np.isinf(before) | np.isinf(after)
        apart = np.where(infinite, before != after, apart)
    gone, still = np.isnan(before), np.isnan(after)
    found: Mask = np.where(gone | still, gone != still, apart)
    return found


def first_differences(before: Values, after: Values, *, scale: float = 0.0) -> list[Difference]:
    """Return the first differing row of each column that differs.

    Args:
        before: One result.
        after: The other, of the same shape.
        scale: Size of what was read, from `input_scale`.

    Returns:
        Differences beyond the tolerance, and all of null pattern or infinity.
    """
    found = differing(before, after, tolerances(before, after, scale=scale))
    return [
        Difference(row, column, float(before[row, column]), float(after[row, column]))
        for column in np.flatnonzero(found.any(axis=0)).tolist()
        for row in [int(found[:, column].argmax())]
    ]


def first_change(one: pl.Series, other: pl.Series, rows: int, *, scale: float) -> int | None:
    """Return the first of the leading `rows` in which two columns of any dtype differ, or `None`.

    Null and NaN are two things here; floats may differ by rounding.
    """
    one, other = one.head(rows), other.head(rows)
    different = _unequal(one, other)
    if one.dtype in _RELATIVE_OF and different.any():
        left, right = one.cast(pl.Float64).to_numpy(), other.cast(pl.Float64).to_numpy()
        allowed = tolerances(left, right, scale=scale, relative=_RELATIVE_OF[one.dtype])
        null = (one.is_null() != other.is_null()).to_numpy()
        different &= differing(left, right, allowed) | null
    return int(different.argmax()) if different.any() else None


def _unequal(one: pl.Series, other: pl.Series) -> Mask:
    try:
        return one.ne_missing(other).to_numpy(writable=True)
    except ISOLATED:
        # Some nested types can't be compared by Polars.
        pairs = zip(one.to_list(), other.to_list(), strict=True)
        return np.array([repr(left) != repr(right) for left, right in pairs])


def is_same(before: Values, after: Values) -> Mask:
    """Return for each column whether two results are bit-equal; another shape equals nothing."""
    if before.shape != after.shape:
        return np.zeros(before.shape[1], dtype=bool)
    same: Mask = ((before == after) | (np.isnan(before) & np.isnan(after))).all(axis=0)
    return same


def shown(value: object) -> str:
    """Return a value as people read it; NaN stands for an undefined one, as in `Values`."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "null"
    return f"{value:.8g}" if isinstance(value, float) else str(value)
