"""Arrow types beyond those that Polars, Parquet and CSV hold: decoded where they can be."""

from __future__ import annotations

from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

_MOST_DIGITS = 38
"""Digits of a decimal128."""


@lru_cache(maxsize=1024)
def plain_type(kind: pa.DataType) -> pa.DataType | None:
    """Return the type in which Polars holds values of `kind`; `None` where it has none."""
    types = pa.types
    if types.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if types.is_decimal(kind):
        return _plain_decimal(kind)
    if types.is_nested(kind):
        return _plain_nested(kind)
    return None if kind == pa.month_day_nano_interval() else kind


def _plain_decimal(kind: pa.DataType) -> pa.DataType:
    if kind.scale < 0 or kind.precision > _MOST_DIGITS:
        return pa.float64()
    # NOTE: Polars has a type for a decimal256, and panics over its values.
    is_wide = pa.types.is_decimal256(kind)
    return pa.decimal128(kind.precision, kind.scale) if is_wide else kind


def _plain_nested(kind: pa.DataType) -> pa.DataType | None:
    parts = [kind.field(i).type for i in range(kind.num_fields)]
    # NOTE: a view of lists could be cast, if pyarrow 26 did not give a slice of one negative offsets.
    is_view = pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind)
    is_odd = is_view or pa.types.is_union(kind)
    return None if is_odd or any(plain_type(part) != part for part in parts) else kind


def as_plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column in its plain type; the very same one where it is plain already.

    Raises:
        pa.ArrowException: It has none, or a value does not fit.
    """
    kind = plain_type(column.type)
    if kind == column.type or kind is None:
        return column
    if pa.types.is_run_end_encoded(column.type):
        chunks = [pc.run_end_decode(chunk) for chunk in column.chunks]
        return as_plain(pa.chunked_array(chunks, type=column.type.value_type))
    return column.cast(kind)


def textual(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column as files hold it: plain, without views."""
    column = as_plain(column)
    if pa.types.is_string_view(column.type):
        return column.cast(pa.large_string())
    return column.cast(pa.large_binary()) if pa.types.is_binary_view(column.type) else column
