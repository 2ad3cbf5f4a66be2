"""Cut expressions at their recursions.

Each recursion becomes a column of its own, so what stands above it and below it has finite reach:
it can be computed on the new rows and a few rows before them. A recursion within a recursion's
input is one level below it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

import polars as pl

from rangebar_enrich._bars.columns import SCRATCH_PREFIX
from rangebar_enrich._expr import tree
from rangebar_enrich._expr.render import show
from rangebar_enrich._expr.tree import Node
from rangebar_enrich._recursion.fold import FOLDS
from rangebar_enrich.reach import words
from rangebar_enrich.reach.interval import Interval, Shape
from rangebar_enrich.reach.rules import is_row_number
from rangebar_enrich.reach.span import Spans
from rangebar_enrich.reach.table import LEAVES, ROLLING_BY, SCOPES

ROW = f"{SCRATCH_PREFIX}row"
"""The number of a row from the start of the series, as a column."""

_DECAY = "Function.EwmMean"
_HELD_WORDS = "only cum_sum, cum_prod, cum_min, cum_max, cum_count, forward_fill and ewm_mean are"


class NotCutError(Exception):
    """An expression cannot be continued; the text says why. Caught by `hold`."""


@dataclass(frozen=True, slots=True)
class Recursion:
    """One recursion, cut out of the expressions that use it.

    Attributes:
        column: The column that takes its place.
        node: Its operator, with an input of finite reach.
        level: 1 where no other recursion is in its input.
    """

    column: str
    node: Node
    level: int

    @property
    def name(self) -> str:
        """The operator."""
        return tree.operator(self.node)

    @property
    def is_decay(self) -> bool:
        """Whether it is an `ewm_mean`, not a fold."""
        return self.name == _DECAY


@dataclass
class Cutter:
    """Cuts expressions one after the other; equal recursions become one.

    Attributes:
        schema: Dtypes of the columns, as far as they are known.
        recursions: What was cut out, by its packed tree.
        past: Number of earlier rows that the parts between recursions read.
        times: Columns that must increase strictly for that number to hold.
    """

    schema: Mapping[str, pl.DataType]
    recursions: dict[bytes, Recursion] = field(default_factory=dict)
    past: int = 0
    times: frozenset[str] = frozenset()

    def cut(self, expr: pl.Expr) -> Node:
        """Return the tree of `expr` with columns in the place of recursions.

        Raises:
            NotCutError: A part can't be continued.
        """
        node = tree.decode(expr) or tree.decode(expr.meta.undo_aliases())
        if node is None:
            msg = "calls a Python function, or is nested too deep: what it reads can't be seen"
            raise NotCutError(msg)
        if tree.selects_by_rule(node):
            msg = "selects columns by a rule; name each column"
            raise NotCutError(msg)
        known = dict(self.recursions)
        try:
            top, _ = self._cut(node)
            self._bound(top)
        except NotCutError:
            self.recursions = known
            raise
        return top

    def _cut(self, node: Node) -> tuple[Node, int]:
        """Return the node without recursions, and the level of the highest one in it."""
        name = tree.operator(node)
        if name in SCOPES or name in LEAVES:
            # What runs inside a window starts anew in each: nothing of it continues.
            return node, 0
        if is_row_number(node):
            return _row_number(node), 0
        inputs = tree.children(node)
        # A clock that counts rows needs no start: its windows are distances.
        cuttable = inputs[:1] if name in ROLLING_BY else inputs
        parts = [self._cut(part) for part in cuttable]
        node = tree.rebuild(node, [part for part, _ in parts] + list(inputs[len(parts) :]))
        level = max((level for _, level in parts), default=0)
        if not _is_held(node) or self._is_constant(tree.children(node)[0]):
            return node, level
        self._bound(tree.children(node)[0])
        made = Recursion(f"{SCRATCH_PREFIX}state_{len(self.recursions)}", node, level + 1)
        made = self.recursions.setdefault(tree.pack(node), made)
        return {"Column": made.column}, made.level

    def _is_constant(self, node: Node) -> bool:
        """Say whether a recursion over `node` is one value for all rows, and so none."""
        return Spans({}, self.schema).span(node).is_constant

    def _bound(self, node: Node) -> None:
        """Take the reach of a part into account, or refuse the part."""
        spans = Spans({}, self.schema)
        span = spans.span(node)
        if span.opaque:
            part = words.unseen(node, spans.by_node)
            raise NotCutError(words.blind(self._whole(part)))
        if span.future > 0:
            part = words.looking_ahead(node, spans.by_node)
            raise NotCutError(words.ahead(self._whole(part), spans.by_node[id(part)]))
        if span.past == inf:
            part = _deepest(node, spans.by_node)
            raise NotCutError(_unbounded(self._whole(part)))
        if span.shape not in {Shape.COLUMN, Shape.CONSTANT}:
            msg = f"`{show(self._whole(node))}` does not give one value for each row"
            raise NotCutError(msg)
        self.past = max(self.past, int(span.past))
        self.times |= span.times

    def _whole(self, node: Node) -> Node:
        """Put the recursions back: the tree as its author wrote it."""
        if tree.kind(node) == "Column":
            for made in self.recursions.values():
                if made.column == tree.body(node):
                    return self._whole(made.node)
        return tree.rebuild(node, [self._whole(part) for part in tree.children(node)])


def _is_held(node: Node) -> bool:
    name = tree.operator(node)
    if name == _DECAY:
        return True
    if name not in FOLDS:
        return False
    settings = tree.options(node)
    # NOTE: a filling with a limit has finite reach; a reversed sum comes from the end.
    return settings is None if name.endswith(".Forward") else not settings["reverse"]


def _row_number(node: Node) -> Node:
    """Return the row number in terms of the column that counts rows."""
    while tree.kind(node) == "Alias":
        node = tree.children(node)[0]
    start = tree.integer(tree.children(node)[0]) or 0
    dtype = tree.options(node)["dtype"]
    counted = tree.decode(pl.col(ROW) + start if start else pl.col(ROW))
    return {"Cast": {"expr": counted, "dtype": dtype, "options": "Strict"}}


def _unbounded(part: Node) -> str:
    """Say which operator reads every earlier row although its inputs do not."""
    name, text = tree.operator(part), f"`{show(part)}`"
    if name in SCOPES or name in ROLLING_BY:
        return f"{text} reads no fixed number of earlier rows, and `{_word(name)}` is not held"
    return f"{text} depends on every earlier row, and `{_word(name)}` is not held: {_HELD_WORDS}"


def _deepest(node: Node, spans: Mapping[int, Interval]) -> Node:
    if tree.operator(node) in SCOPES:
        return node
    for part in tree.children(node):
        if spans.get(id(part), Interval()).past == inf:
            return _deepest(part, spans)
    return node


def _word(name: str) -> str:
    """Return an operator's name as authors write it."""
    last = name.rpartition(".")[2]
    plain = {"RLEID": "rle_id", "Cumulative": "cumulative_eval", "Over": "over"}
    if last in plain:
        return plain[last]
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in last)
    return f"{'rolling' if '.RollingExpr' in name else ''}{snake}".lstrip("_")


def levels_of(recursions: Sequence[Recursion]) -> list[list[Recursion]]:
    """Return the recursions level by level, lowest first."""
    highest = max((made.level for made in recursions), default=0)
    return [[made for made in recursions if made.level == level] for level in range(1, highest + 1)]
