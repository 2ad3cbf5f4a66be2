"""Windows over time: when row order and time order are surely the same.

A window over time reads every row whose time lies in it, ties included. Where times increase
strictly with the rows, that is never a later row. What this module names, the engine checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from rangebar_enrich._expr import tree
from rangebar_enrich._expr.tree import Node
from rangebar_enrich._trial.clocks import is_time
from rangebar_enrich.reach.rules import is_row_number

_PLAIN = frozenset(
    {
        "Alias",
        "KeepName",
        "RenameAlias",
        "Function.SetSortedFlag",
        "Function.TemporalExpr.ConvertTimeZone",
    }
)
_UNITS = ("months", "weeks", "days", "nsecs")


def clock(node: Node, schema: Mapping[str, pl.DataType]) -> frozenset[str] | None:
    """Return the columns that must increase strictly so that `node` does.

    Empty for the row number, which always does; `None` where that cannot be told: a rounded
    time has ties.
    """
    if is_row_number(node):
        return frozenset()
    name = tree.operator(node)
    if name == "Column":
        column = tree.body(node)
        return frozenset({column}) if is_time(column, schema) else None
    if name in _PLAIN or (name == "Cast" and _keeps_order(node, schema)):
        return clock(tree.children(node)[0], schema)
    if name in {"BinaryExpr.Plus", "BinaryExpr.Minus", "BinaryExpr.Multiply"}:
        return _moved_clock(node, schema)
    return None


def _moved_clock(node: Node, schema: Mapping[str, pl.DataType]) -> frozenset[str] | None:
    """Follow a clock that a constant is added to, or multiplied by at least 1."""
    left, right = tree.children(node)
    number = tree.integer(right)
    if number is None or (tree.operator(node) == "BinaryExpr.Multiply" and number < 1):
        return None
    return clock(left, schema)


def _keeps_order(cast: Node, schema: Mapping[str, pl.DataType]) -> bool:
    """Say whether a cast maps different times to different times, in order."""
    dtype: Any = tree.body(tree.body(cast)["dtype"])
    if dtype in {"Int64", "UInt64", "Int128"} if isinstance(dtype, str) else False:
        return True
    if not isinstance(dtype, dict) or "Datetime" not in dtype:
        return False
    # A datetime cast to a coarser unit has ties; an integer is only read in another way.
    return all(_is_integer(name, schema) for name in tree.columns(cast))


def _is_integer(name: str, schema: Mapping[str, pl.DataType]) -> bool:
    dtype = schema.get(name)
    return dtype.is_integer() if dtype is not None else name != "timestamp"


def looks_back(rolling: Mapping[str, Any]) -> bool:
    """Say whether every window of a `rolling` ends at its own row or before: the usual offset."""
    period, offset = rolling["period"], rolling["offset"]
    if not offset["negative"] or period["negative"]:
        return False
    return all(offset[unit] >= period[unit] for unit in _UNITS)


def rows_in(duration: Mapping[str, Any], closed: str) -> int | None:
    """Return how many rows before its own a window over the row number (`"20i"`) reads, else `None`."""
    if not duration["parsed_int"]:
        return None
    steps: int = duration["nsecs"]
    return steps if closed in {"Both", "Left"} else steps - 1
