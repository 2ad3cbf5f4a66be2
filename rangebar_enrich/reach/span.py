"""From an operator tree to the span of rows that it reads."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from math import inf

import polars as pl

from rangebar_enrich._expr import tree
from rangebar_enrich._expr.plugin import OPERATOR as PLUGIN
from rangebar_enrich._expr.plugin import plugin_call
from rangebar_enrich._expr.tree import Node
from rangebar_enrich.reach import rules
from rangebar_enrich.reach.clock import clock, looks_back, rows_in
from rangebar_enrich.reach.elements import elements_kept
from rangebar_enrich.reach.interval import (
    CONSTANT,
    OPAQUE,
    ROW,
    SERIES,
    Interval,
    Shape,
    unbounded,
    union,
    window,
)
from rangebar_enrich.reach.plugins import declared_reach
from rangebar_enrich.reach.table import LEAVES, ROLLING_BY, SCOPES, TABLE

_REDUCING = frozenset({rules.reduction, rules.first, rules.last})
_RESIZING = frozenset({rules.resize, rules.int_range, rules.repeat, rules.gather, rules.cut_rows})


class Spans:
    """Derives spans, and remembers them per node for whoever explains the result.

    Args:
        known: Spans of columns that are themselves computed.
        schema: Dtypes of the columns, as far as they are known.
    """

    def __init__(self, known: Mapping[str, Interval], schema: Mapping[str, pl.DataType]) -> None:
        self._known = known
        self._schema = schema
        self._fields: list[Interval] = []
        self.by_node: dict[int, Interval] = {}

    def span(self, node: Node) -> Interval:
        """Return the span of `node`; opaque for a form that is not known."""
        try:
            result = self._derive(node)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, StopIteration):
            # NOTE: another Polars may lay an operator out differently; that is not known, and no error.
            result = OPAQUE
        self.by_node[id(node)] = result
        return result

    def _derive(self, node: Node) -> Interval:
        name = tree.operator(node)
        if name in LEAVES:
            return self._leaf(name, node)
        if name in SCOPES:
            return self._scope(name, node)
        rule = TABLE.get(name, _plugin if name == PLUGIN else None)
        if rule is None and name not in ROLLING_BY:
            return OPAQUE
        inputs = [self.span(child) for child in tree.children(node)]
        if any(span.opaque for span in inputs):
            return OPAQUE
        if inputs and all(span.is_constant for span in inputs):
            unseen = rules.is_random(node) or name == PLUGIN
            return OPAQUE if unseen else _constant(name, inputs)
        return rule(node, inputs) if rule is not None else self._rolling_by(node, inputs)

    def _leaf(self, name: str, node: Node) -> Interval:
        if name == "Literal":
            return _literal(node)
        if name == "Column":
            return self._known.get(tree.body(node), ROW)
        if name == "Selector" and self._known:
            return union([ROW, *self._known.values()])
        if name == "Field" and self._fields:
            return self._fields[-1]
        return ROW

    def _scope(self, name: str, node: Node) -> Interval:
        if name == "Over":
            return self._over(node)
        if name == "Rolling":
            return self._rolling(node)
        if name == "SortBy":
            return self._sort_by(node)
        if name == "Function.SetSortedFlag":
            return self._set_sorted(node)
        if name == "Eval.Cumulative":
            return self._cumulative(node)
        return self._struct(node) if name.startswith("StructEval") else self._elements(node)

    def _over(self, node: Node) -> Interval:
        """Groups: an earlier row of the group may be any earlier row, a later one any later one."""
        spec = tree.body(node)
        inner = self.span(spec["function"])
        keys = [self.span(key) for key in spec["partition_by"]]
        if inner.opaque or any(key.opaque for key in keys):
            return OPAQUE
        order = self._order(spec["order_by"], inner)
        if order is None or inner.mirrored or not _stays_in_row(spec["mapping"], inner):
            return unbounded([inner, *keys], Shape.COLUMN)
        shape = Shape.UNKNOWN if inner.shape in {Shape.OTHER, Shape.UNKNOWN} else Shape.COLUMN
        low, high = (-inf if inner.low < 0 else 0), (inf if inner.high > 0 else 0)
        grouped = Interval(low, high, shape, times=inner.times | order)
        return union([grouped, *(key._replace(shape=shape) for key in keys if not key.is_constant)])

    def _order(self, order_by: Sequence[object] | None, inner: Interval) -> frozenset[str] | None:
        """Return the clock of `order_by`, or `None` where a group's order may not be the rows'."""
        if order_by is None or (inner.low == inner.high == 0 and inner.shape is Shape.COLUMN):
            return frozenset()
        key, options = order_by
        self.span(key)  # type: ignore[arg-type]
        return None if options["descending"] else clock(key, self._schema)  # type: ignore[index, arg-type]

    def _rolling(self, node: Node) -> Interval:
        """Windows over time: whatever the function does, it sees the rows of its window only."""
        spec = tree.body(node)
        if any(tree.kind(part) == "Rolling" for part in tree.walk(spec["function"])):
            return OPAQUE  # Polars 2.1 takes the inner windows outside the outer ones
        ticks = clock(spec["index_column"], self._schema)
        read = [self._read(spec["function"]), self.span(spec["index_column"])]
        if any(span.opaque for span in read):
            return OPAQUE
        if ticks is None or not looks_back(spec):
            return unbounded(read, Shape.COLUMN)
        steps = rows_in(spec["offset"], spec["closed_window"])
        # The row number itself is read for its distances only.
        result = window(union(read if ticks else read[:1]), -inf if steps is None else -steps, 0)
        return result._replace(times=result.times | ticks, shape=Shape.COLUMN)

    def _rolling_by(self, node: Node, inputs: Sequence[Interval]) -> Interval:
        if rules.is_random(node):
            return OPAQUE
        ticks = clock(tree.children(node)[1], self._schema)
        if ticks is None or any(span.mirrored for span in inputs):
            return unbounded(inputs, Shape.COLUMN)
        settings = tree.options(node).get("options")
        steps = settings and rows_in(settings["window_size"], settings["closed_window"])
        values = inputs if ticks else inputs[:1]
        result = window(union(values), -inf if steps is None else -steps, 0)
        return result._replace(times=result.times | ticks)

    def _set_sorted(self, node: Node) -> Interval:
        """What is said to be sorted is searched, not read: of what is not, any row may decide."""
        inner, ticks = self.span(tree.children(node)[0]), clock(node, self._schema)
        if inner.opaque:
            return OPAQUE
        if ticks is None:
            return unbounded([inner], inner.shape)
        return inner._replace(times=inner.times | ticks)

    def _sort_by(self, node: Node) -> Interval:
        """Sorting by a strictly increasing time changes nothing."""
        spec = tree.body(node)
        inputs = [self.span(child) for child in tree.children(node)]
        ticks = clock(spec["by"][0], self._schema) if len(spec["by"]) == 1 else None
        if ticks is None or any(spec["sort_options"]["descending"]) or inputs[0].mirrored:
            return (
                OPAQUE
                if any(span.opaque for span in inputs)
                else unbounded(inputs, inputs[0].shape)
            )
        return inputs[0]._replace(times=inputs[0].times | ticks)

    def _cumulative(self, node: Node) -> Interval:
        """`cumulative_eval`: whatever the evaluation does, it sees the rows so far only."""
        spec = tree.body(node)
        outer = self.span(spec["expr"])
        # NOTE: of a single value, Polars 2.1 reads beyond it when grouped: what comes out is arbitrary.
        if outer.shape is not Shape.COLUMN or self._read(spec["evaluation"]).opaque:
            return OPAQUE
        kept = elements_kept(spec["evaluation"], spec["variant"]["Cumulative"]["min_samples"])
        return window(outer, -inf if kept is None else 1 - kept, 0)

    def _elements(self, node: Node) -> Interval:
        """`list.eval`: whatever the evaluation does, it sees the elements of its row only."""
        spec = tree.body(node)
        outer = self.span(spec["expr"])
        return OPAQUE if self._read(spec["evaluation"]).opaque else outer

    def _struct(self, node: Node) -> Interval:
        """`struct.with_fields`: a field is a column of the struct."""
        spec = tree.body(node)
        outer = self.span(spec["expr"])
        self._fields.append(outer)
        try:
            parts = [outer, *(self.span(part) for part in spec["evaluation"])]
        finally:
            self._fields.pop()
        return OPAQUE if any(part.opaque for part in parts) else union(parts)

    def _read(self, function: Node) -> Interval:
        """Return what the columns in a scope are made from, whatever the scope does to them."""
        if self.span(function).opaque or any(map(rules.is_random, tree.walk(function))):
            return OPAQUE
        if rules.unordered(function) is not None:
            return OPAQUE
        leaves = [
            part
            for part in tree.walk(function)
            if tree.kind(part) in {"Column", "Selector", "Field"}
        ]
        spans = [self._leaf(tree.kind(leaf), leaf) for leaf in leaves]
        return union([ROW, *(span._replace(shape=Shape.COLUMN) for span in spans)])


def _plugin(node: Node, inputs: Sequence[Interval]) -> Interval:
    """Return what a plugin function is declared to read; opaque where nobody did."""
    call = plugin_call(node)
    declared = declared_reach(call) if call is not None and inputs else None
    rows = union(inputs) if inputs else OPAQUE
    if declared is None or rows.shape is not Shape.COLUMN:
        return OPAQUE
    return window(rows, -declared.past, declared.future)


def _stays_in_row(mapping: str, inner: Interval) -> bool:
    """Say whether a group's result goes back to the rows that it was made for."""
    if mapping == "Join":
        return inner.shape in {Shape.SCALAR, Shape.CONSTANT}
    return mapping == "GroupsToRows"


def _constant(name: str, inputs: Sequence[Interval]) -> Interval:
    """Everything below is literal, so no row is read."""
    rule = TABLE.get(name)
    if rule in _REDUCING:
        return CONSTANT
    single = rule not in _RESIZING and all(span.shape is Shape.CONSTANT for span in inputs)
    return CONSTANT if single else SERIES


def _literal(node: Node) -> Interval:
    literal = tree.body(node)
    if tree.kind(literal) in {"Dyn", "Scalar"}:
        return CONSTANT
    if tree.kind(literal) == "Series":
        return Interval(shape=Shape.SCALAR) if _height(node) == 1 else SERIES
    return OPAQUE


def _height(literal: Node) -> int:
    return pl.select(pl.Expr.deserialize(io.BytesIO(tree.pack(literal)), format="binary")).height
