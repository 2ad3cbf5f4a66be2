"""What a column holds, guessed from how expressions use it, where no schema says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

from rangebar_enrich._bars.columns import OHLCV
from rangebar_enrich._expr import tree
from rangebar_enrich._expr.tree import Node
from rangebar_enrich._trial.clocks import is_time
from rangebar_enrich.reach.table import ROLLING_BY

_INTEGER = pl.Int64()
_DATETIME = pl.Datetime("us")
_DATETIMES = frozenset({"timestamp", "datetime", "date", "dt"})
_FAMILIES: dict[str, pl.DataType] = {
    "Function.StringExpr": pl.String(),
    "Function.ListExpr": pl.List(pl.Float64()),
    "Function.ArrayExpr": pl.Array(pl.Float64(), 2),
    "Function.TemporalExpr": _DATETIME,
    "Function.Business": pl.Date(),
    "Function.Bitwise": _INTEGER,
    "Eval.List": pl.List(pl.Float64()),
    "Eval.ListAgg": pl.List(pl.Float64()),
    "Explode": pl.List(pl.Float64()),
    "Function.Boolean.Not": pl.Boolean(),
    "Function.Boolean.Any": pl.Boolean(),
    "Function.Boolean.All": pl.Boolean(),
    "Function.ArgWhere": pl.Boolean(),
}
BARS = frozenset(OHLCV)
"""Columns that are floats whatever is done with them."""


def guess_dtypes(nodes: Iterable[Node]) -> dict[str, pl.DataType]:
    """Return a dtype for each column whose use tells more than "a number"."""
    guessed: dict[str, pl.DataType] = {}
    for node in nodes:
        for part in tree.walk(node):
            for column, dtype in _uses(part):
                if column.lower() not in BARS:
                    guessed.setdefault(column, dtype)
    return guessed


def _uses(node: Node) -> Iterator[tuple[str, pl.DataType]]:
    """Yield the columns that stand directly under an operator, with what it takes there."""
    name, parts = tree.operator(node), tree.children(node)
    if name == "Column" and is_time(tree.body(node), {}):
        yield tree.body(node), _DATETIME if tree.body(node) in _DATETIMES else _INTEGER
    dtype = _FAMILIES.get(name) or _FAMILIES.get(name.rpartition(".")[0])
    if dtype is not None and parts:
        yield from _named(parts[:1], dtype)
    if name in {"BinaryExpr.Eq", "BinaryExpr.NotEq"}:
        yield from _named(parts[:1], _compared(parts[1]))
    elif name in {"BinaryExpr.And", "BinaryExpr.Or"}:
        has_number = any(tree.integer(part) is not None for part in parts)
        yield from _named(parts, _INTEGER if has_number else pl.Boolean())
    elif name == "Over":
        yield from _named(parts[1:], _INTEGER)
    elif name in ROLLING_BY or name == "Rolling":
        yield from _named(parts[1:2], _INTEGER if _counts_steps(node) else _DATETIME)
    elif name == "Gather" or name.startswith("Function.Shift"):
        yield from _named(parts[1:2], _INTEGER)
    elif name == "Filter":
        yield from _named(parts[1:], pl.Boolean())
    elif name == "Ternary":
        yield from _named(parts[:1], pl.Boolean())


def _counts_steps(node: Node) -> bool:
    """Say whether a window over time has a length such as `"20i"`."""
    spec, settings = tree.body(node), tree.options(node)
    if settings is None:
        return bool(spec["period"]["parsed_int"])
    duration = settings.get("half_life") or settings["options"]["window_size"]
    return bool(duration["parsed_int"])


def _compared(node: Node) -> pl.DataType | None:
    """Return what is compared with a text: that text, or another."""
    scalar = tree.body(node).get("Scalar") if tree.kind(node) == "Literal" else None
    text = scalar.get("String") if isinstance(scalar, dict) else None
    return pl.Enum([text, f"not {text}"]) if text is not None else None


def _named(nodes: Iterable[Node], dtype: pl.DataType | None) -> Iterator[tuple[str, pl.DataType]]:
    for node in nodes:
        if dtype is not None and tree.kind(node) == "Column":
            yield tree.body(node), dtype
