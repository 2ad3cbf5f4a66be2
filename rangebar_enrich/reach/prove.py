"""From expressions to what is proven of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf

import polars as pl

from rangebar_enrich._expr import tree
from rangebar_enrich._expr.render import show
from rangebar_enrich._expr.tree import Node
from rangebar_enrich.reach import words
from rangebar_enrich.reach.interval import OPAQUE, Interval, Shape
from rangebar_enrich.reach.plugins import declared_calls
from rangebar_enrich.reach.result import Reach
from rangebar_enrich.reach.span import Spans
from rangebar_enrich.reach.witness import find_witnesses

_KEEPS_ROWS = {
    Shape.COLUMN: True,
    Shape.CONSTANT: True,
    Shape.SCALAR: False,
    Shape.SERIES: False,
    Shape.OTHER: False,
    Shape.UNKNOWN: None,
}


def reach_of(
    expr: pl.Expr,
    *,
    known: Mapping[str, Reach] | None = None,
    schema: Mapping[str, pl.DataType] | None = None,
) -> Reach:
    """Return how far an expression reads back and ahead.

    Nothing foreign is run: a Python function makes the reach opaque, and so does a plugin for which
    nobody declared one (`declare_plugin`).

    Args:
        expr: The expression.
        known: Reach of the columns that other expressions make.
        schema: Dtypes of the columns, where they are known: they make better witnesses.

    Returns:
        Its reach, with a witness where it may look ahead and one was found.
    """
    return reaches_of({"": expr}, known=known, schema=schema)[""]


def reaches_of(
    exprs: Mapping[str, pl.Expr],
    *,
    known: Mapping[str, Reach] | None = None,
    schema: Mapping[str, pl.DataType] | None = None,
) -> dict[str, Reach]:
    """Return the reach of several expressions, with one search for witnesses among all suspects.

    An expression may not read another one of `exprs`; pass the result of the first as `known`.

    Args:
        exprs: Name to expression; the names appear in witnesses.
        known: Reach of the columns that other expressions make.
        schema: Dtypes of the columns, as far as they are known.

    Returns:
        A reach for each expression, in the order of `exprs`.
    """
    made, types = known or {}, schema or {}
    spans = {name: _known_span(reach) for name, reach in made.items()}
    reaches = {name: _derived(expr, spans, types) for name, expr in exprs.items()}
    reaches = {name: _with_promises(reach, made) for name, reach in reaches.items()}
    suspects = {
        name: _inline(reach.tree, made) for name, reach in reaches.items() if _is_suspect(reach)
    }
    usable = {
        name: node for name, node in suspects.items() if node is not None and not tree.has_udf(node)
    }
    witnesses = find_witnesses(usable, types)
    return {
        name: replace(reach, witness=witnesses[name]) if name in witnesses else reach
        for name, reach in reaches.items()
    }


def keeps_rows(expr: pl.Expr) -> bool | None:
    """Say whether an expression has one value for each row of the table.

    `False` for an aggregate or another length; a literal is `True`, since it is the same for each
    row; `None` where it can't be told, as for a Python function.
    """
    return _derived(expr, {}, {}).keeps_rows


def columns_read(expr: pl.Expr) -> tuple[str, ...]:
    """Return the names of the columns that an expression reads by name, sorted, once each."""
    node = _decode(expr)
    return tree.columns(node) if node is not None else tuple(sorted(set(expr.meta.root_names())))


def _decode(expr: pl.Expr) -> Node | None:
    """Decode an expression; one whose name alone is made by Python is read without that name."""
    node = tree.decode(expr)
    return node if node is not None else tree.decode(expr.meta.undo_aliases())


def _derived(
    expr: pl.Expr, known: Mapping[str, Interval], schema: Mapping[str, pl.DataType]
) -> Reach:
    node = _decode(expr)
    if node is None:
        return _undecodable(expr)
    spans = Spans(known, schema)
    try:
        span = spans.span(node)
    except RecursionError:
        return _undecodable(expr)
    reach = Reach(
        past=span.past,
        future=span.future,
        opaque=span.opaque,
        times=span.times,
        keeps_rows=_KEEPS_ROWS[span.shape],
        columns=tree.columns(node),
        tree=node,
    )
    return _with_reasons(reach, node, spans.by_node)


def _with_reasons(reach: Reach, node: Node, spans: Mapping[int, Interval]) -> Reach:
    if reach.opaque:
        part = words.unseen(node, spans)
        return replace(reach, reasons=(words.blind(part),), offender=show(part))
    clocks = ", ".join(f"`{name}`" for name in sorted(reach.times))
    reasons = (
        (f"it has a window over time: {clocks} must increase strictly",) if reach.times else ()
    )
    if reach.future == 0:
        return replace(reach, reasons=reasons)
    part = words.looking_ahead(node, spans)
    reason = words.ahead(part, spans[id(part)])
    return replace(reach, reasons=(reason, *reasons), offender=show(part), hint=words.hint(part))


def _with_promises(reach: Reach, known: Mapping[str, Reach]) -> Reach:
    """Say which plugins' declarations a reach rests on, its own and those of columns that it reads."""
    if reach.opaque or reach.tree is None:
        return reach
    calls = sorted({(call.library, call.symbol) for call in declared_calls(reach.tree)})
    libraries = {library for library, _ in calls}.union(
        *(known[name].declared for name in reach.columns if name in known)
    )
    told = tuple(
        f"the reach of `{symbol}` is declared for {library}, not proven"
        for library, symbol in calls
    )
    return replace(reach, declared=frozenset(libraries), reasons=(*reach.reasons, *told))


def _undecodable(expr: pl.Expr) -> Reach:
    reason = "it calls a Python function, or is nested too deep: what it reads can't be seen; declare `lookback`"
    columns = tuple(sorted(set(expr.meta.root_names())))
    return Reach(
        inf,
        inf,
        opaque=True,
        reasons=(reason,),
        keeps_rows=None,
        columns=columns,
        offender=str(expr),
    )


def _is_suspect(reach: Reach) -> bool:
    return not reach.opaque and reach.future > 0


def _known_span(reach: Reach) -> Interval:
    return OPAQUE if reach.opaque else Interval(-reach.past, reach.future, times=reach.times)


@dataclass(frozen=True)
class _Made:
    """Columns that other expressions make, put in place of their names."""

    known: Mapping[str, Reach]

    def inline(self, node: Node) -> Node:
        """Return the tree in terms of the caller's columns."""
        made = self.known.get(tree.body(node)) if tree.kind(node) == "Column" else None
        if made is not None:
            return self.inline(made.tree) if made.tree is not None else node
        return tree.rebuild(node, [self.inline(child) for child in tree.children(node)])


def _inline(node: Node | None, known: Mapping[str, Reach]) -> Node | None:
    return node if node is None or not known else _Made(known).inline(node)
