"""Search for the proof of look-ahead: a table and a cut at which an earlier row changes.

All suspects of a provider are computed together, on tables that are odd in different ways, cut at
random places (evenly spaced cuts miss what comes in buckets). Whole prefixes are compared, not last
rows. Later rows are taken away, and replaced by others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from rangebar_enrich._expr import tree
from rangebar_enrich._expr.tree import Node
from rangebar_enrich._trial import frames
from rangebar_enrich._trial.clocks import is_time
from rangebar_enrich._trial.frames import FAILURES, ROWS, STYLES, Style, make_frame
from rangebar_enrich.reach.guess import BARS, guess_dtypes
from rangebar_enrich.reach.result import Witness

_CUTS = 12
_EARLY_CUTS = (1, 2, 4)
_MOST_ROWS = 8192
_MOST_LEVELS = 3
_FALLBACKS = (pl.Float64(), pl.Int64(), pl.Boolean(), pl.String(), pl.Datetime("us"))
_Mask = np.ndarray[Any, np.dtype[np.bool_]]
# Relative to the two values, and to what went in: sums over another number of rows round otherwise.
_RELATIVE: dict[pl.DataType, float] = {pl.Float32(): 1e-4, pl.Float64(): 1e-7}
_OF_INPUTS = 1e-11


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
        search = _Hunt(group, columns)
        search.run(STYLES)
        found.update(search.found)
    for name in suspects.keys() - found.keys():
        found.update(_search_alone(Suspect(name, suspects[name]), schema))
    return found


def _search_alone(suspect: Suspect, schema: Mapping[str, pl.DataType]) -> dict[str, Witness]:
    """Try more tables, with values near the suspect's own numbers and, if none fits, of other dtypes."""
    levels = [frames.at_level(level) for level in _levels(suspect.node) * 3]
    for fallback in _FALLBACKS:
        search = _Hunt([suspect], _columns([suspect], schema, fallback))
        search.run([*levels, *STYLES], first_seed=len(STYLES))
        if search.computed:
            return search.found
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
        self._columns = columns
        self._rows = max((suspect.rows for suspect in suspects), default=ROWS)
        self._fragile: set[str] = set()
        self.computed = False
        self.found: dict[str, Witness] = {}

    def run(self, styles: Sequence[Style], *, first_seed: int = 0) -> None:
        """Search table by table, and leave a suspect as soon as it is proven."""
        for seed, style in enumerate(styles, first_seed):
            if not self._open:
                return
            full = make_frame(self._columns, style, rows=self._rows, seed=seed)
            later = make_frame(self._columns, style, rows=self._rows, seed=seed + 1000)
            # Other bars, at the same times: a table whose times go back is none of the caller's.
            later = later.with_columns(
                full[name] for name in full.columns if is_time(name, full.schema)
            )
            self._compare(full, later, np.random.default_rng(seed))

    def _compare(self, full: pl.DataFrame, later: pl.DataFrame, rng: np.random.Generator) -> None:
        expected, scale = self._compute(full, self._fit(full)), _scale(full)
        for cut in dict.fromkeys(
            [*_EARLY_CUTS, *rng.permutation(np.arange(1, full.height))[:_CUTS].tolist()]
        ):
            prefix = full.head(cut)
            for other in (prefix, pl.concat([prefix, later.tail(full.height - cut)])):
                self._settle(expected, full, other, cut, scale)
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
        self,
        expected: Mapping[str, pl.Series],
        full: pl.DataFrame,
        other: pl.DataFrame,
        cut: int,
        scale: float,
    ) -> None:
        pending = {name: expr for name, expr in self._open.items() if name in expected}
        for name, actual in self._compute(other, pending).items():
            row = first_change(actual, expected[name], cut, scale=scale)
            if row is not None:
                expr = self._open.pop(name)
                witness = Witness(name, full, other, cut, row, actual[row], expected[name][row])
                self.found[name] = _shrink(witness, expr, self._nodes[name], scale)


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
    except FAILURES:
        return {}
    return {names[series.name]: series for series in made}


def _single(expr: pl.Expr) -> pl.Expr:
    """Make one column of an expression that selects several."""
    return pl.struct(expr) if expr.meta.has_multiple_outputs() else expr


def first_change(one: pl.Series, other: pl.Series, rows: int, *, scale: float) -> int | None:
    """Return the first of the leading `rows` in which two series differ, or `None`.

    Nulls, NaN and infinities must be in the same places; floats may differ by rounding, relative to
    the values and to `scale`, the size of what they were made from.
    """
    one, other = one.head(rows), other.head(rows)
    different = _different(one, other)
    if one.dtype in _RELATIVE and different.any():
        different = different & ~_rounding(one, other, scale)
    return int(different.argmax()) if different.any() else None


def _different(one: pl.Series, other: pl.Series) -> _Mask:
    try:
        return one.ne_missing(other).to_numpy()
    except FAILURES:
        # Some nested types can't be compared by Polars.
        pairs = zip(one.to_list(), other.to_list(), strict=True)
        return np.array([repr(left) != repr(right) for left, right in pairs])


def _rounding(one: pl.Series, other: pl.Series, scale: float) -> _Mask:
    """Mark the rows in which two float series are both finite and nearly the same."""
    left, right = one.cast(pl.Float64).to_numpy(), other.cast(pl.Float64).to_numpy()
    # Nulls are NaN here, and so never near.
    with np.errstate(invalid="ignore", over="ignore"):
        allowed = (
            _RELATIVE[one.dtype] * np.maximum(np.abs(left), np.abs(right)) + _OF_INPUTS * scale
        )
        near: _Mask = np.isfinite(left) & np.isfinite(right) & (np.abs(left - right) <= allowed)
    return near


def _scale(frame: pl.DataFrame) -> float:
    """Return the largest magnitude among the float columns."""
    largest = [series.fill_nan(None).abs().max() for series in frame if series.dtype.is_float()]
    return max((float(value) for value in largest if value is not None), default=1.0)  # type: ignore[arg-type]


def _shrink(witness: Witness, expr: pl.Expr, node: Node, scale: float) -> Witness:
    """Find few rows that show the same: end right after the row, and add as few as it takes."""
    read = [name for name in tree.columns(node) if name in witness.frame.columns]
    full = witness.frame.select(read) if read and not tree.selects_by_rule(node) else witness.frame
    name, row = witness.column, witness.row
    short = compute(full.head(row + 1), {name: expr}).get(name)
    for height in range(row + 2, min(row + 8, full.height + 1)):
        longer = compute(full.head(height), {name: expr}).get(name)
        if short is None or longer is None:
            continue
        changed = first_change(short, longer, row + 1, scale=scale)
        if changed is not None:
            return Witness(
                name,
                full.head(height),
                full.head(row + 1),
                row + 1,
                changed,
                short[changed],
                longer[changed],
            )
    return Witness(
        name,
        full,
        witness.other.select(full.columns),
        witness.cut,
        row,
        witness.before,
        witness.after,
    )


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
