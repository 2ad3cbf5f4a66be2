"""A native provider's expressions, read leniently: faults are gathered, what is sound is kept."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from rangebar_enrich._expr import tree
from rangebar_enrich._plan.compile import is_feature_dtype
from rangebar_enrich._provider.declaration import ISOLATED, Declaration, cause
from rangebar_enrich.conformance.form import Form
from rangebar_enrich.protocol import BarContext
from rangebar_enrich.reach import keeps_rows

_LIKE_A_TYPO = 0.8


@dataclass(frozen=True, slots=True)
class Expressions:
    """What a native provider returned for one context.

    Attributes:
        exprs: Declared column to expression, aliased; only those that can be evaluated.
        faults: Check to the faults that were found.
    """

    exprs: dict[str, pl.Expr]
    faults: Form = field(default_factory=Form)


def read_expressions(declaration: Declaration, provider: Any, context: BarContext) -> Expressions:
    """Ask `provider` for its expressions and match them with the declared columns."""
    found = Expressions({})
    try:
        made = provider.expressions(context)
        pairs = list(made.items()) if isinstance(made, Mapping) else [(None, one) for one in made]
    except ISOLATED as error:
        found.faults.add("columns", f"expressions() raised {cause(error)}")
        return found
    named = list(_named(pairs, found.faults))
    names = [name for name, _ in named]
    for name in sorted(set(names)):
        if name not in declaration.columns:
            found.faults.add("columns", f"'{name}': made by an expression, but not declared")
        elif names.count(name) > 1:
            found.faults.add("columns", f"'{name}': made by {names.count(name)} expressions")
    exprs = dict(named)
    for column in declaration.columns:
        if column not in exprs:
            found.faults.add("columns", f"'{column}': declared, but no expression makes it")
        elif set(exprs[column].meta.root_names()) & set(declaration.columns):
            found.faults.add("columns", f"'{column}': reads the provider's own columns")
        elif names.count(column) == 1:
            found.exprs[column] = exprs[column]
    return found


def _named(pairs: Sequence[tuple[Any, Any]], faults: Form) -> Iterator[tuple[str, pl.Expr]]:
    for position, (column, expr) in enumerate(pairs):
        label = f"expression {position}" if column is None else f"'{column}'"
        if not isinstance(expr, pl.Expr):
            faults.add("columns", f"{label}: got {type(expr).__name__}, expected pl.Expr")
        elif expr.meta.has_multiple_outputs():
            faults.add("columns", f"{label}: may give several columns")
        elif column is not None:
            yield str(column), expr.alias(str(column))
        else:
            try:
                yield expr.meta.output_name(), expr
            except pl.exceptions.PolarsError as error:
                faults.add("columns", f"{label}: has no name: {cause(error)}")


def try_expressions(found: Expressions, probe: pl.DataFrame) -> None:
    """Evaluate each expression on ordinary bars; drop those that break the contract's form."""
    for column, expr in list(found.exprs.items()):
        fault = _fault(expr, column, probe)
        if fault is not None:
            found.faults.add(*fault)
            del found.exprs[column]


def _fault(expr: pl.Expr, column: str, probe: pl.DataFrame) -> tuple[str, str] | None:
    try:
        made = probe.lazy().select(expr).collect(engine="in-memory").to_series()
    except ISOLATED as error:
        fault = f"'{column}': fails on {probe.height} ordinary bars: {cause(error)}"
        return ("row_preserving" if _is_about_length(error) else "columns"), fault
    if not is_feature_dtype(made.dtype):
        return "dtypes", f"'{column}': has dtype {made.dtype}, expected a number or boolean"
    if len(made) != probe.height and not (len(made) == 1 and keeps_rows(expr)):
        fault = f"'{column}': gives {len(made)} value(s) for {probe.height} bars"
        return "row_preserving", fault
    return None


def _is_about_length(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, pl.exceptions.ShapeError) or "length" in text


def absent_columns(
    exprs: Mapping[str, pl.Expr], known: Mapping[str, Any], faults: Form
) -> list[str]:
    """Return columns that another provider must make; a name like a known one is a fault."""
    absent = []
    roots = {name for expr in exprs.values() for name in expr.meta.root_names()}
    for name in sorted(roots - known.keys()):
        close = difflib.get_close_matches(name, known, n=1, cutoff=_LIKE_A_TYPO)
        if close:
            faults.add("columns", f"reads unknown column '{name}'; did you mean '{close[0]}'?")
        else:
            absent.append(name)
    return absent


def trees(exprs: Mapping[str, pl.Expr]) -> list[tree.Node | None]:
    """Return the operator tree of each expression, `None` for one that cannot be read."""
    return [tree.decode(expr) for expr in exprs.values()]


def runs_python(nodes: Sequence[tree.Node | None]) -> bool:
    """Return whether a Python function may run inside any of the trees."""
    return any(node is None or tree.has_udf(node) for node in nodes)


def largest_count(nodes: Sequence[tree.Node | None], most: int) -> int:
    """Return the largest whole number up to `most` in the trees: what a window or shift may be."""
    return max((number for node in nodes for number in _numbers(node) if number <= most), default=0)


def _numbers(value: Any) -> Iterator[int]:
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, dict):
            pending.extend(one.values())
        elif isinstance(one, list):
            pending.extend(one)
        elif isinstance(one, bytes) and len(one) == 16:
            # NOTE: a literal whole number is 16 big-endian bytes.
            yield abs(int.from_bytes(one, "big", signed=True))
        elif isinstance(one, int) and not isinstance(one, bool):
            yield abs(one)
