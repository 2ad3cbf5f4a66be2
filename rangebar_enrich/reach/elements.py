"""How many of the last elements an evaluation over a list of them reads: `element().tail(5).mean()`."""

from __future__ import annotations

from rangebar_enrich._expr import tree
from rangebar_enrich._expr.tree import Node

_NULL_OF_NULLS = frozenset(
    {
        *(f"Agg.{name}" for name in "First Last Max Mean Median Min Std Var".split()),
        *(f"BinaryExpr.{name}" for name in "Plus Minus Multiply TrueDivide".split()),
        *("Alias", "Cast", "Function.Abs", "Function.Negate", "Function.Quantile"),
    }
)
"""Operators that give null where every value they read is null."""


def elements_kept(evaluation: Node, min_samples: int) -> int | None:
    """Return how many of the last elements decide, or `None` where all may.

    Polars asks for `min_samples` values among *all* elements before it evaluates. With 1, what comes
    of the last elements alone is the same only if it is null wherever all of them are.
    """
    if min_samples > 1:
        return None
    return _kept(evaluation)


def _kept(node: Node) -> int | None:
    if tree.operator(node) == "Agg.Last" and tree.children(node)[0] == "Element":
        return 1
    if tree.kind(node) == "Slice":
        return _sliced(node)
    if tree.operator(node) not in _NULL_OF_NULLS:
        return None
    parts = [part for part in tree.children(node) if tree.kind(part) != "Literal"]
    counts = [_kept(part) for part in parts]
    known = [count for count in counts if count is not None]
    return max(known) if known and len(known) == len(counts) else None


def _sliced(node: Node) -> int | None:
    """Follow `tail(k)`, and `slice(-k, n)` that ends inside."""
    subject, offset, length = tree.children(node)
    start, count = tree.integer(offset), tree.integer(length)
    if subject != "Element" or start is None or count is None or start >= 0 or count < 1:
        return None
    return -start
