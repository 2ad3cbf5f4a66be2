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
from rangebar_enrich.plan.sharing import WORTH_FROM_ROWS, Sharing, share
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
    def sharing(self) -> tuple[Sharing, ...]:
        """What the expressions of each stage have in common, across providers."""
        return tuple(
            share({column: expr for one in stage for column, expr in one.exprs.items()})
            for stage in self.stages
        )

    @cached_property
    def _subsets(self) -> dict[frozenset[str], NativeStep]:
        return {}

    def without(self, names: Collection[str]) -> NativeStep:
        """Return the step without some providers; made once for each set of them."""
        dropped = frozenset(names) & self.names
        if not dropped:
            return self
        if dropped not in self._subsets:
            kept = (tuple(one for one in stage if one.name not in dropped) for stage in self.stages)
            step = NativeStep(tuple(stage for stage in kept if stage), self.shown)
            self._subsets[dropped] = step
        return self._subsets[dropped]

    def apply(self, bars: pl.LazyFrame, rows: int) -> pl.LazyFrame:
        """Return every column of the step as a lazy plan over `bars`.

        Args:
            bars: The bar columns, and the columns of other steps, that the expressions read.
            rows: Number of bars, by which it is decided whether shared parts pay.
        """
        for position, stage in enumerate(self.stages):
            if rows >= WORTH_FROM_ROWS:
                sharing = self.sharing[position]
                for parts in sharing.stages:
                    bars = bars.with_columns([part.expr for part in parts])
                bars = bars.with_columns(sharing.exprs.values())
            else:
                bars = bars.with_columns([expr for one in stage for expr in one.exprs.values()])
            mended = self._mended[position]
            if mended:
                bars = bars.with_columns(mended)
        return bars.select(self.columns)

    @cached_property
    def _mended(self) -> tuple[list[pl.Expr], ...]:
        """Expressions that mend, after each stage, what others read of it."""
        return tuple(
            [
                mended_column(column, one.declaration.warm_up[column])
                for one in stage
                for column in one.exprs
                if column in self.shown
            ]
            for stage in self.stages
        )


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
