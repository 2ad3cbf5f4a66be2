"""What is proven of a provider's expressions: their length, and that they do not look ahead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import inf

import polars as pl

from rangebar_enrich._bars.columns import SCRATCH_PREFIX
from rangebar_enrich._plan.compile import refuse
from rangebar_enrich._plan.plan import Plan
from rangebar_enrich._plan.provider import CompiledProvider
from rangebar_enrich._provider.declaration import ISOLATED, Declaration, Kind
from rangebar_enrich._provider.fault import Fault
from rangebar_enrich.errors import LookAheadError, ProviderError, message
from rangebar_enrich.reach import Reach, reaches_of

_GROUP = f"{SCRATCH_PREFIX}group"


def proven(plan: Plan) -> Plan:
    """Prove providers in order, so that each knows the reach of the columns that it reads."""
    by_name = {made.name: made for made in plan.declarations}
    compiled, known = dict(plan.compiled), dict[str, Reach]()
    failures: dict[str, ProviderError] = {}
    for kind, names in plan.groups:
        for name in names:
            if kind is Kind.LEGACY:
                known |= _promised(by_name[name])
            elif not plan.needs[name] & failures.keys():
                try:
                    made = compiled[name] = prove(compiled[name], known, plan.schema)
                except ProviderError as error:
                    failures[name] = error
                else:
                    known |= {column: made.shown_reach(column) for column in made.exprs}
    return replace(plan, compiled=compiled).failing(failures)


def _promised(made: Declaration) -> dict[str, Reach]:
    """Return what readers of a legacy provider's columns may take for granted."""
    fixed = made.fixed_by
    reach = Reach(inf, inf, opaque=True) if fixed is None else Reach(past=fixed)
    return dict.fromkeys(made.columns, reach)


def prove(
    compiled: CompiledProvider, known: Mapping[str, Reach], schema: Mapping[str, pl.DataType]
) -> CompiledProvider:
    """Derive how far each expression reads, and refuse what breaks the contract by it.

    Args:
        compiled: A provider whose expressions are well formed.
        known: Reach of the columns that other providers make.
        schema: Dtypes of everything that the expressions read.

    Returns:
        The provider with its reaches.

    Raises:
        CompileError: An expression does not give one value a bar.
        LookAheadError: A witness proves that an expression reads later bars.
    """
    reaches = reaches_of(compiled.exprs, known=known, schema=schema)
    declaration = compiled.declaration
    lengths = {
        column: _length_fault(column, expr, reaches[column], schema)
        for column, expr in compiled.exprs.items()
    }
    faults = [
        Fault("row_preserving", text, column)
        for column, text in lengths.items()
        if text is not None
    ]
    refuse(declaration, faults)
    ahead = {name: reach for name, reach in reaches.items() if reach.is_causal is False}
    if ahead:
        head = f"Provider '{declaration.name}' {declaration.version}: {len(ahead)} column(s) look ahead:"
        text = message(head, [_look_ahead(name, reach) for name, reach in ahead.items()])
        raise LookAheadError.of(declaration.name, text)
    reads = compiled.reads.union(*(reach.columns for reach in reaches.values()))
    return replace(compiled, reaches=reaches, reads=reads)


def _look_ahead(column: str, reach: Reach) -> str:
    told = [f"'{column}': {'; '.join(reach.reasons)}"]
    if reach.witness is not None:
        told.append(f"proof: {reach.witness}")
    if reach.hint:
        told.append(f"hint: {reach.hint}")
    return "; ".join(told)


def _length_fault(
    column: str, expr: pl.Expr, reach: Reach, schema: Mapping[str, pl.DataType]
) -> str | None:
    is_scalar = _fact(expr.meta.is_scalar)
    if is_scalar is None:
        is_scalar = _is_scalar_over(pl.LazyFrame(schema=dict(schema)), column, expr)
    if is_scalar and not expr.meta.is_literal(allow_aliasing=True):
        return (
            f"'{column}': gives one value for the whole table, not one a bar;"
            " it would be repeated in every row"
        )
    if reach.keeps_rows is False:
        return f"'{column}': does not give one value a bar"
    return None


def _fact(question: Callable[[], bool]) -> bool | None:
    """Return what Polars knows of an expression, `None` where it needs the data to tell."""
    try:
        return question()
    except pl.exceptions.PolarsError:
        return None


def _is_scalar_over(frame: pl.LazyFrame, column: str, expr: pl.Expr) -> bool | None:
    """Return whether an expression gives one value, where only the dtypes of its input tell."""
    # NOTE: meta.is_scalar raises for a Python function that reads a column. In an aggregation
    # rows become a list, and what is one value already keeps its dtype.
    try:
        plain = frame.select(expr).collect_schema()[column]
        grouped = frame.group_by(pl.lit(0).alias(_GROUP)).agg(expr).collect_schema()[column]
    except ISOLATED:
        return None
    return plain == grouped
