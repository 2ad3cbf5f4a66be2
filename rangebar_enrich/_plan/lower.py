"""A step over bars: the one way from a plan to Polars.

A step becomes a sequence of operations, each reading what those before it made: windows that the
kernels compute, parts that several features share, the features themselves, and what mends those
that others read. Windows over plain columns are computed before the lazy plan, the others inside
it; it is collected once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import polars as pl

from rangebar_enrich._expr.common import WORTH_FROM_ROWS, Sharing, share
from rangebar_enrich._expr.tree import Node
from rangebar_enrich._plan.mend import ROW, mended
from rangebar_enrich._plan.plan import NativeStep
from rangebar_enrich._windows.staging import Extent, Pass, is_row_by_row, staged

Exprs = tuple[pl.Expr, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The bars that a step runs over.

    Attributes:
        extent: Their series, where these are known and next to each other.
        keys: Columns that tell series apart, where there may be several.
        number: Number of a row in the table; `None` where rows are counted series by series.
    """

    extent: Extent | None = None
    keys: tuple[str, ...] = ()
    number: pl.Expr | None = None

    def within(self, expr: pl.Expr) -> pl.Expr:
        """Return an expression as it is, or within each series where that makes a difference."""
        if not self.keys or is_row_by_row(expr):
            return expr
        return expr.over(
            self.keys, mapping_strategy="group_to_rows" if self.extent is None else "explode"
        )


@dataclass(frozen=True)
class Form:
    """The expressions of a step as they are computed, stage by stage.

    Attributes:
        exprs: By column; they read scratch columns where kernels compute windows.
        passes: What is computed before each stage.
        nodes: Scratch column to what its author wrote.
    """

    exprs: Sequence[Mapping[str, pl.Expr]]
    passes: Sequence[Sequence[Pass]]
    nodes: Mapping[str, Node] = field(default_factory=dict)

    @cached_property
    def sharing(self) -> tuple[Sharing, ...]:
        """What the expressions of each stage have in common, across providers."""
        return tuple(share(exprs, self.nodes) for exprs in self.exprs)


def form_of(step: NativeStep, *, relative: bool) -> Form:
    """Return the form of a step, made once.

    Args:
        step: The step.
        relative: Whether windows are the kernels', not Polars' own.
    """
    made: Form | None = step.forms.get(relative)
    if made is None:
        if relative:
            # NOTE: what others read is wanted in every row.
            whole = step.is_viewed or bool(step.shown)
            found = staged(step.exprs, step.schema, whole=whole)
            made = Form(found.exprs, found.passes, found.nodes)
        else:
            made = Form(step.exprs, [()] * len(step.exprs))
        step.forms[relative] = made
    return made


def lowered(
    step: NativeStep, rows: Rows, shown: Collection[str], *, relative: bool, shares: bool = False
) -> tuple[Pass | Exprs, ...]:
    """Return a step as a sequence of operations.

    Args:
        step: The step.
        rows: The bars it runs over.
        shown: Columns to mend: as readers see them, not as the providers made them.
        relative: Whether windows are the kernels', not Polars' own.
        shares: Whether shared parts are computed before what reads them.
    """
    form = form_of(step, relative=relative)
    number = ROW if rows.number is None else rows.number
    made: list[Pass | Exprs] = []

    def add(exprs: Sequence[pl.Expr]) -> None:
        if exprs:
            made.append(tuple(map(rows.within, exprs)))

    for position, stage in enumerate(step.stages):
        for one in form.passes[position]:
            add(list(one.inputs.values()))
            made.append(one)
        exprs = form.exprs[position]
        if shares:
            sharing = form.sharing[position]
            for parts in sharing.stages:
                add([part.expr for part in parts])
            exprs = sharing.exprs
        add(list(exprs.values()))
        add(
            [
                mended(pl.col(column), warm_up, row=number).alias(column)
                for one in stage
                for column, warm_up in one.declaration.warm_up.items()
                if column in shown
            ]
        )
    return tuple(made)


def on_lazy(step: NativeStep, bars: pl.LazyFrame, rows: Rows) -> pl.LazyFrame:
    """Add every column of a step to a caller's plan, as readers see them.

    Args:
        step: The step.
        bars: The caller's bars.
        rows: How they stand.
    """
    # NOTE: a Python function would hold up what streams.
    for one in lowered(step, rows, step.columns, relative=False):
        if not isinstance(one, Pass):
            bars = bars.with_columns(one)
    return bars


def applied(
    step: NativeStep, frame: pl.DataFrame, extent: Extent, keys: tuple[str, ...] = ()
) -> tuple[pl.LazyFrame, Extent]:
    """Return every column of a step as a lazy plan over bars.

    Args:
        step: The step.
        frame: The bar columns, and the columns of other steps, that the expressions read.
        extent: The series of the frame.
        keys: Columns that tell them apart, where there are several.

    Returns:
        The columns, and their rows: of the context, those that are read.
    """
    shares = frame.height >= WORTH_FROM_ROWS
    made: tuple[Pass | Exprs, ...] | None = step.forms.get((shares, keys))
    if made is None:
        rows, relative = Rows(extent, keys), step.relative
        made = lowered(step, rows, step.shown, relative=relative, shares=shares)
        step.forms[shares, keys] = made
    if isinstance(made[0], Pass):
        frame = made[0].over(frame, extent)
        extent, made = made[0].behind(extent), made[1:]
    bars = frame.lazy()
    for place, one in enumerate(made):
        if isinstance(one, Pass):
            bars = _inside(bars, one, extent)
            extent = one.behind(extent)
        elif step.ends_with_all and place == len(made) - 1:
            return bars.select(one), extent
        else:
            bars = bars.with_columns(one)
    return bars.select(step.columns), extent


def _inside(bars: pl.LazyFrame, one: Pass, extent: Extent) -> pl.LazyFrame:
    """Return a plan in which the kernels compute windows over what the plan made so far."""
    return bars.map_batches(
        partial(one.over, extent=extent),
        schema={**bars.collect_schema(), **one.dtypes},
        predicate_pushdown=False,
        projection_pushdown=False,
        slice_pushdown=False,
    )
