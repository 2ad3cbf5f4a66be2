"""Folds: operators whose next value is made from their last value and one more row.

A fold continues by itself when the last value stands in front of the new rows. Polars folds in
the order of the rows, so the result has the same bits as if it had never stopped.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

_FEW_ROWS = 1_000

FOLDS = {
    "Function.CumCount": "cum_sum",
    "Function.CumMax": "cum_max",
    "Function.CumMin": "cum_min",
    "Function.CumProd": "cum_prod",
    "Function.CumSum": "cum_sum",
    "Function.FillNullWithStrategy.Forward": "forward_fill",
}
"""Operator to the method of `pl.Expr` that folds its input; counting is a sum of ones."""


def fold_input(name: str, value: pl.Expr) -> pl.Expr:
    """Return what the fold for the operator `name` runs over."""
    if name == "Function.CumCount":
        return value.is_not_null().cast(pl.get_index_type())
    return value


def fold_expr(name: str, column: str) -> pl.Expr:
    """Return the fold over `column`."""
    folded: pl.Expr = getattr(pl.col(column), FOLDS[name])()
    return folded


def advance_folds(
    folds: Mapping[str, pl.Expr], held: pl.DataFrame | None, inputs: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Fold the new rows of several columns, each from its own last value.

    Args:
        folds: Column to its fold.
        held: One row, the last value of each fold or null; `None` before the first rows.
        inputs: The new rows.

    Returns:
        The folds' values for the new rows, and the row to go on from.
    """
    if held is None:
        values = inputs.select(folds.values())
        return values, _last(values)
    if inputs.schema != held.schema:
        # Sums of small integers are wider than their inputs.
        inputs = inputs.cast(held.schema)
    values = held.vstack(inputs).select(folds.values())
    return values.slice(1), _last(values)


def _last(values: pl.DataFrame) -> pl.DataFrame:
    """Return the last value of each column that is not null."""
    row = values.tail(1)
    complete = row.height and not any(one.null_count() for one in row.get_columns())
    # A slice of many rows would keep them all alive.
    if complete and values.height <= _FEW_ROWS:
        return row
    return values.select(pl.all().last(ignore_nulls=True))
