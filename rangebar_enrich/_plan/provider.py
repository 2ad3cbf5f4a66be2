"""A native provider's expressions for one context, checked: what a plan is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf

import polars as pl

from rangebar_enrich._expr import tree
from rangebar_enrich._provider.declaration import Declaration
from rangebar_enrich.reach import Reach


@dataclass(frozen=True, eq=False)
class CompiledProvider:
    """A native provider's expressions for one context, proven to keep the contract's form.

    Attributes:
        declaration: The provider.
        exprs: One aliased expression for each declared column, in declared order.
        forms: They as bytes, as the provider gave them.
        reads: Every column that they read.
        reaches: How far each reads back and ahead; filled in once the order is known.
    """

    declaration: Declaration
    exprs: Mapping[str, pl.Expr]
    forms: Mapping[str, bytes]
    reads: frozenset[str]
    reaches: Mapping[str, Reach] = field(default_factory=dict)

    @cached_property
    def has_udf(self) -> bool:
        """Whether a Python function or a plugin may run inside its expressions."""
        trees = [reach.tree for reach in self.reaches.values()]
        return any(node is None or tree.has_udf(node) for node in trees)

    @cached_property
    def times(self) -> frozenset[str]:
        """Columns that must increase strictly, or windows over time would look ahead."""
        return frozenset().union(*(reach.times for reach in self.reaches.values()))

    @property
    def fixed_by(self) -> int | None:
        """How many earlier bars fix every value, or `None` where only the whole series does."""
        counts = [self.fixes(column) for column in self.exprs]
        return None if None in counts else max(count for count in counts if count is not None)

    def fixes(self, column: str) -> int | None:
        """Return how many earlier bars fix a column: derived where it can be, else declared."""
        past = self.reaches[column].past
        known = self.declaration.lookback if past == inf else int(past)
        return None if known is None else max(known, self.declaration.warm_up[column])

    def shown_reach(self, column: str) -> Reach:
        """Return the reach of a column as its readers see it: warm-up and declaration included."""
        reach, fixed = self.reaches[column], self.fixes(column)
        if fixed is None:
            return reach
        declared = reach.past == inf
        return replace(
            reach,
            past=fixed,
            future=0 if declared and reach.opaque else reach.future,
            opaque=False if declared else reach.opaque,
        )

    @property
    def name(self) -> str:
        """The provider's name."""
        return self.declaration.name

    def has_exprs(self, exprs: Mapping[str, pl.Expr]) -> bool:
        """Return whether other expressions are equal to its own, for each of its columns."""
        return all(
            mine.meta.eq(exprs[column]) or self.forms[column] == form(exprs[column]) != b""
            for column, mine in self.exprs.items()
        )


def form(expr: pl.Expr) -> bytes:
    """Return an expression as bytes, its Python functions included; none where one has no form."""
    # NOTE: to Polars a Python function equals no other, not even itself in another expression. The
    # bytes are those of an expression that was never used: Polars notes its dtype in it.
    try:
        return expr.meta.serialize(format="binary")
    except (pl.exceptions.PolarsError, TypeError, ValueError):
        return b""
