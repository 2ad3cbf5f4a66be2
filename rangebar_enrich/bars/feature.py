"""A feature column: float64 values, null where undefined or in the warm-up, and who made it.

Nothing here copies values. Warm-up and NaN go into the validity bitmap; the data buffer is
the one that Polars filled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

Bitmap = npt.NDArray[np.uint8]
"""Validity bits, least significant first, as Arrow lays them out."""


@dataclass(frozen=True, slots=True)
class FeatureColumn:
    """One column that the engine made.

    Attributes:
        field: Arrow field: float64, nullable, metadata `provider`, `version`, `status`.
        array: Its values.
    """

    field: pa.Field
    array: pa.ChunkedArray

    @property
    def name(self) -> str:
        """Column name."""
        return str(self.field.name)


class WarmUp:
    """Which rows of a table lie after the warm-up of their series, as bitmaps.

    Args:
        starts: First row of each series, and the number of rows at the end.
        before: Rows of each series that came before the table's first (its history).
    """

    def __init__(self, starts: npt.NDArray[np.int64], before: Sequence[int] | None = None) -> None:
        self._starts = starts
        self._before = [0] * (len(starts) - 1) if before is None else list(before)
        self._bitmaps: dict[int, Bitmap | None] = {}

    def bitmap(self, rows: int) -> Bitmap | None:
        """Return the bits of a warm-up of `rows` rows, or `None` where every row is valid."""
        if rows not in self._bitmaps:
            self._bitmaps[rows] = self._make(rows)
        return self._bitmaps[rows]

    def _make(self, rows: int) -> Bitmap | None:
        height = int(self._starts[-1])
        lengths = np.diff(self._starts)
        masked = np.clip(rows - np.asarray(self._before, dtype=np.int64), 0, lengths)
        if not masked.any():
            return None
        valid = np.ones(height, dtype=bool)
        for start, count in zip(self._starts[:-1], masked, strict=True):
            valid[start : start + count] = False
        return np.packbits(valid, bitorder="little")


def _bits(buffer: pa.Buffer, offset: int, length: int) -> Bitmap:
    """Return `length` validity bits from `offset`, as a bitmap that starts at bit 0."""
    raw = np.frombuffer(buffer, dtype=np.uint8)
    if offset % 8 == 0:
        return raw[offset // 8 : offset // 8 + (length + 7) // 8]
    bits = np.unpackbits(raw, bitorder="little", count=offset + length)[offset:]
    return np.packbits(bits, bitorder="little")


def _without_nan(values: npt.NDArray[np.float64]) -> Bitmap | None:
    """Return the bits of what is not NaN, or `None` where nothing is NaN."""
    # NOTE: min() passes a NaN on, and is the cheapest way to learn that there is none.
    if not math.isnan(values.min()):
        return None
    return np.packbits(~np.isnan(values), bitorder="little")


def feature_array(series: pl.Series, warm_up: Bitmap | None) -> pa.ChunkedArray:
    """Return a computed series as a float64 Arrow column.

    Args:
        series: Numeric or boolean values, one a bar.
        warm_up: Bits of the rows after the warm-up, or `None` for all of them.

    Returns:
        The values, null where the series is null or NaN or in the warm-up; ±inf is kept.
    """
    if series.dtype != pl.Float64:
        series = series.cast(pl.Float64)
    length = len(series)
    if length == 0:
        return pa.chunked_array([], type=pa.float64())
    if series.n_chunks() > 1:
        series = series.rechunk()
    column = pa.chunked_array(series)
    array = column.chunk(0)
    validity, data = array.buffers()
    values = np.frombuffer(data, dtype=np.float64, count=array.offset + length)[array.offset :]
    masks = [mask for mask in (warm_up, _without_nan(values)) if mask is not None]
    if not masks:
        return column
    if validity is not None:
        masks.append(_bits(validity, array.offset, length))
    bits = np.bitwise_and.reduce(masks) if len(masks) > 1 else masks[0]
    kept = data.slice(array.offset * 8, length * 8)
    made = pa.Array.from_buffers(pa.float64(), length, [pa.py_buffer(bits), kept])
    return pa.chunked_array([made])
