"""A column under the table's type, or a violation that says which value would be damaged.

ClickHouse damages in silence: 300 becomes 44 in a UInt8, 3.9 becomes 3, text becomes NULL. So
every value is checked here, before it is sent.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rangebar_enrich.clickhouse.violations import Violations


def cast_column(
    name: str,
    column: pa.ChunkedArray,
    target: pa.DataType,
    violations: Violations,
    *,
    nullable: bool = True,
) -> pa.ChunkedArray:
    """Return `column` as `target`, note what cannot be.

    Args:
        name: Its name, for the violation.
        column: The values.
        target: Type that the table's column has in Arrow.
        violations: Takes what is wrong.
        nullable: Whether the table's column takes NULL.

    Returns:
        The very same column where the type is right already; nulls of `target` where the
        column cannot be cast at all.
    """
    if column.null_count and not nullable:
        rows = np.flatnonzero(column.is_null().to_numpy())
        violations.rows("null", name, rows, "is null")
    if column.type == target:
        return column
    if not _is_castable(column.type, target):
        violations.column("type", name, f"got {column.type}, expected {target}")
        return pa.chunked_array([pa.nulls(len(column), target)])
    try:
        return column.cast(target)
    except pa.ArrowInvalid:
        return _damaged(name, column, target, violations)


def _is_castable(source: pa.DataType, target: pa.DataType) -> bool:
    types = pa.types
    if types.is_null(source):
        return True
    if types.is_string(target):
        values = source.value_type if types.is_dictionary(source) else source
        text = (types.is_string, types.is_large_string, types.is_string_view)
        return any(test(values) for test in text)
    numeric = types.is_integer(source) or types.is_floating(source) or types.is_boolean(source)
    return bool(numeric or (types.is_decimal(source) and types.is_floating(target)))


def _damaged(
    name: str, column: pa.ChunkedArray, target: pa.DataType, violations: Violations
) -> pa.ChunkedArray:
    """Note the values that `target` cannot hold, by casting them there and back."""
    there = column.cast(target, safe=False)
    back = there.cast(column.type, safe=False)
    differs = pc.fill_null(pc.not_equal(back, column), fill_value=False)
    rows = np.flatnonzero(differs.to_numpy())
    if not len(rows):
        # NOTE: Arrow refuses some values that survive the round trip; nothing is damaged then.
        return there
    first = column[violations.first(rows)].as_py()
    violations.rows("value", name, rows, f"{first!r} does not fit {target}")
    return there
