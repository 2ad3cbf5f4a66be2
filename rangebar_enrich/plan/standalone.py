"""A provider's expressions over bar columns alone, what it reads of other providers put in."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from rangebar_enrich import tree
from rangebar_enrich.plan.expressions import CompiledProvider
from rangebar_enrich.plan.plan import Plan, mended_value
from rangebar_enrich.tree import Node


def standalone(plan: Plan, name: str) -> Mapping[str, pl.Expr]:
    """Return the expressions of one native provider, free of columns that others make.

    Args:
        plan: A plan in which the provider runs.
        name: The provider.

    Raises:
        ValueError: It holds a Python function, or needs a provider that is not native or does.
    """
    makers: dict[str, CompiledProvider] = {}
    pending = [name]
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
        pending.extend(plan.needs[needed])
    own = plan.native[name]
    return {column: tree.encode(_inlined(own, column, makers)) for column in own.exprs}


def _inlined(
    provider: CompiledProvider, column: str, makers: Mapping[str, CompiledProvider]
) -> Node:
    node = provider.reaches[column].tree
    if node is None:  # pragma: no cover - a provider without trees has a Python function
        text = f"'{column}' has no serialised form"
        raise ValueError(text)
    return _rewrite(node, makers)


def _rewrite(node: Node, makers: Mapping[str, CompiledProvider]) -> Node:
    if tree.kind(node) == "Column":
        name = tree.body(node)
        maker = makers.get(name)
        if maker is None:
            return node
        inner = tree.encode(_inlined(maker, name, makers))
        mended = tree.decode(mended_value(inner, maker.declaration.warm_up[name]))
        return node if mended is None else mended
    return tree.rebuild(node, [_rewrite(child, makers) for child in tree.children(node)])
