"""Deduplication tokens: a name for the exact content of one insert.

The server drops a block whose token it has seen, also when its data differ. So the token is
made of everything that is inserted, `computed_at` included: the same call repeated has the same
token, a later call never has.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import xxhash


def content_token(table: pa.Table, scope: str) -> str:
    """Return the xxh3-128 of a table's content as 32 hexadecimal digits.

    Args:
        table: What is inserted. Names, types, value bytes and null bitmaps count; how the
            rows are chunked, sliced or dictionary-encoded does not.
        scope: Where it is inserted.
    """
    digest = xxhash.xxh3_128(scope.encode())
    for field, column in zip(table.schema, table.columns, strict=True):
        _add_column(digest, field.name, column)
    return digest.hexdigest()


def _add_column(digest: Any, name: str, column: pa.ChunkedArray) -> None:
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        if not _is_constant(column):
            column = column.cast(kind)
    digest.update(f"{name}\0{kind}\0{len(column)}\0".encode())
    array = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
    _add_values(digest, array)


def _is_constant(column: pa.ChunkedArray) -> bool:
    one = column.num_chunks == 1 and len(column.chunk(0).dictionary) == 1
    return one and not column.null_count


def _add_values(digest: Any, array: pa.Array) -> None:
    if pa.types.is_dictionary(array.type):
        digest.update(repr(array.dictionary[0].as_py()).encode())
        return
    if array.null_count:
        digest.update(b"nulls")
        digest.update(array.is_null().to_numpy(zero_copy_only=False))
        array = array.fill_null(_zero(array.type))
    if pa.types.is_primitive(array.type) and not pa.types.is_boolean(array.type):
        width = array.type.bit_width // 8
        first, last = array.offset * width, (array.offset + len(array)) * width
        digest.update(memoryview(array.buffers()[1])[first:last])
        return
    for value in array.to_pylist():
        digest.update(repr(value).encode() + b"\0")


def _zero(kind: pa.DataType) -> pa.Scalar:
    return pa.scalar("" if pa.types.is_string(kind) else 0, kind)
