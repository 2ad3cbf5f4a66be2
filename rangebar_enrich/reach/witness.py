"""Search for the proof of look-ahead: a table and a cut at which an earlier row changes.

All suspects of a provider are computed together, on tables that are odd in different ways, cut at
random places (evenly spaced cuts miss what comes in buckets). Whole prefixes are compared, not last
rows. Later rows are taken away, and replaced by others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle

import numpy as np
import polars as pl

from rangebar_enrich._expr import tree
from rangebar_enrich._expr.tree import Node
from rangebar_enrich._provider.declaration import ISOLATED
from rangebar_enrich._trial.comparison import first_change, input_scale
from rangebar_enrich._trial.futures import FUTURES, draw_cuts, replace_future
from rangebar_enrich._trial.samples import Recipe, clocks_of, make_bars
from rangebar_enrich._trial.shapes import ODD, Shape, at_level
from rangebar_enrich._trial.witness import Change, Witness, shrink
from rangebar_enrich.reach.guess import BARS, guess_dtypes

ROWS = 48
"""Rows of a table, unless an expression reads further."""
_CUTS = 12
_MOST_ROWS = 8192
_MOST_LEVELS = 3
_FALLBACKS = (pl.Float64(), pl.Int64(), pl.Boolean(), pl.String(), pl.Datetime("us"))


@dataclass(frozen=True)
class Suspect:
    """An expression that may look ahead, and is free of foreign code."""

    name: str
    node: Node

    @property
    def rows(self) -> int:
        """Rows that a table needs so that what it reads lies inside."""
        return min(max(ROWS, 2 * _farthest(self.node) + ROWS), _MOST_ROWS)


def find_witnesses(
    suspects: Mapping[str, Node], schema: Mapping[str, pl.DataType]
) -> dict[str, Witness]:
    """Return a witness for each suspect for which one was found.

    Args:
        suspects: Name to tree; none may hold foreign code.
        schema: Dtypes of the columns, as far as they are known; the rest is guessed from use.
    """
    found: dict[str, Witness] = {}
    for group in _groups(suspects):
        columns = _columns(group, schema)
        hunt = _Hunt(group, columns)
        hunt.run(ODD.values())
        found.update(hunt.found)
    for name in suspects.keys() - found.keys():
        found.update(_search_alone(Suspect(name, suspects[name]), schema))
    return found


def _search_alone(suspect: Suspect, schema: Mapping[str, pl.DataType]) -> dict[str, Witness]:
    """Try more tables, with values near the suspect's own numbers and, if none fits, of other dtypes."""
    levels = [at_level(level) for level in _levels(suspect.node) * 3]
    for fallback in _FALLBACKS:
        hunt = _Hunt([suspect], _columns([suspect], schema, fallback))
        hunt.run([*levels, *ODD.values()], first_seed=len(ODD))
        if hunt.computed:
            return hunt.found
    return {}


def _groups(suspects: Mapping[str, Node]) -> Iterator[list[Suspect]]:
    """Put suspects together that need tables of like height and agree on what columns are."""
    grouped: dict[tuple[int, ...], list[Suspect]] = {}
    for name, node in suspects.items():
        suspect = Suspect(name, node)
        grouped.setdefault((suspect.rows.bit_length(),), []).append(suspect)
    yield from grouped.values()


def _columns(
    group: list[Suspect], schema: Mapping[str, pl.DataType], fallback: pl.DataType = _FALLBACKS[0]
) -> dict[str, pl.DataType]:
    nodes = [suspect.node for suspect in group]
    read = {name for node in nodes for name in tree.columns(node)}
    if any(map(tree.selects_by_rule, nodes)):
        read |= schema.keys() or BARS
    # A table needs a column to have rows.
    read = read or {"close"}
    guessed = guess_dtypes(nodes)
    guessed |= {name: pl.Float64() for name in BARS}
    return {name: schema.get(name) or guessed.get(name) or fallback for name in sorted(read)}


class _Hunt:
    """One batch of suspects on tables of the same columns."""

    def __init__(self, suspects: list[Suspect], columns: Mapping[str, pl.DataType]) -> None:
        self._nodes = {suspect.name: suspect.node for suspect in suspects}
        self._open = {suspect.name: tree.encode(suspect.node) for suspect in suspects}
        self._recipe = Recipe(columns, clocks_of(columns))
        self._rows = max((suspect.rows for suspect in suspects), default=ROWS)
        self._fragile: set[str] = set()
        self.computed = False
        self.found: dict[str, Witness] = {}

    def run(self, shapes: Iterable[Shape], *, first_seed: int = 0) -> None:
        """Search table by table, and leave a suspect as soon as it is proven."""
        for seed, shape in enumerate(shapes, first_seed):
            if not self._open:
                return
            frame = make_bars(shape, self._rows, seed, self._recipe)
            self._compare(frame, np.random.default_rng(seed))

    def _compare(self, full: pl.DataFrame, rng: np.random.Generator) -> None:
        expected, modes = self._compute(full, self._fit(full)), cycle(FUTURES)
        if not expected:
            return
        for cut in rng.permutation(draw_cuts(rng, full.height, _CUTS)).tolist():
            replaced = replace_future(full, cut, rng, next(modes), self._recipe.clocks)
            for other in (full.head(cut), replaced):
                self._settle(expected, full, other, cut)
            if not self._open:
                return

    def _compute(self, frame: pl.DataFrame, exprs: Mapping[str, pl.Expr]) -> dict[str, pl.Series]:
        """Compute what never failed together, and each other one alone: one must not spoil the batch."""
        sound = {name: expr for name, expr in exprs.items() if name not in self._fragile}
        made = compute(frame, sound)
        alone = exprs.keys() - made.keys()
        for name in sorted(alone):
            made.update(compute(frame, {name: exprs[name]}))
        self._fragile |= exprs.keys() - made.keys()
        self.computed = self.computed or bool(made)
        return made

    def _fit(self, frame: pl.DataFrame) -> dict[str, pl.Expr]:
        """Leave out what panics on nulls, and would print a backtrace for each table."""
        if all(series.null_count() == 0 for series in frame):
            return self._open
        return {
            name: expr for name, expr in self._open.items() if not _has_weights(self._nodes[name])
        }

    def _settle(
        self, expected: Mapping[str, pl.Series], full: pl.DataFrame, other: pl.DataFrame, cut: int
    ) -> None:
        pending = {name: expr for name, expr in self._fit(other).items() if name in expected}
        scale = input_scale(full, other)
        for name, actual in self._compute(other, pending).items():
            row = first_change(actual, expected[name], cut, scale=scale)
            if row is not None:
                witness = Witness(name, full, other, cut, row, actual[row], expected[name][row])
                self.found[name] = _shrunk(witness, self._open.pop(name), self._nodes[name], scale)


def compute(frame: pl.DataFrame, exprs: Mapping[str, pl.Expr]) -> dict[str, pl.Series]:
    """Compute expressions as columns of `frame`: all of them, or none where one fails."""
    if not exprs:
        return {}
    names = {f"__enrich_{position}": name for position, name in enumerate(exprs)}
    columns = [
        _single(expr).alias(scratch) for scratch, expr in zip(names, exprs.values(), strict=True)
    ]
    try:
        made = frame.lazy().with_columns(columns).select(names.keys()).collect(engine="in-memory")
    except ISOLATED:
        return {}
    return {names[series.name]: series for series in made}


def _single(expr: pl.Expr) -> pl.Expr:
    """Make one column of an expression that selects several."""
    return pl.struct(expr) if expr.meta.has_multiple_outputs() else expr


def _shrunk(witness: Witness, expr: pl.Expr, node: Node, scale: float) -> Witness:
    """Find few rows and columns that show the same."""
    read = [name for name in tree.columns(node) if name in witness.frame.columns]
    if read and not tree.selects_by_rule(node):
        other = witness.other.select(read)
        witness = replace(witness, frame=witness.frame.select(read), other=other)

    def computed(frames: Sequence[pl.DataFrame]) -> list[pl.Series | None]:
        return [compute(frame, {"": expr}).get("") for frame in frames]

    def changed(part: pl.Series, whole: pl.Series) -> Change | None:
        row = first_change(part, whole, len(part), scale=scale)
        return None if row is None else (row, part[row], whole[row])

    heights = range(witness.row + 1, min(witness.row + 8, witness.frame.height + 1))
    return shrink(witness, heights, computed, changed)


_COUNTED = frozenset(
    {
        "Function.Shift",
        "Function.ShiftAndFill",
        "Function.Diff",
        "Function.PctChange",
        "Slice",
        "Gather",
    }
)


def _farthest(node: Node) -> int:
    """Return the largest number of rows that an operator of the tree counts."""
    counts = [0]
    for part in tree.walk(node):
        name = tree.operator(part)
        if name in _COUNTED:
            counts += [
                abs(value)
                for value in map(tree.integer, tree.children(part)[1:])
                if value is not None
            ]
        elif name.startswith("Function.RollingExpr."):
            counts.append(tree.options(part)["options"]["window_size"])
        elif name.startswith("Function.FillNullWithStrategy") and isinstance(
            tree.options(part), int
        ):
            counts.append(tree.options(part))
    return max(count for count in counts if count < _MOST_ROWS)


def _has_weights(node: Node) -> bool:
    """Say whether a rolling window has weights, which Polars does not support on nulls."""
    rolling = (
        part for part in tree.walk(node) if tree.operator(part).startswith("Function.RollingExpr.")
    )
    return any(tree.options(part)["options"]["weights"] is not None for part in rolling)


def _levels(node: Node) -> list[float]:
    """Return numbers that the expression compares with or adds: values near them may matter."""
    literals = (part for part in tree.walk(node) if tree.kind(part) == "Literal")
    numbers = {number for number in map(_number, literals) if number}
    return sorted(numbers, key=abs, reverse=True)[:_MOST_LEVELS]


def _number(literal: Node) -> float | None:
    whole = tree.integer(literal)
    if whole is not None:
        return float(whole)
    value = tree.body(literal)
    inner = tree.body(tree.body(value)) if tree.kind(value) in {"Dyn", "Scalar"} else None
    return inner if isinstance(inner, float) else None
