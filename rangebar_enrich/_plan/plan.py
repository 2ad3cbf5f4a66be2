"""The plan: every provider's expressions, in stages, for one context.

A plan is immutable and depends only on the providers, the columns' dtypes and the context, so
one is made for each of those and run as often as there are bars.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf

import polars as pl

from rangebar_enrich._expr.common import WORTH_FROM_ROWS, Sharing, share
from rangebar_enrich._plan.compile import (
    CompiledProvider,
    check_requires,
    compile_provider,
    named_expressions,
)
from rangebar_enrich._plan.order import Order, fail_dependants, find_order
from rangebar_enrich._plan.over import is_groupable
from rangebar_enrich._plan.proof import prove
from rangebar_enrich._provider.declaration import Declaration, Kind
from rangebar_enrich.errors import ProviderError
from rangebar_enrich.protocol import BarContext
from rangebar_enrich.reach import Reach


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

    @cached_property
    def is_groupable(self) -> bool:
        """Whether all expressions surely mean the same within `over` as on a series alone."""
        trees = (reach.tree for one in self.providers for reach in one.reaches.values())
        return all(node is not None and is_groupable(node) for node in trees)

    def apply(self, bars: pl.LazyFrame, rows: int) -> pl.LazyFrame:
        """Return every column of the step as a lazy plan over the bars of one series.

        Args:
            bars: The bar columns, and the columns of other steps, that the expressions read.
            rows: Number of bars, by which it is decided whether shared parts pay.
        """
        *first, last = self._shared if rows >= WORTH_FROM_ROWS else self._flat
        for exprs in first:
            bars = bars.with_columns(exprs)
        if self._ends_with_all:
            return bars.select(last)
        return bars.with_columns(last).select(self.columns)

    @cached_property
    def _ends_with_all(self) -> bool:
        """Whether the last expressions give every column, and their length is the bars'."""
        # NOTE: literals alone would give one row; beside a column they are repeated.
        return len(self.stages) == 1 and not self.shown and any(one.reads for one in self.providers)

    def apply_within(self, bars: pl.LazyFrame, key: str) -> pl.LazyFrame:
        """Return every column of the step over many series at once.

        Args:
            bars: As for `apply`; the rows of a series are next to each other.
            key: Column that tells the series apart.
        """
        for exprs in self._shared:
            bars = bars.with_columns(expr.over(key, mapping_strategy="explode") for expr in exprs)
        return bars.select(self.columns)

    @cached_property
    def _flat(self) -> tuple[list[pl.Expr], ...]:
        """The stages as the providers wrote them, each followed by what mends it."""
        made = []
        for position, stage in enumerate(self.stages):
            made.append([expr for one in stage for expr in one.exprs.values()])
            made.append(self._mending(position))
        return tuple(exprs for exprs in made if exprs)

    @cached_property
    def _shared(self) -> tuple[list[pl.Expr], ...]:
        """The stages with shared parts computed before them."""
        made = []
        for position, sharing in enumerate(self.sharing):
            made += [[part.expr for part in parts] for parts in sharing.stages]
            made.append(list(sharing.exprs.values()))
            made.append(self._mending(position))
        return tuple(exprs for exprs in made if exprs)

    def _mending(self, position: int) -> list[pl.Expr]:
        """Return the expressions that mend, after a stage, what others read of it."""
        return [
            mended_column(column, one.declaration.warm_up[column])
            for one in self.stages[position]
            for column in one.exprs
            if column in self.shown
        ]


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
        fixed_by: How many earlier bars fix each provider's values, `None` where no number does.
        times: Columns that must increase strictly for a provider's windows over time.
    """

    steps: tuple[NativeStep | LegacyStep, ...]
    failures: Mapping[str, ProviderError]
    needs: Mapping[str, frozenset[str]]
    inputs: frozenset[str]
    fixed_by: Mapping[str, int | None]
    times: Mapping[str, frozenset[str]]

    @cached_property
    def native(self) -> Mapping[str, CompiledProvider]:
        """The native providers that run, by name."""
        steps = [step for step in self.steps if isinstance(step, NativeStep)]
        return {one.name: one for step in steps for one in step.providers}

    def has_exprs(self, exprs: Mapping[str, Mapping[str, pl.Expr]]) -> bool:
        """Return whether `exprs` are what this plan runs; a Python function equals no other."""
        return self.native.keys() == exprs.keys() and all(
            not one.has_udf
            and all(one.exprs[column].meta.eq(expr) for column, expr in exprs[name].items())
            for name, one in self.native.items()
        )


def mended_value(value: pl.Expr, warm_up: int) -> pl.Expr:
    """Return a feature as readers of it see it: float64, null where undefined or in warm-up."""
    value = value.cast(pl.Float64).fill_nan(None)
    return pl.when(pl.int_range(pl.len()) >= warm_up).then(value) if warm_up else value


def mended_column(column: str, warm_up: int) -> pl.Expr:
    """Return a column that was computed as readers of it see it."""
    return mended_value(pl.col(column), warm_up).alias(column)


def make_plan(
    declarations: Sequence[Declaration], context: BarContext, *, similar: Plan | None = None
) -> Plan:
    """Compile and order providers for one context.

    A provider that breaks the contract is in `failures`, as is each that needs it.

    Args:
        declarations: The providers, in output order.
        context: What they may know of the bars.
        similar: A plan for the same columns and another context; it is returned where all
            expressions are equal to its own.
    """
    owners = {column: made.name for made in declarations for column in made.columns}
    compiled: dict[str, CompiledProvider] = {}
    failures: dict[str, ProviderError] = {}
    exprs: dict[str, dict[str, pl.Expr]] = {}
    reads: dict[str, frozenset[str]] = {}
    for made in declarations:
        if made.kind is Kind.NATIVE:
            try:
                exprs[made.name] = named_expressions(made, context)
            except ProviderError as error:
                failures[made.name] = error
    if similar is not None and not failures and similar.has_exprs(exprs):
        return similar
    for made in declarations:
        reads[made.name] = frozenset(made.requires or ())
        others = {column: owner for column, owner in owners.items() if owner != made.name}
        try:
            check_requires(made, context.columns.keys() | others.keys())
            if made.name in exprs:
                compiled[made.name] = compile_provider(made, exprs[made.name], context, others)
                reads[made.name] |= compiled[made.name].reads
        except ProviderError as error:
            failures[made.name] = error
    order = find_order(declarations, reads, owners, failures)
    failures |= order.failures
    schema = {**context.columns, **dict.fromkeys(owners, pl.Float64())}
    by_name = {made.name: made for made in declarations}
    _prove_all(order, compiled, failures, schema, by_name)
    fail_dependants(order.needs, failures, set())
    groups = [
        (kind, tuple(name for name in names if name not in failures))
        for kind, names in order.groups
    ]
    steps = _steps(groups, compiled, by_name, frozenset().union(*reads.values()))
    running = [one for step in steps if isinstance(step, NativeStep) for one in step.providers]
    return Plan(
        steps=steps,
        failures=failures,
        needs=order.needs,
        inputs=frozenset().union(*(one.reads for one in running)) & context.columns.keys(),
        fixed_by={
            made.name: compiled[made.name].fixed_by if made.kind is Kind.NATIVE else _declared(made)
            for made in declarations
            if made.name not in failures
        },
        times={one.name: one.times for one in running if one.times},
    )


def _declared(made: Declaration) -> int | None:
    """Return how many earlier bars fix a legacy provider's values, by its own declaration."""
    return None if made.lookback is None else max(made.lookback, made.min_bars)


def _declared_reach(made: Declaration) -> dict[str, Reach]:
    """Return what readers of a legacy provider's columns may take for granted."""
    fixed = _declared(made)
    reach = Reach(inf, inf, opaque=True) if fixed is None else Reach(past=fixed)
    return dict.fromkeys(made.columns, reach)


def _prove_all(
    order: Order,
    compiled: dict[str, CompiledProvider],
    failures: dict[str, ProviderError],
    schema: Mapping[str, pl.DataType],
    declarations: Mapping[str, Declaration],
) -> None:
    """Prove providers in order, so that each knows the reach of the columns it reads."""
    known: dict[str, Reach] = {}
    for kind, names in order.groups:
        for name in names:
            if kind is Kind.LEGACY:
                known |= _declared_reach(declarations[name])
            if kind is Kind.LEGACY or order.needs[name] & failures.keys():
                continue
            try:
                made = compiled[name] = prove(compiled[name], known, schema)
            except ProviderError as error:
                failures[name] = error
            else:
                known |= {column: made.shown_reach(column) for column in made.exprs}


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
            if names:
                stages.append(tuple(compiled[name] for name in names))
            continue
        if stages:
            columns = {column for stage in stages for one in stage for column in one.exprs}
            steps.append(NativeStep(tuple(stages), read & columns))
            stages = []
        steps.extend(LegacyStep(declarations[name]) for name in names)
    return tuple(steps)
