"""What a column holds, guessed from how expressions use it, where no schema says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

from rangebar_enrich import tree
from rangebar_enrich.reach.clock import is_time
from rangebar_enrich.reach.table import ROLLING_BY
from rangebar_enrich.tree import Node

_INTEGER = pl.Int64()
_FAMILIES: dict[str, pl.DataType] = {
    "Function.StringExpr": pl.String(),
    "Function.ListExpr": pl.List(pl.Float64()),
    "Function.ArrayExpr": pl.Array(pl.Float64(), 2),
    "Function.TemporalExpr": pl.Datetime("us"),
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
_BARS = frozenset({"open", "high", "low", "close", "volume"})


def guess_dtypes(nodes: Iterable[Node]) -> dict[str, pl.DataType]:
    """Return a dtype for each column whose use tells more than "a number"."""
    guessed: dict[str, pl.DataType] = {}
    for node in nodes:
        for part in tree.walk(node):
            for column, dtype in _uses(part):
                if column.lower() not in _BARS:
                    guessed.setdefault(column, dtype)
    return guessed


def _uses(node: Node) -> Iterator[tuple[str, pl.DataType]]:
    """Yield the columns that stand directly under an operator, with what it takes there."""
    name, parts = tree.operator(node), tree.children(node)
    if name == "Column" and is_time(tree.body(node), {}):
        yield tree.body(node), _INTEGER
    dtype = _FAMILIES.get(name) or _FAMILIES.get(name.rpartition(".")[0])
    if dtype is not None and parts:
        yield from _named(parts[:1], dtype)
    if name == "Over":
        yield from _named(parts[1:], _INTEGER)
    elif name in ROLLING_BY or name in {"Rolling", "Gather"} or name.startswith("Function.Shift"):
        yield from _named(parts[1:2], _INTEGER)
    elif name == "Filter":
        yield from _named(parts[1:], pl.Boolean())
    elif name == "Ternary":
        yield from _named(parts[:1], pl.Boolean())


def _named(nodes: Iterable[Node], dtype: pl.DataType) -> Iterator[tuple[str, pl.DataType]]:
    for node in nodes:
        if tree.kind(node) == "Column":
            yield tree.body(node), dtype
