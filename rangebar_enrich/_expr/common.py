"""Equal parts of several expressions, computed once in stages before them.

Polars does not merge equal `rolling_*` calls itself. A part is shared where it holds a costly
operator, gives one value a row, and stands where it means the same as on its own: not inside
`over`, `rolling` or an evaluation per list. Trees are rewritten, so values stay bit-equal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from rangebar_enrich._bars.columns import SCRATCH_PREFIX
from rangebar_enrich._expr import tree
from rangebar_enrich._expr.render import show
from rangebar_enrich._expr.tree import Node

_COST = {
    "Over": 20,
    "Rolling": 30,
    "Function.RollingExpr": 15,
    "Function.RollingExprBy": 30,
    "Function.EwmMean": 8,
    "Function.EwmStd": 12,
    "Function.EwmVar": 12,
    "Function.EwmMeanBy": 15,
    "Function.CumSum": 4,
    "Function.CumProd": 4,
    "Function.CumMin": 4,
    "Function.CumMax": 4,
    "Function.CumCount": 4,
    "Function.Rank": 300,
    "Function.Skew": 20,
    "Function.Kurtosis": 20,
    "Function.PctChange": 4,
    "Function.Interpolate": 8,
    "Function.FfiPlugin": 10,
}
"""Rough nanoseconds a row of operators worth sharing, as measured; what is not here is cheap."""
_DEARER = {"Median": 80, "Quantile": 80, "Rank": 300, "CorrCov": 60, "Std": 23, "Var": 23}
_WORTH = 8
"""Nanoseconds a row that a shared part must save; a column of scratch costs about two."""
_BOUNDARIES = frozenset({"Over", "Rolling", "Eval", "StructEval", "KeepName", "RenameAlias"})
"""Operators below which a part may mean something else than on its own; they are shared whole."""

WORTH_FROM_ROWS = 2_000
"""Below so many rows, one stage more costs what sharing gains."""


@dataclass(frozen=True, slots=True)
class SharedPart:
    """One part that several features read.

    Attributes:
        column: Its scratch column.
        expr: What it computes, in terms of bar columns and of parts of earlier stages.
        text: What it computes, for a reader, in terms of bar columns.
        features: Feature columns that read it.
    """

    column: str
    expr: pl.Expr
    text: str
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sharing:
    """Expressions rewritten over shared parts.

    Attributes:
        stages: Parts in stages; each reads those before it.
        exprs: The features' expressions, by column.
    """

    stages: tuple[tuple[SharedPart, ...], ...]
    exprs: Mapping[str, pl.Expr]


def share(exprs: Mapping[str, pl.Expr], written: Mapping[str, Node] | None = None) -> Sharing:
    """Find what `exprs` have in common and is worth computing once.

    Args:
        exprs: Feature column to its expression, all of one stage.
        written: Scratch columns that they read, to what stands for them in a text.

    Returns:
        The same features, value for value. An expression with a Python function, or whose tree
        does not survive a round trip, is left as it is.
    """
    trees = {column: node for column, expr in exprs.items() if (node := _tree(expr)) is not None}
    users: dict[bytes, list[str]] = {}
    nodes: dict[bytes, Node] = {}
    for column, node in trees.items():
        for part in _candidates(node):
            key = tree.pack(part)
            nodes[key] = part
            if column not in users.setdefault(key, []):
                users[key].append(column)
    chosen = _choose(trees.values(), nodes)
    if not chosen:
        return Sharing((), exprs)
    names = {key: f"{SCRATCH_PREFIX}shared_{place}" for place, key in enumerate(chosen)}
    levels: dict[int, list[SharedPart]] = {}
    depth: dict[bytes, int] = {}
    for key in chosen:
        body, depth[key] = _inner(nodes[key], names, depth)
        expr = tree.encode(body).alias(names[key])
        levels.setdefault(depth[key], []).append(
            SharedPart(
                names[key], expr, show(as_written(nodes[key], written or {})), tuple(users[key])
            )
        )
    rewritten = {
        column: tree.encode(_rewrite(trees[column], names)) if column in trees else expr
        for column, expr in exprs.items()
    }
    return Sharing(tuple(tuple(levels[level]) for level in sorted(levels)), rewritten)


def _tree(expr: pl.Expr) -> Node | None:
    """Return the tree of an expression that may be rewritten, else `None`."""
    node = tree.decode(expr)
    if node is None or tree.has_python(node):
        return None
    if not all(tree.is_known_shape(part) for part in tree.walk(node)):
        return None
    return node if tree.encode(node).meta.eq(expr) else None


def _candidates(node: Node) -> Iterator[Node]:
    """Yield the parts of a tree that could stand on their own, costly ones only."""
    if _own_cost(node):
        yield node
    if tree.kind(node) in _BOUNDARIES:
        return
    for child in tree.children(node):
        yield from _candidates(child)


def _own_cost(node: Node) -> int:
    operator = tree.operator(node)
    family, _, last = operator.rpartition(".")
    if family.startswith("Function.RollingExpr"):
        return _DEARER.get(last, _COST[family])
    return _COST.get(operator, 0)


def _total_cost(node: Node) -> int:
    return sum(_own_cost(part) for part in tree.walk(node))


def _choose(roots: Iterable[Node], nodes: Mapping[bytes, Node]) -> list[bytes]:
    """Return the parts to share, smaller ones first, so that each can read those before it.

    A part counts as often as it would be computed: wherever it stands, but within a shared part
    only once for each place in it, however often that part is read.
    """
    uses = Counter(tree.pack(part) for root in roots for part in _outermost(root))
    chosen = []
    for key in sorted(nodes, key=len, reverse=True):
        count = uses[key]
        saved = _total_cost(nodes[key]) * (count - 1)
        if is_shared := count > 1 and saved >= _WORTH and _keeps_rows(nodes[key]):
            chosen.append(key)
        for part in _outermost_below(nodes[key]):
            uses[tree.pack(part)] += 1 if is_shared else count
    return chosen[::-1]


def _outermost(node: Node) -> Iterator[Node]:
    """Yield the costly parts of a tree that stand inside no other one."""
    if _own_cost(node):
        yield node
    else:
        yield from _outermost_below(node)


def _outermost_below(node: Node) -> Iterator[Node]:
    if tree.kind(node) not in _BOUNDARIES:
        for child in tree.children(node):
            yield from _outermost(child)


def _keeps_rows(node: Node) -> bool:
    try:
        return tree.encode(node).meta.is_length_preserving()
    except pl.exceptions.PolarsError:
        return False


def _inner(node: Node, names: Mapping[bytes, str], depth: Mapping[bytes, int]) -> tuple[Node, int]:
    """Return a shared part over the parts inside it, and the stage it belongs to."""
    if tree.kind(node) in _BOUNDARIES:
        return node, 0
    inner = {
        key: name
        for part in _below(node)
        if (key := tree.pack(part)) in depth
        for name in (names[key],)
    }
    children = [_rewrite(child, inner) for child in tree.children(node)]
    level = max((depth[key] + 1 for key in inner), default=0)
    return tree.rebuild(node, children), level


def _below(node: Node) -> Iterator[Node]:
    for child in tree.children(node):
        yield from _candidates(child)


def as_written(node: Node, written: Mapping[str, Node]) -> Node:
    """Return a tree as its author wrote it: with expressions in the place of scratch columns."""
    if tree.kind(node) == "Column" and tree.body(node) in written:
        return as_written(written[tree.body(node)], written)
    children = tree.children(node)
    return tree.rebuild(node, [as_written(one, written) for one in children]) if children else node


def _rewrite(node: Node, names: Mapping[bytes, str]) -> Node:
    """Return a tree with each named part replaced by its scratch column."""
    if _own_cost(node):
        name = names.get(tree.pack(node))
        if name is not None:
            return {"Column": name}
    if tree.kind(node) in _BOUNDARIES:
        return node
    children = tree.children(node)
    if not children:
        return node
    return tree.rebuild(node, [_rewrite(child, names) for child in children])
