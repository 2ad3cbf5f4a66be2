"""A native provider's expressions, tried on ordinary bars: what is sound is kept."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from rangebar_enrich._expr import tree
from rangebar_enrich._plan.compile import column_faults, dtype_fault, read_expressions
from rangebar_enrich._provider.declaration import ISOLATED, Declaration, cause
from rangebar_enrich._provider.fault import Fault
from rangebar_enrich.errors import CompileError
from rangebar_enrich.protocol import BarContext
from rangebar_enrich.reach import keeps_rows

_LIKE_A_TYPO = 0.8


def ask(declaration: Declaration, context: BarContext) -> tuple[dict[str, pl.Expr], list[Fault]]:
    """Return the expressions that can be told, and every fault of what the provider gave."""
    try:
        return read_expressions(declaration, context)
    except CompileError as error:
        return {}, list(error.faults)


def sound_expressions(
    declaration: Declaration, context: BarContext, probe: pl.DataFrame
) -> tuple[dict[str, pl.Expr], list[Fault]]:
    """Return the expressions that keep the contract's form on ordinary bars, and every fault."""
    exprs, faults = ask(declaration, context)
    faults += column_faults(exprs, context.columns, declaration)
    known = {fault.column for fault in faults}
    rest = {column: expr for column, expr in exprs.items() if column not in known}
    tried = {column: _fault(expr, column, probe) for column, expr in rest.items()}
    faults += [fault for found in tried.values() for fault in found]
    return {column: expr for column, expr in rest.items() if not tried[column]}, faults


def _fault(expr: pl.Expr, column: str, probe: pl.DataFrame) -> list[Fault]:
    try:
        made = probe.lazy().select(expr).collect(engine="in-memory").to_series()
    except ISOLATED as error:
        text = f"'{column}': fails on {probe.height} ordinary bars: {cause(error)}"
        return [Fault("row_preserving" if _is_about_length(error) else "columns", text, column)]
    if len(made) != probe.height and not (len(made) == 1 and keeps_rows(expr)):
        text = f"'{column}': gives {len(made)} value(s) for {probe.height} bars"
        return [Fault("row_preserving", text, column)]
    return dtype_fault(column, made.dtype)


def _is_about_length(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, pl.exceptions.ShapeError) or "length" in text


def absent_columns(declaration: Declaration, context: BarContext) -> dict[str, list[pl.Expr]]:
    """Return columns that another provider must make, with the expressions that read them.

    A provider's own columns are none, nor is a name like a known one: that is a typo.
    """
    exprs, _ = ask(declaration, context)
    readers: dict[str, list[pl.Expr]] = {}
    for expr in exprs.values():
        for name in sorted(set(expr.meta.root_names())):
            readers.setdefault(name, []).append(expr)
    return {
        name: reading
        for name, reading in sorted(readers.items())
        if name not in context.columns
        and name not in declaration.columns
        and not difflib.get_close_matches(name, context.columns, n=1, cutoff=_LIKE_A_TYPO)
    }


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
