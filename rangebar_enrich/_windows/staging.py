"""Windows taken out of expressions: what the kernels compute, and when; the rest is Polars'.

Expressions come in stages, each reading what those before it made. A window over a column is
computed before the first stage that could read it; one over an expression needs that computed
first, which makes a pass: Polars computes inputs, the kernels their windows. Equal windows and
equal inputs are computed once, whoever reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf

import numpy as np
import numpy.typing as npt
import polars as pl

from rangebar_enrich._bars.columns import SCRATCH_PREFIX
from rangebar_enrich._expr import tree
from rangebar_enrich._expr.common import as_written
from rangebar_enrich._expr.render import show
from rangebar_enrich._expr.tree import Node
from rangebar_enrich._windows.layout import Indices, Layout
from rangebar_enrich._windows.nodes import is_window, window_of
from rangebar_enrich._windows.rolling import Job, rolling
from rangebar_enrich._windows.window import Window, result_dtype
from rangebar_enrich.reach.interval import Shape
from rangebar_enrich.reach.span import Spans

BOUNDARIES = frozenset({"Over", "Rolling", "Eval", "StructEval", "KeepName", "RenameAlias"})
"""Operators below which a part may mean something else than on its own."""

_Place = tuple[int, int]
"""When a column is there: before which stage, and behind how many passes before that."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A window that the kernels compute.

    Attributes:
        column: Its scratch column.
        window: What it computes.
        inputs: The columns it runs over.
        dtype: The type of its values.
    """

    column: str
    window: Window
    inputs: tuple[str, ...]
    dtype: pl.DataType


@dataclass(frozen=True, slots=True, eq=False)
class Extent:
    """The series of a frame, one after the other; the first rows of each may be context.

    Attributes:
        lengths: Rows of each series.
        contexts: How many of the first of them are context: nothing is wanted of them.
    """

    lengths: Indices
    contexts: Indices

    @classmethod
    def of(cls, lengths: Sequence[int], contexts: Sequence[int]) -> Extent:
        """Return the extent of series of so many rows."""
        return cls(np.asarray(lengths, dtype=np.int64), np.asarray(contexts, dtype=np.int64))

    @property
    def starts(self) -> Indices:
        """First row of each series, and the number of rows."""
        return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(self.lengths)])

    @property
    def wanted(self) -> npt.NDArray[np.bool_]:
        """Which rows are no context."""
        starts = np.repeat(self.starts[:-1] + self.contexts, self.lengths)
        mask: npt.NDArray[np.bool_] = np.arange(len(starts)) >= starts
        return mask

    def skips(self, keep: float) -> Indices:
        """Return how many rows of each series can be left out where `keep` of context are read."""
        return np.maximum(self.contexts - int(min(keep, self.contexts.max(initial=0))), 0)

    def without(self, skips: Indices) -> Extent:
        """Return the extent without so many rows of each series."""
        return Extent(self.lengths - skips, self.contexts - skips)


@dataclass
class Pass:
    """Windows that are computed together.

    Attributes:
        inputs: Columns that Polars computes before them.
        windows: The windows.
        keep: How many rows before the wanted ones whatever comes behind the pass reads.
    """

    inputs: dict[str, pl.Expr] = field(default_factory=dict)
    windows: list[Taken] = field(default_factory=list)
    keep: float = inf

    @cached_property
    def _jobs(self) -> list[tuple[tuple[str, ...], list[Taken]]]:
        """The windows by what they run over."""
        found: dict[tuple[str, ...], list[Taken]] = {}
        for one in self.windows:
            found.setdefault(one.inputs, []).append(one)
        return list(found.items())

    @cached_property
    def dtypes(self) -> Mapping[str, pl.DataType]:
        """Dtypes of the columns of the windows, in the order in which `over` adds them."""
        return {one.column: one.dtype for _, taken in self._jobs for one in taken}

    def texts(self, nodes: Mapping[str, Node]) -> Iterator[str]:
        """Yield what is computed over each input, for a reader."""
        for names, taken in self._jobs:
            over = ", ".join(show(as_written({"Column": name}, nodes)) for name in names)
            yield f"{over}: {', '.join(f'{one.window.kind} {one.window.size}' for one in taken)}"

    def behind(self, extent: Extent) -> Extent:
        """Return the rows that are left behind the pass."""
        return extent.without(extent.skips(self.keep))

    def over(self, frame: pl.DataFrame, extent: Extent) -> pl.DataFrame:
        """Add the columns of the windows, and drop the rows of context that are no longer read.

        Args:
            frame: The columns that the windows run over.
            extent: Its series.
        """
        skips = extent.skips(self.keep)
        layout = Layout.of(extent.starts, skips)
        jobs = [
            Job(tuple(map(frame.get_column, names)), tuple(one.window for one in taken))
            for names, taken in self._jobs
        ]
        made = [
            series.alias(one.column)
            for (_, taken), found in zip(self._jobs, rolling(jobs, layout), strict=True)
            for one, series in zip(taken, found, strict=True)
        ]
        if skips.any():
            one = len(skips) == 1
            frame = frame.slice(int(skips[0])) if one else frame[layout.row_of]
        return frame.hstack(made)


@dataclass(frozen=True, slots=True)
class Staged:
    """Stages of expressions without the windows that the kernels compute.

    Attributes:
        passes: What is computed before each stage.
        exprs: The expressions of each stage, by column.
        nodes: Scratch column to the tree that its author wrote, to be shown.
    """

    passes: tuple[tuple[Pass, ...], ...]
    exprs: tuple[Mapping[str, pl.Expr], ...]
    nodes: Mapping[str, Node]


def staged(
    stages: Sequence[Mapping[str, pl.Expr]],
    schema: Mapping[str, pl.DataType],
    *,
    whole: bool = False,
) -> Staged:
    """Take the windows out of stages of expressions.

    Args:
        stages: Column to expression; each stage's columns are float64 to those behind it.
        schema: Dtypes of all other columns that are read.
        whole: Values of context are wanted too.
    """
    taker = _Taker(dict(schema))
    trees = [taker.stage(number, exprs) for number, exprs in enumerate(stages)]
    exprs = tuple(
        {
            column: expr if (node := nodes[column]) is None else tree.encode(taker.reused(node))
            for column, expr in stage.items()
        }
        for stage, nodes in zip(stages, trees, strict=True)
    )
    passes = taker.passes(len(stages))
    if not whole:
        _note_what_is_kept(passes, exprs, taker.schema)
    return Staged(passes, exprs, taker.nodes)


class _Taker:
    """Replaces windows, and what they run over, by scratch columns."""

    def __init__(self, schema: dict[str, pl.DataType]) -> None:
        self.schema = schema
        self.nodes: dict[str, Node] = {}
        self._places: dict[str, _Place] = {}
        self._inputs: dict[bytes, tuple[str, Node]] = {}
        self._windows: dict[bytes, Taken] = {}
        self._refused: set[bytes] = set()

    def stage(self, number: int, exprs: Mapping[str, pl.Expr]) -> dict[str, Node | None]:
        """Return the trees of a stage; `None` for an expression that is left as it is."""
        made: dict[str, Node | None] = {}
        for column, expr in exprs.items():
            node = _tree(expr)
            made[column] = None if node is None else self._rewritten(node, node)
        for column in exprs:
            self._places[column] = (number + 1, 0)
            self.schema[column] = pl.Float64()
        return made

    def passes(self, stages: int) -> tuple[tuple[Pass, ...], ...]:
        """Return the passes before each stage, in order."""
        found: dict[_Place, Pass] = {}
        for column, node in self._inputs.values():
            made = found.setdefault(self._places[column], Pass())
            made.inputs[column] = tree.encode(self.reused(node, column)).alias(column)
        for one in self._windows.values():
            stage, level = self._places[one.column]
            found.setdefault((stage, level - 1), Pass()).windows.append(one)
        return tuple(
            tuple(found[place] for place in sorted(found) if place[0] == number)
            for number in range(stages)
        )

    def reused(self, node: Node, reader: str | None = None) -> Node:
        """Return a tree that reads the inputs of windows where it would compute them again.

        Args:
            node: The tree.
            reader: The input that it makes: only those of earlier passes are there for it.
        """
        if not tree.children(node) or tree.kind(node) in BOUNDARIES:
            return node
        known = self._inputs.get(tree.pack(node))
        if known and (reader is None or self._places[known[0]] < self._places[reader]):
            return {"Column": known[0]}
        return tree.rebuild(node, [self.reused(one, reader) for one in tree.children(node)])

    def _rewritten(self, node: Node, written: Node) -> Node:
        below = tree.children(node)
        if not below or tree.kind(node) in BOUNDARIES:
            return node
        made = [self._rewritten(child, child) for child in below]
        if any(new is not old for new, old in zip(made, below, strict=True)):
            node = tree.rebuild(node, made)
        window = window_of(node)
        taken = None if window is None else self._taken(node, window, written)
        return node if taken is None else {"Column": taken}

    def _taken(self, node: Node, window: Window, written: Node) -> str | None:
        inputs = [self._input(child) for child in tree.children(node)]
        dtypes = [None if name is None else self.schema[name] for name in inputs]
        types = {None if one is None else result_dtype(window.kind, one) for one in dtypes}
        dtype = types.pop()
        if types or dtype is None:
            return None
        names = tuple(name for name in inputs if name is not None)
        key = tree.pack(tree.rebuild(node, [{"Column": name} for name in names]))
        if key not in self._windows:
            column = f"{SCRATCH_PREFIX}window_{len(self._windows)}"
            stage, level = max(self._place(name) for name in names)
            self._windows[key] = Taken(column, window, names, dtype)
            self._places[column] = (stage, level + 1)
            self.schema[column], self.nodes[column] = dtype, written
        return self._windows[key].column

    def _input(self, node: Node) -> str | None:
        """Return the column that a window runs over, `None` where there is none to be had."""
        while tree.kind(node) == "Alias":
            node = tree.children(node)[0]
        if tree.kind(node) == "Column":
            name: str = tree.body(node)
            return name if name in self.schema else None
        key = tree.pack(node)
        if key not in self._inputs and key not in self._refused:
            dtype = self._dtype(node)
            if dtype is None:
                self._refused.add(key)
            else:
                column = f"{SCRATCH_PREFIX}input_{len(self._inputs)}"
                stage, level = max(map(self._place, tree.columns(node)), default=(0, 0))
                self._inputs[key] = column, node
                # NOTE: a pass without inputs can run before the plan, so these begin one later.
                self._places[column] = (stage, max(level, 1))
                self.schema[column], self.nodes[column] = dtype, node
        return None if key in self._refused else self._inputs[key][0]

    def _dtype(self, node: Node) -> pl.DataType | None:
        """Return the dtype of an expression with a value in each row, else `None`."""
        span, read = Spans({}, self.schema).span(node), tree.columns(node)
        if span.opaque or span.shape is not Shape.COLUMN or not self.schema.keys() >= {*read}:
            return None
        frame = pl.LazyFrame(schema={name: self.schema[name] for name in read})
        try:
            return frame.select(tree.encode(node).alias("x")).collect_schema()["x"]
        except pl.exceptions.PolarsError:
            return None

    def _place(self, column: str) -> _Place:
        return self._places.get(column, (0, 0))


def _tree(expr: pl.Expr) -> Node | None:
    """Return the tree of an expression that holds a window and may be rewritten, else `None`."""
    node = tree.decode(expr)
    if node is None or not any(map(window_of, tree.walk(node))) or tree.has_udf(node):
        return None
    if not all(tree.is_known_shape(part) for part in tree.walk(node)):
        return None
    return node if tree.encode(node).meta.eq(expr) else None


def polars_windows(exprs: Iterable[pl.Expr], nodes: Mapping[str, Node]) -> Iterator[str]:
    """Yield the windows that are left in expressions, once each, for a reader."""
    trees = (node for expr in exprs if (node := tree.decode(expr)) is not None)
    found = (show(as_written(part, nodes)) for one in trees for part in _outermost(one))
    yield from dict.fromkeys(found)


def _outermost(node: Node) -> Iterator[Node]:
    if is_window(node):
        yield node
    else:
        for child in tree.children(node):
            yield from _outermost(child)


def _note_what_is_kept(
    passes: Sequence[Sequence[Pass]],
    exprs: Sequence[Mapping[str, pl.Expr]],
    schema: Mapping[str, pl.DataType],
) -> None:
    """Find how far back whatever comes behind each pass reads, from the end to the beginning."""
    needs: dict[str, float] = {}
    keep = 0.0

    def read(column: str, expr: pl.Expr) -> None:
        nonlocal keep
        rows = needs.get(column, 0.0) + _past(expr, schema)
        keep = max(keep, rows)
        for name in expr.meta.root_names():
            needs[name] = max(needs.get(name, 0.0), rows)

    for before, stage in zip(reversed(passes), reversed(exprs), strict=True):
        for column, expr in stage.items():
            read(column, expr)
        for one in reversed(before):
            one.keep = keep
            for taken in one.windows:
                rows = needs.get(taken.column, 0.0) + taken.window.size - 1
                keep = max(keep, rows)
                for name in taken.inputs:
                    needs[name] = max(needs.get(name, 0.0), rows)
            for column, expr in one.inputs.items():
                read(column, expr)


def is_row_by_row(expr: pl.Expr) -> bool:
    """Return whether each value is made of its own row alone, whatever rows stand around it."""
    node = tree.decode(expr)
    if node is None:
        return False
    span = Spans({}, {}).span(node)
    return not span.opaque and span.low == span.high == 0 and span.shape is Shape.COLUMN


def _past(expr: pl.Expr, schema: Mapping[str, pl.DataType]) -> float:
    node = tree.decode(expr)
    if node is None:
        return inf
    span = Spans({}, schema).span(node)
    return inf if span.opaque or span.future else span.past
