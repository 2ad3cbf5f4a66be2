"""Windows over time: when row order and time order are surely the same.

A window over time reads every row whose time lies in it, ties included. Where times increase
strictly with the rows, that is never a later row. What this module names, the engine checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from rangebar_enrich._bars.columns import TIME_UNITS, TIMESTAMP
from rangebar_enrich._expr import tree
from rangebar_enrich._expr.tree import Node
from rangebar_enrich._trial.clocks import is_time
from rangebar_enrich.reach.rules import is_row_number

_PLAIN = frozenset({"Alias", "KeepName", "RenameAlias", "Function.TemporalExpr.ConvertTimeZone"})
_UNITS = ("months", "weeks", "days", "nsecs")
_LARGEST = {"us": 2**52, "ms": 2**42}
"""More than any time until 2100, in its unit."""
_MOST_ROWS = 2**32
_INT64 = 2**63
_MOST_STEPS = 100_000


@dataclass(frozen=True, slots=True)
class _Clock:
    """What increases strictly where its columns do.

    Attributes:
        columns: The columns.
        largest: The largest size of its values, where arithmetic on it may be followed: of a type
            that could wrap around, or that is not known, it may not.
        is_integer: Whether it is of whole numbers, and not of times.
    """

    columns: frozenset[str]
    largest: int | None = None
    is_integer: bool = True


def clock(node: Node, schema: Mapping[str, pl.DataType]) -> frozenset[str] | None:
    """Return the columns that must increase strictly so that `node` does.

    Empty for the row number, which always does; `None` where that cannot be told: a rounded
    time has ties, and a sum may wrap around.
    """
    found = _follow(node, schema)
    return None if found is None else found.columns


def _follow(node: Node, schema: Mapping[str, pl.DataType]) -> _Clock | None:
    name = tree.operator(node)
    if is_row_number(node):
        return _row_number(node)
    if name == "Column":
        return _column(tree.body(node), schema)
    if name in _PLAIN or (
        name == "Function.SetSortedFlag" and not tree.options(node)["descending"]
    ):
        return _follow(tree.children(node)[0], schema)
    if name == "Cast":
        return _cast(tree.body(node), schema)
    if name in {"BinaryExpr.Plus", "BinaryExpr.Minus", "BinaryExpr.Multiply"}:
        return _moved(node, schema)
    return None


def _row_number(node: Node) -> _Clock:
    while tree.kind(node) == "Alias":
        node = tree.children(node)[0]
    start = tree.integer(tree.children(node)[0]) or 0
    is_wide = tree.body(tree.options(node)["dtype"]) == "Int64"
    return _Clock(frozenset(), abs(start) + _MOST_ROWS if is_wide else None)


def _column(name: str, schema: Mapping[str, pl.DataType]) -> _Clock | None:
    if not is_time(name, schema):
        return None
    dtype = schema.get(name)
    is_integer = dtype.is_integer() if dtype is not None else name != TIMESTAMP
    unit = TIME_UNITS.get(name) if dtype in {None, pl.Int64()} else None
    return _Clock(frozenset({name}), _LARGEST.get(unit or ""), is_integer)


def _cast(cast: Any, schema: Mapping[str, pl.DataType]) -> _Clock | None:
    """Follow a cast that maps different times to different times, in order."""
    found, dtype = _follow(cast["expr"], schema), tree.body(cast["dtype"])
    if found is None:
        return None
    if dtype in ("Int64", "Int128"):
        # NOTE: what does not fit would become null, and nulls come first.
        fits = cast["options"] == "Strict" or found.largest is not None
        return replace(found, is_integer=True) if fits else None
    # An integer is only read in another way; of a time, a coarser unit has ties.
    is_read = isinstance(dtype, dict) and "Datetime" in dtype and found.is_integer
    return replace(found, largest=None, is_integer=False) if is_read else None


def _moved(node: Node, schema: Mapping[str, pl.DataType]) -> _Clock | None:
    """Follow a clock that a constant is added to, or multiplied by at least 1, without wrapping."""
    left, right = tree.children(node)
    found, number = _follow(left, schema), _plain_number(right)
    if found is None or found.largest is None or not found.is_integer or number is None:
        return None
    is_product = tree.operator(node) == "BinaryExpr.Multiply"
    if is_product and number < 1:
        return None
    largest = found.largest * number if is_product else found.largest + abs(number)
    return replace(found, largest=largest) if largest < _INT64 else None


def _plain_number(node: Node) -> int | None:
    """Return a literal that leaves a column of 64 bits what it is."""
    value = tree.body(node) if tree.kind(node) == "Literal" else None
    is_plain = value is not None and tree.kind(tree.body(value)) in {
        "Int",
        "Int8",
        "Int16",
        "Int32",
        "Int64",
    }
    return tree.integer(node) if is_plain else None


def looks_back(rolling: Mapping[str, Any]) -> bool:
    """Say whether every window of a `rolling` ends at its own row or before: the usual offset."""
    period, offset = rolling["period"], rolling["offset"]
    if not offset["negative"] or period["negative"]:
        return False
    return all(offset[unit] >= period[unit] for unit in _UNITS)


def rows_in(duration: Mapping[str, Any], closed: str) -> int | None:
    """Return how many rows before its own a window over whole numbers (`"20i"`) reads at most.

    They increase by 1 at least. `None` where that is no help: of times in microseconds there are
    more in a second than bars in a series.
    """
    steps: int = duration["nsecs"]
    if not duration["parsed_int"] or steps > _MOST_STEPS:
        return None
    return steps if closed in {"Both", "Left"} else steps - 1
