"""Undefined is null: what readers of a feature see of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan

import polars as pl

ROW = pl.int_range(pl.len())
"""The number of a row in its series."""


def mended(value: pl.Expr, warm_up: int, *, row: pl.Expr = ROW, once: bool = False) -> pl.Expr:
    """Return a feature as readers of it see it: float64, null where undefined or in warm-up.

    Args:
        value: The feature.
        warm_up: Rows at the start of a series that are null.
        row: Number of a row in its series.
        once: Name `value` in one place only: no engine streams that, but a tree of features put
            into one another does not double with each.
    """
    value = value.cast(pl.Float64)
    value = value.replace(nan, None) if once else value.fill_nan(None)
    return pl.when(row >= warm_up).then(value) if warm_up else value


def mended_columns(
    values: Sequence[pl.Series], warm_up: Mapping[str, int], start: int = 0
) -> list[pl.Series]:
    """Return columns that were computed as readers of them see them.

    Args:
        values: The columns, of one series.
        warm_up: Rows at the start of the series that are null, for each column.
        start: Rows of the series before these.
    """
    exprs = [mended(pl.col(one.name), max(0, warm_up[one.name] - start)) for one in values]
    return pl.DataFrame(values).select(exprs).get_columns()
