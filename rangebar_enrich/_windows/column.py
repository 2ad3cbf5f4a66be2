"""Columns in and out: numbers that kernels compute with, and what of them is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from rangebar_enrich._windows.layout import Indices, Layout, Values
from rangebar_enrich._windows.window import Window

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Column:
    """One column, or several one after the other.

    Attributes:
        values: The numbers as they are stored; anything where one is missing.
        valid: Which are there; `None` where all are.
    """

    values: Values
    valid: Flags | None = None

    @classmethod
    def of(cls, series: pl.Series) -> Column:
        """Return a column of Polars; its buffer is shared where it is in one piece."""
        series = series.rechunk() if series.n_chunks() > 1 else series
        if series.dtype == pl.Boolean:
            series = series.cast(pl.UInt32)
        if not series.null_count():
            return cls(series.to_numpy())
        valid = series.is_not_null().to_numpy()
        return cls(series.fill_null(0).to_numpy(), valid)

    @classmethod
    def joined(cls, columns: Sequence[Column]) -> Column:
        """Return columns under each other."""
        if len(columns) == 1:
            return columns[0]
        valid = None
        if any(one.valid is not None for one in columns):
            valid = np.concatenate([one.flags for one in columns])
        return cls(np.concatenate([one.values for one in columns]), valid)

    @property
    def flags(self) -> Flags:
        """Which numbers are there."""
        return np.ones(len(self.values), dtype=np.bool_) if self.valid is None else self.valid

    @cached_property
    def floats(self) -> npt.NDArray[np.float64]:
        """The numbers as float64, 0 where one is missing or infinite."""
        made = self.values.astype(np.float64, copy=False)
        return made if self.infinite is None else np.where(self.infinite == 0, made, 0.0)

    @cached_property
    def infinite(self) -> npt.NDArray[np.int8] | None:
        """1 and -1 where a number is infinite; `None` where none is."""
        if self.values.dtype.kind != "f" or not np.isinf(self.values).any():
            return None
        signs: npt.NDArray[np.int8] = np.where(np.isinf(self.values), np.sign(self.values), 0.0)
        return signs.astype(np.int8)

    def filled(self, value: float, dtype: np.dtype[np.generic] | None = None) -> Values:
        """Return the numbers with one value where they are missing."""
        made = self.values if dtype is None else self.values.astype(dtype, copy=False)
        return made if self.valid is None else np.where(self.valid, made, made.dtype.type(value))


def both(columns: Sequence[Column]) -> Flags | None:
    """Return where all columns have a number; `None` where they have one everywhere."""
    masks = [one.valid for one in columns if one.valid is not None]
    return None if not masks else np.logical_and.reduce(masks)


def count_in_windows(flags: Values, size: int, layout: Layout) -> Indices:
    """Return how many rows of each result's window are flagged, exactly.

    Args:
        flags: Whether a row counts.
        size: Length of the window; rows before the series are not in it.
        layout: Series and results.
    """
    rows = layout.row_of
    begins = np.maximum(rows - (size - 1), layout.start_of)
    sums = np.concatenate([[0], np.cumsum(flags, dtype=np.int64)])
    counts: Indices = sums[rows + 1] - sums[begins]
    return counts


def have_enough(valid: Flags | None, window: Window, layout: Layout) -> Flags | None:
    """Return which results have the values that they need; `None` where all have."""
    if valid is not None:
        enough: Flags = count_in_windows(valid, window.size, layout) >= window.needed
        return None if enough.all() else enough
    late = np.minimum(layout.starts[:-1] + window.needed - 1, layout.ends)
    lacking = late - layout.firsts
    if lacking.max(initial=0) <= 0:
        return None
    made = np.ones(layout.results, dtype=np.bool_)
    for index in np.flatnonzero(lacking > 0):
        place = layout.places[index]
        made[place : place + lacking[index]] = False
    return made


def are_late_enough(windows: Sequence[Window], layout: Layout) -> Flags | None:
    """Return which results of columns without gaps have the values that they need.

    Returns:
        Flags of shape (windows, results); `None` where all have.
    """
    needed = np.array([window.needed for window in windows])
    place = layout.row_of - layout.start_of
    if place.size and place.min() >= needed.max() - 1:
        return None
    enough: Flags = place >= needed[:, None] - 1
    return enough


def as_columns(block: npt.NDArray[np.float64], valid: Flags | None) -> list[pl.Series]:
    """Return the lines of a contiguous block as columns of Polars on the same memory.

    Args:
        block: Shape (columns, rows).
        valid: What of each is there, of the same shape; `None` for all.
    """
    if valid is None:
        return [pl.Series(line) for line in block]
    rows, kind = block.shape[1], pa.float64()
    bits = np.packbits(valid, axis=1, bitorder="little")
    masks, values = pa.py_buffer(bits), pa.py_buffer(block)
    wide, deep = bits.shape[1], 8 * rows
    return [
        pl.Series(
            pa.Array.from_buffers(
                kind, rows, [masks.slice(line * wide, wide), values.slice(line * deep, deep)]
            )
        )
        for line in range(len(block))
    ]


def as_series(values: Values, valid: Flags | None, dtype: pl.DataType) -> pl.Series:
    """Return a column of Polars on the same memory, null where `valid` says so."""
    if dtype == pl.Boolean:
        values = values.astype(np.bool_)
    if values.dtype == np.bool_ or valid is None:
        made = pl.Series(values) if valid is None else pl.Series(pa.array(values, mask=~valid))
    else:
        bits = np.packbits(valid, bitorder="little")
        kind = pa.from_numpy_dtype(values.dtype)
        buffers = [pa.py_buffer(bits), pa.py_buffer(np.ascontiguousarray(values))]
        made = pl.Series(pa.Array.from_buffers(kind, len(values), buffers))
    return made if made.dtype == dtype else made.cast(dtype)
