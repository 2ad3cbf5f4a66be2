"""The plan: every provider's expressions, in stages, for one context.

A plan is immutable and depends only on the providers, the columns' dtypes and the context, so
one is made for each of those and run as often as there are bars.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from rangebar_enrich.declaration import Declaration, Kind
from rangebar_enrich.errors import ProviderError
from rangebar_enrich.plan.expressions import CompiledProvider, check_requires, compile_provider
from rangebar_enrich.plan.order import find_order
from rangebar_enrich.protocol import BarContext


@dataclass(frozen=True)
class NativeStep:
    """Native providers that run in one lazy plan and one collect.

    Attributes:
        stages: Providers of each stage; a stage reads what the stages before it made.
        shown: Columns of these providers that others read: they are mended inside the plan.
    """

    stages: tuple[tuple[CompiledProvider, ...], ...]
    shown: frozenset[str]

    @cached_property
    def providers(self) -> tuple[CompiledProvider, ...]:
        """All providers of the step, in the order of the stages."""
        return tuple(provider for stage in self.stages for provider in stage)

    @cached_property
    def names(self) -> frozenset[str]:
        """Names of its providers."""
        return frozenset(provider.name for provider in self.providers)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Columns that it makes."""
        return tuple(column for provider in self.providers for column in provider.exprs)

    @cached_property
    def _exprs(self) -> tuple[tuple[list[pl.Expr], list[pl.Expr]], ...]:
        return tuple(self._stage(stage) for stage in self.stages)

    def _stage(
        self, providers: Collection[CompiledProvider]
    ) -> tuple[list[pl.Expr], list[pl.Expr]]:
        """Return the expressions of a stage, and those that mend what others read of it."""
        exprs = [expr for provider in providers for expr in provider.exprs.values()]
        mended = [
            mended_column(column, provider.declaration.warm_up[column])
            for provider in providers
            for column in provider.exprs
            if column in self.shown
        ]
        return exprs, mended

    def apply(self, bars: pl.LazyFrame, *, without: Collection[str] = ()) -> pl.LazyFrame:
        """Return the columns of all providers but those named, as a lazy plan over `bars`."""
        if not without:
            stages, columns = self._exprs, self.columns
        else:
            kept = [[one for one in stage if one.name not in without] for stage in self.stages]
            stages = tuple(self._stage(stage) for stage in kept if stage)
            columns = tuple(column for stage in kept for one in stage for column in one.exprs)
        for exprs, mended in stages:
            bars = bars.with_columns(exprs)
            if mended:
                bars = bars.with_columns(mended)
        return bars.select(columns)


@dataclass(frozen=True)
class LegacyStep:
    """One legacy provider.

    Attributes:
        declaration: The provider.
    """

    declaration: Declaration


@dataclass(frozen=True)
class Plan:
    """What to run for one context.

    Attributes:
        steps: Native and legacy steps, in order.
        failures: Providers that cannot run, and why.
        needs: Providers whose columns a provider cannot do without.
        inputs: Bar columns that native expressions read.
    """

    steps: tuple[NativeStep | LegacyStep, ...]
    failures: Mapping[str, ProviderError]
    needs: Mapping[str, frozenset[str]]
    inputs: frozenset[str]


def mended_column(column: str, warm_up: int) -> pl.Expr:
    """Return a column as readers of it see it: float64, null where undefined or in warm-up."""
    value = pl.col(column).cast(pl.Float64).fill_nan(None)
    if warm_up:
        value = pl.when(pl.int_range(pl.len()) >= warm_up).then(value)
    return value.alias(column)


def make_plan(declarations: Sequence[Declaration], context: BarContext) -> Plan:
    """Compile and order providers for one context.

    A provider that breaks the contract is in `failures`, as is each that needs it.
    """
    owners = {column: made.name for made in declarations for column in made.columns}
    compiled: dict[str, CompiledProvider] = {}
    failures: dict[str, ProviderError] = {}
    reads: dict[str, frozenset[str]] = {}
    for made in declarations:
        reads[made.name] = frozenset(made.requires or ())
        others = {column: owner for column, owner in owners.items() if owner != made.name}
        try:
            check_requires(made, context.columns.keys() | others.keys())
            if made.kind is Kind.NATIVE:
                compiled[made.name] = compile_provider(made, context, others)
                reads[made.name] |= compiled[made.name].reads
        except ProviderError as error:
            failures[made.name] = error
    order = find_order(declarations, reads, owners, failures)
    by_name = {made.name: made for made in declarations}
    steps = _steps(order.groups, compiled, by_name, frozenset().union(*reads.values()))
    inputs = [one.reads for step in steps if isinstance(step, NativeStep) for one in step.providers]
    return Plan(
        steps=steps,
        failures={**failures, **order.failures},
        needs=order.needs,
        inputs=frozenset().union(*inputs) & context.columns.keys(),
    )


def _steps(
    groups: Sequence[tuple[Kind, tuple[str, ...]]],
    compiled: Mapping[str, CompiledProvider],
    declarations: Mapping[str, Declaration],
    read: frozenset[str],
) -> tuple[NativeStep | LegacyStep, ...]:
    """Join neighbouring native groups into one step of several stages."""
    steps: list[NativeStep | LegacyStep] = []
    stages: list[tuple[CompiledProvider, ...]] = []
    for kind, names in [*groups, (Kind.LEGACY, ())]:
        if kind is Kind.NATIVE:
            stages.append(tuple(compiled[name] for name in names))
            continue
        if stages:
            columns = {column for stage in stages for one in stage for column in one.exprs}
            steps.append(NativeStep(tuple(stages), read & columns))
            stages = []
        steps.extend(LegacyStep(declarations[name]) for name in names)
    return tuple(steps)
