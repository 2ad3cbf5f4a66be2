"""A provider's expressions over bar columns alone, what it reads of other providers put in."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from rangebar_enrich._bars.columns import SCRATCH_PREFIX
from rangebar_enrich._expr import tree
from rangebar_enrich._expr.tree import Node
from rangebar_enrich._plan.mend import mended
from rangebar_enrich._plan.plan import Plan
from rangebar_enrich._plan.provider import CompiledProvider

_HOLE = f"{SCRATCH_PREFIX}hole"
_MOST_NODES = 20_000
"""A tree grows with each column put in, in the worst case by a power of their number."""


def standalone(plan: Plan, name: str) -> Mapping[str, pl.Expr]:
    """Return the expressions of one native provider, free of columns that others make.

    Args:
        plan: A plan in which the provider runs.
        name: The provider.

    Raises:
        ValueError: It holds a Python function, needs a provider that is not native or does, or
            becomes too large.
    """
    makers: dict[str, CompiledProvider] = {}
    pending, seen = [name], {name}
    while pending:
        needed = pending.pop()
        provider = plan.native.get(needed)
        if provider is None:
            text = f"it reads columns of '{needed}', which is a legacy provider"
            raise ValueError(text)
        if provider.has_udf:
            text = f"'{needed}' calls a Python function or a plugin"
            raise ValueError(text)
        makers |= dict.fromkeys(provider.exprs, provider)
        pending.extend(plan.needs[needed] - seen)
        seen |= plan.needs[needed]
    inliner = _Inliner(makers)
    return {column: tree.encode(inliner.whole(column)[0]) for column in plan.native[name].exprs}


class _Inliner:
    """Puts expressions in the place of the columns that they make."""

    def __init__(self, makers: Mapping[str, CompiledProvider]) -> None:
        self._makers = makers
        self._known: dict[str, tuple[Node, int]] = {}

    def whole(self, column: str) -> tuple[Node, int]:
        """Return a column's tree over bar columns, and the number of its nodes."""
        node = self._makers[column].reaches[column].tree
        if node is None:  # pragma: no cover - a provider without trees has a Python function
            text = f"'{column}' has no serialised form"
            raise ValueError(text)
        made, size = self._rewrite(node)
        if size > _MOST_NODES:
            text = f"'{column}', with all that it reads of other providers put in, is too large"
            raise ValueError(text)
        return made, size

    def _shown(self, column: str) -> tuple[Node, int]:
        """Return a column as its readers see it, made once."""
        if column not in self._known:
            inner, size = self.whole(column)
            frame = _frame(self._makers[column].declaration.warm_up[column])
            self._known[column] = _fill(frame, inner), size + sum(1 for _ in tree.walk(frame))
        return self._known[column]

    def _rewrite(self, node: Node) -> tuple[Node, int]:
        if tree.kind(node) == "Column" and tree.body(node) in self._makers:
            return self._shown(tree.body(node))
        parts = [self._rewrite(child) for child in tree.children(node)]
        size = 1 + sum(count for _, count in parts)
        return tree.rebuild(node, [part for part, _ in parts]), size


def _frame(warm_up: int) -> Node:
    """Return what `mended` means, with its input in one place only."""
    node = tree.decode(mended(pl.col(_HOLE), warm_up, once=True))
    if node is None:  # pragma: no cover - this one has a tree
        text = "no serialised form"
        raise ValueError(text)
    return node


def _fill(node: Node, inner: Node) -> Node:
    """Return a tree with `inner` in its hole."""
    if tree.kind(node) == "Column":
        return inner if tree.body(node) == _HOLE else node
    return tree.rebuild(node, [_fill(child, inner) for child in tree.children(node)])
