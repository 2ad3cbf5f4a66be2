"""Providers' expressions, asked for and checked against their declarations before anything runs."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from rangebar_enrich._plan.plan import Plan
from rangebar_enrich._plan.provider import CompiledProvider, form
from rangebar_enrich._provider.declaration import ISOLATED, Declaration, Kind, cause
from rangebar_enrich._provider.fault import Fault
from rangebar_enrich.errors import CompileError, ProviderError, message
from rangebar_enrich.protocol import BarContext


def asked(plan: Plan) -> Plan:
    """Ask the native providers for their expressions, once for each plan."""
    exprs: dict[str, Mapping[str, pl.Expr]] = {}
    failures: dict[str, ProviderError] = {}
    for made in plan.declarations:
        if made.kind is Kind.NATIVE:
            try:
                exprs[made.name] = named_expressions(made, plan.context)
            except ProviderError as error:
                failures[made.name] = error
    return replace(plan, exprs=exprs).failing(failures)


def compiled(plan: Plan) -> Plan:
    """Check inputs and dtypes of each provider's expressions."""
    found: dict[str, CompiledProvider] = {}
    failures: dict[str, ProviderError] = {}
    for made in plan.declarations:
        schema = plan.schema_of(made.name)
        try:
            _check_requires(made, schema)
            if made.name in plan.exprs:
                found[made.name] = compile_provider(made, plan.exprs[made.name], schema)
        except ProviderError as error:
            failures[made.name] = error
    return replace(plan, compiled=found).failing(failures)


def compile_provider(
    declaration: Declaration, exprs: Mapping[str, pl.Expr], schema: Mapping[str, pl.DataType]
) -> CompiledProvider:
    """Check a provider's expressions against what they may read and must give.

    Args:
        declaration: The provider.
        exprs: Its expressions, from `named_expressions`.
        schema: Dtypes of all that it may read.

    Returns:
        Its expressions, checked by input columns and dtype; the proof does the rest.

    Raises:
        CompileError: They break the contract; every broken column is named.
    """
    forms = {column: form(expr) for column, expr in exprs.items()}
    refuse(declaration, column_faults(exprs, schema, declaration))
    refuse(declaration, _dtype_faults(exprs, schema))
    reads = frozenset(name for expr in exprs.values() for name in expr.meta.root_names())
    return CompiledProvider(declaration, exprs, forms, reads)


def _check_requires(declaration: Declaration, known: Collection[str]) -> None:
    """Refuse a provider whose `requires` names a column that nobody makes."""
    absent = [name for name in declaration.requires or () if name not in known]
    faults = [
        Fault("columns", f"'requires': column '{name}' is not there and nobody makes it")
        for name in absent
    ]
    refuse(declaration, faults)


def refuse(declaration: Declaration, faults: Sequence[Fault]) -> None:
    """Raise one error for all faults of a provider, if there are any."""
    if faults:
        head = f"Provider '{declaration.name}' {declaration.version}: {len(faults)} fault(s):"
        text = message(head, [str(fault) for fault in faults])
        raise CompileError.of(declaration.name, text, faults)


def named_expressions(declaration: Declaration, context: BarContext) -> dict[str, pl.Expr]:
    """Ask a provider for its expressions.

    Returns:
        They in declared order, each with its column's name.

    Raises:
        CompileError: It raised, or what it gave is not one expression for each column.
    """
    exprs, faults = read_expressions(declaration, context)
    refuse(declaration, faults)
    return exprs


def read_expressions(
    declaration: Declaration, context: BarContext
) -> tuple[dict[str, pl.Expr], list[Fault]]:
    """Ask a provider for its expressions, and match them with the declared columns.

    Returns:
        Those that can be told, in declared order, each with its column's name; and every fault.

    Raises:
        CompileError: It raised, or gave something else.
    """
    try:
        made = declaration.provider.expressions(context)
        pairs = _pairs(made)
    except ISOLATED as error:
        fault = Fault("columns", f"expressions() raised {cause(error)}")
        msg = f"Provider '{declaration.name}': {fault}"
        raise CompileError.of(declaration.name, msg, [fault]) from error
    if pairs is None:
        got = f"{type(made).__module__}.{type(made).__qualname__}".removeprefix("builtins.")
        text = f"expressions() returned {got}, expected a list of pl.Expr or a mapping to them"
        refuse(declaration, [Fault("columns", text)])
    named, faults = _by_name(pairs or [])
    names = [name for name, _ in named]
    exprs = dict(named)
    sound = {column: exprs[column] for column in declaration.columns if names.count(column) == 1}
    return sound, faults + _name_faults(declaration, names)


def _pairs(made: Any) -> list[tuple[Any, Any]] | None:
    """Return (column or None, expression) pairs, or `None` for what holds no expressions."""
    if isinstance(made, Mapping):
        return list(made.items())
    if isinstance(made, str | bytes | pl.Expr | pl.Series) or not isinstance(made, Iterable):
        return None
    return [(None, expr) for expr in made]


def _by_name(pairs: Sequence[tuple[Any, Any]]) -> tuple[list[tuple[str, pl.Expr]], list[Fault]]:
    named: list[tuple[str, pl.Expr]] = []
    faults: list[str] = []
    for position, (column, expr) in enumerate(pairs):
        label = f"'{column}'" if column is not None else f"expression {position}"
        if not isinstance(expr, pl.Expr):
            faults.append(f"{label}: got {type(expr).__name__}, expected pl.Expr")
        elif expr.meta.has_multiple_outputs():
            faults.append(f"{label}: may give several columns; name one column in each pl.col()")
        elif column is not None:
            named.append((str(column), expr.alias(str(column))))
        else:
            try:
                name = expr.meta.output_name()
                named.append((name, expr.alias(name)))
            except pl.exceptions.PolarsError as error:
                faults.append(f"{label}: has no name ({cause(error)}); end it with .alias()")
    return named, [Fault("columns", fault) for fault in faults]


def _name_faults(declaration: Declaration, names: Sequence[str]) -> list[Fault]:
    declared = declaration.columns
    missing = [
        f"'{name}': declared, but no expression makes it" for name in declared if name not in names
    ]
    extra = sorted({name for name in names if name not in declared})
    doubled = sorted({name for name in names if name in declared and names.count(name) > 1})
    faults = [
        *missing,
        *(f"'{name}': made by an expression, but not declared" for name in extra),
        *(f"'{name}': made by {names.count(name)} expressions" for name in doubled),
    ]
    return [Fault("columns", fault) for fault in faults]


def column_faults(
    exprs: Mapping[str, pl.Expr], known: Mapping[str, Any], declaration: Declaration
) -> list[Fault]:
    """Return a fault for each column that an expression reads and nobody has."""
    faults = []
    for column, expr in exprs.items():
        for name in sorted(set(expr.meta.root_names()) - known.keys()):
            if name in declaration.columns:
                reason = "a provider cannot read its own columns; repeat the expression"
            else:
                close = difflib.get_close_matches(name, known, n=1)
                absent = "it is not in the bars, or cannot be read"
                reason = f"did you mean '{close[0]}'?" if close else absent
            text = f"'{column}': reads unknown column '{name}' ({reason})"
            faults.append(Fault("columns", text, column))
    return faults


def _dtype_faults(exprs: Mapping[str, pl.Expr], known: Mapping[str, Any]) -> list[Fault]:
    frame = pl.LazyFrame(schema=dict(known))
    try:
        schema = frame.with_columns(exprs.values()).collect_schema()
    except ISOLATED:
        return [fault for one in exprs.items() for fault in _schema_fault(frame, *one)]
    return [fault for column in exprs for fault in dtype_fault(column, schema[column])]


def _schema_fault(frame: pl.LazyFrame, column: str, expr: pl.Expr) -> list[Fault]:
    try:
        dtype = frame.with_columns(expr).collect_schema()[column]
    except ISOLATED as error:
        return [Fault("columns", f"'{column}': {cause(error)}", column)]
    return dtype_fault(column, dtype)


def dtype_fault(column: str, dtype: pl.DataType) -> list[Fault]:
    """Return the fault of a column that is no feature, or nothing."""
    if is_feature_dtype(dtype):
        return []
    text = f"'{column}': has dtype {dtype}, expected a number or boolean"
    return [Fault("dtypes", text, column)]


def is_feature_dtype(dtype: pl.DataType) -> bool:
    """Return whether values of `dtype` can be stored as float64."""
    return dtype.is_numeric() or dtype == pl.Boolean
