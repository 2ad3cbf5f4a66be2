"""A feature column: float64 values, null where undefined or in the warm-up, and who made it.

Nothing here copies values. Warm-up and NaN go into the validity bitmap; the data buffer is
the one that Polars filled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

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
    """Which rows of sorted series lie after their warm-up, as bitmaps.

    Args:
        lengths: Rows of each series.
        before: Rows of each series that came before these (its history).
    """

    def __init__(self, lengths: npt.NDArray[np.int64], before: Sequence[int]) -> None:
        self._lengths = lengths
        self._before = np.asarray(before, dtype=np.int64)
        self._pieces: dict[tuple[int | tuple[int, ...], int], list[Bitmap | None]] = {}

    def bitmaps(self, rows: int | tuple[int, ...], pieces: int) -> list[Bitmap | None]:
        """Return the bits of a warm-up of `rows` rows, `None` where every row is valid.

        Args:
            rows: The warm-up, of all series or of each.
            pieces: 1 for one bitmap over all series, else one for each.
        """
        key = (rows, pieces)
        if key not in self._pieces:
            masked = np.clip(np.asarray(rows) - self._before, 0, self._lengths)
            if pieces == len(self._lengths):
                made = [
                    prefix_bitmap(int(length), int(count))
                    for length, count in zip(self._lengths, masked, strict=True)
                ]
            else:
                made = [self._joint(masked)]
            self._pieces[key] = made
        return self._pieces[key]

    def _joint(self, masked: npt.NDArray[np.int64]) -> Bitmap | None:
        if not masked.any():
            return None
        starts = np.cumsum(self._lengths) - self._lengths
        row = np.arange(int(self._lengths.sum())) - np.repeat(starts, self._lengths)
        return np.packbits(row >= np.repeat(masked, self._lengths), bitorder="little")


@lru_cache(maxsize=256)
def prefix_bitmap(length: int, masked: int) -> Bitmap | None:
    """Return `length` bits of which the first `masked` are 0, or `None` for none of them."""
    if not masked:
        return None
    valid = np.ones(length, dtype=bool)
    valid[:masked] = False
    bits = np.packbits(valid, bitorder="little")
    bits.flags.writeable = False
    return bits


def _bits(buffer: pa.Buffer, offset: int, length: int) -> Bitmap:
    """Return `length` validity bits from `offset`, as a bitmap that starts at bit 0."""
    raw = np.frombuffer(buffer, dtype=np.uint8)
    if offset % 8 == 0:
        return raw[offset // 8 : offset // 8 + (length + 7) // 8]
    bits = np.unpackbits(raw, bitorder="little", count=offset + length)[offset:]
    return np.packbits(bits, bitorder="little")


def _without_nan(values: npt.NDArray[np.float64]) -> Bitmap | None:
    """Return the bits of what is not NaN, or `None` where nothing is NaN."""
    # NOTE: a minimum passes a NaN on, and is the cheapest way to learn that there is none.
    if not math.isnan(np.minimum.reduce(values)):
        return None
    return np.packbits(~np.isnan(values), bitorder="little")


def feature_array(pieces: Sequence[pl.Series], warm_up: Sequence[Bitmap | None]) -> pa.ChunkedArray:
    """Return computed values as a float64 Arrow column, a chunk for each piece.

    Args:
        pieces: Numeric or boolean values, one a bar.
        warm_up: For each piece the bits of the rows after the warm-up, or `None` for all rows.

    Returns:
        The values, null where a piece is null or NaN or in the warm-up; ±inf is kept.
    """
    chunks = [_chunk(*pair) for pair in zip(pieces, warm_up, strict=True) if len(pair[0])]
    return pa.chunked_array(chunks, type=pa.float64())


def _chunk(series: pl.Series, warm_up: Bitmap | None) -> pa.Array:
    if series.dtype != pl.Float64:
        series = series.cast(pl.Float64)
    if series.n_chunks() > 1:
        series = series.rechunk()
    array, length = pa.chunked_array(series).chunk(0), len(series)
    offset = array.offset
    validity, data = array.buffers()
    if offset or data.size != 8 * length:
        data = data.slice(offset * 8, length * 8)
    bits, finite = warm_up, _without_nan(np.frombuffer(data, dtype=np.float64))
    if finite is not None:
        bits = finite if bits is None else bits & finite
    if bits is None:
        return array
    if validity is not None:
        bits = bits & _bits(validity, offset, length)
    return pa.Array.from_buffers(pa.float64(), length, [pa.py_buffer(bits), data])


STACKED_ROWS = 1_024
"""Up to so many rows, copying all columns into one block costs less than handling each."""


def stacked_arrays(columns: Sequence[pl.Series], warm_up: Sequence[int]) -> list[pa.ChunkedArray]:
    """Return computed values as float64 Arrow columns that share one block of memory.

    The same values as `feature_array` gives, for few rows of one series.

    Args:
        columns: Numeric or boolean values, one a bar, all of one length.
        warm_up: Rows at the start that are null, for each column.
    """
    frame = pl.DataFrame(columns)
    if any(column.dtype != pl.Float64 for column in columns):
        frame = frame.cast(pl.Float64)
    height, width = frame.shape
    # NOTE: a null becomes NaN here, and both become null below.
    block = np.ascontiguousarray(frame.to_numpy().T)
    valid = np.arange(height) >= np.asarray(warm_up)[:, None]
    valid &= ~np.isnan(block)
    bits = np.packbits(valid, axis=1, bitorder="little")
    values, validity = pa.py_buffer(block), pa.py_buffer(bits)
    size, step = 8 * height, bits.shape[1]
    kind = pa.float64()
    made = []
    for i in range(width):
        buffers = [validity.slice(i * step, step), values.slice(i * size, size)]
        made.append(pa.chunked_array([pa.Array.from_buffers(kind, height, buffers)]))
    return made
