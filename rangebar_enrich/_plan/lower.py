"""A step over bars: the one way from a plan to Polars.

A step becomes stages of expressions, each reading what those before it made: parts that several
features share, the features themselves, and what mends those that others read.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import polars as pl

from rangebar_enrich._expr.common import WORTH_FROM_ROWS
from rangebar_enrich._plan.mend import ROW, mended
from rangebar_enrich._plan.plan import NativeStep

Stages = tuple[tuple[pl.Expr, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The bars that a step runs over.

    Attributes:
        count: Their number, by which it is decided whether shared parts pay.
        keys: Columns that tell series apart, where there may be several.
        are_sorted: Whether the rows of a series are next to each other.
        number: Number of a row in the table; `None` where rows are counted series by series.
    """

    count: int = 0
    keys: tuple[str, ...] = ()
    are_sorted: bool = True
    number: pl.Expr | None = None

    def within(self, expr: pl.Expr) -> pl.Expr:
        """Return an expression as it is, or within each series where there may be several."""
        if not self.keys:
            return expr
        return expr.over(
            self.keys, mapping_strategy="explode" if self.are_sorted else "group_to_rows"
        )


def lowered(step: NativeStep, rows: Rows, shown: Collection[str]) -> Stages:
    """Return a step as stages of expressions.

    Args:
        step: The step.
        rows: The bars it runs over.
        shown: Columns to mend: as readers see them, not as the providers made them.
    """
    stages: list[list[pl.Expr]] = []
    number = ROW if rows.number is None else rows.number
    for position, stage in enumerate(step.stages):
        if rows.count >= WORTH_FROM_ROWS:
            sharing = step.sharing[position]
            stages += [[part.expr for part in parts] for parts in sharing.stages]
            stages.append(list(sharing.exprs.values()))
        else:
            stages.append([expr for one in stage for expr in one.exprs.values()])
        stages.append(
            [
                mended(pl.col(column), warm_up, row=number).alias(column)
                for one in stage
                for column, warm_up in one.declaration.warm_up.items()
                if column in shown
            ]
        )
    return tuple(tuple(map(rows.within, exprs)) for exprs in stages if exprs)


def applied(step: NativeStep, bars: pl.LazyFrame, rows: Rows) -> pl.LazyFrame:
    """Return every column of a step as a lazy plan over bars.

    Args:
        step: The step.
        bars: The bar columns, and the columns of other steps, that the expressions read.
        rows: How they stand.
    """
    key = (rows.count >= WORTH_FROM_ROWS, rows.keys)
    stages = step.forms.get(key)
    if stages is None:
        stages = step.forms[key] = lowered(step, rows, step.shown)
    if step.ends_with_all:
        return with_stages(bars, stages[:-1]).select(stages[-1])
    return with_stages(bars, stages).select(step.columns)


def with_stages(bars: pl.LazyFrame, stages: Stages) -> pl.LazyFrame:
    """Return bars with all that stages of expressions make."""
    for exprs in stages:
        bars = bars.with_columns(exprs)
    return bars
