"""The plan: every provider's expressions, in stages, for one context.

A plan is immutable and depends only on the providers, the columns' dtypes and the context, so
one is made for each of those and run as often as there are bars.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import polars as pl

from rangebar_enrich._plan.over import is_groupable
from rangebar_enrich._plan.provider import CompiledProvider
from rangebar_enrich._provider.declaration import Declaration, Kind
from rangebar_enrich.errors import DependencyError, ProviderError
from rangebar_enrich.protocol import BarContext


@dataclass(frozen=True, eq=False)
class NativeStep:
    """Native providers that run in one lazy plan and one collect.

    Attributes:
        stages: Providers of each stage; a stage reads what the stages before it made.
        shown: Columns of these providers that others read: they are mended inside the plan.
        schema: Dtypes of all columns, those of the bars and those that are made.
        relative: Whether windows are the kernels', not Polars' own.
        is_viewed: Whether a legacy provider after it is shown all that it makes.
    """

    stages: tuple[tuple[CompiledProvider, ...], ...]
    shown: frozenset[str]
    schema: Mapping[str, pl.DataType] = field(default_factory=dict)
    relative: bool = True
    is_viewed: bool = False

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
    def exprs(self) -> tuple[Mapping[str, pl.Expr], ...]:
        """The expressions of each stage, by column."""
        return tuple(
            {column: expr for one in stage for column, expr in one.exprs.items()}
            for stage in self.stages
        )

    @cached_property
    def is_groupable(self) -> bool:
        """Whether all expressions surely mean the same within `over` as on a series alone."""
        trees = (reach.tree for one in self.providers for reach in one.reaches.values())
        return all(node is not None and is_groupable(node) for node in trees)

    @cached_property
    def ends_with_all(self) -> bool:
        """Whether the last expressions give every column, and their length is the bars'."""
        # NOTE: literals alone would give one row; beside a column they are repeated. Columns of
        # another length would go unseen where the bars' own are not beside them.
        reaches = [reach for one in self.providers for reach in one.reaches.values()]
        return (
            len(self.stages) == 1
            and not self.shown
            and any(one.reads for one in self.providers)
            and all(reach.keeps_rows for reach in reaches)
        )

    @cached_property
    def forms(self) -> dict[Hashable, Any]:
        """What `lower` made of the step, kept."""
        return {}

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
            stages = tuple(stage for stage in kept if stage)
            step = replace(self, stages=stages)
            self._subsets[dropped] = step
        return self._subsets[dropped]


@dataclass(frozen=True, slots=True)
class LegacyStep:
    """One legacy provider.

    Attributes:
        declaration: The provider.
    """

    declaration: Declaration

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that it makes."""
        return self.declaration.columns


@dataclass(frozen=True, eq=False)
class Plan:
    """What to run for one context; each pass returns it with more of it known.

    Attributes:
        declarations: The providers, in output order.
        context: What they know of the bars.
        relative: Whether windows are the kernels', not Polars' own.
        exprs: What each native provider gave, by its name and column.
        compiled: The native providers that keep the contract's form, by name.
        failures: Providers that cannot run, and why.
        needs: Providers whose columns a provider cannot do without.
        groups: Names of those that run together, in order: native ones, or one legacy provider.
        steps: Native and legacy steps, in order.
    """

    declarations: tuple[Declaration, ...]
    context: BarContext
    relative: bool = True
    exprs: Mapping[str, Mapping[str, pl.Expr]] = field(default_factory=dict)
    compiled: Mapping[str, CompiledProvider] = field(default_factory=dict)
    failures: Mapping[str, ProviderError] = field(default_factory=dict)
    needs: Mapping[str, frozenset[str]] = field(default_factory=dict)
    groups: Sequence[tuple[Kind, tuple[str, ...]]] = ()
    steps: tuple[NativeStep | LegacyStep, ...] = ()

    def failing(self, errors: Mapping[str, ProviderError]) -> Plan:
        """Return the plan in which providers, and those that need them, cannot run."""
        failures = {**self.failures, **errors}
        return replace(self, failures=failures | lost_dependants(self.needs, failures))

    @cached_property
    def owners(self) -> Mapping[str, str]:
        """Feature column to the provider that makes it."""
        return {column: made.name for made in self.declarations for column in made.columns}

    @cached_property
    def schema(self) -> Mapping[str, pl.DataType]:
        """Dtypes of the bars' columns, and of all that providers make."""
        return {**self.context.columns, **dict.fromkeys(self.owners, pl.Float64())}

    def schema_of(self, name: str) -> Mapping[str, pl.DataType]:
        """Return the dtypes of what a provider may read: bars, and what the others make."""
        return {
            column: dtype
            for column, dtype in self.schema.items()
            if self.owners.get(column) != name
        }

    def reads_of(self, made: Declaration) -> frozenset[str]:
        """Return the columns that a provider reads or requires."""
        compiled = self.compiled.get(made.name)
        return frozenset(made.requires or ()) | (compiled.reads if compiled else frozenset())

    @cached_property
    def native(self) -> Mapping[str, CompiledProvider]:
        """The native providers that run, by name."""
        steps = [step for step in self.steps if isinstance(step, NativeStep)]
        return {one.name: one for step in steps for one in step.providers}

    @cached_property
    def inputs(self) -> frozenset[str]:
        """Columns that native expressions read and no step makes."""
        read = frozenset[str]().union(*(one.reads for one in self.native.values()))
        return read.difference(*(step.columns for step in self.steps))

    @cached_property
    def fixed_by(self) -> Mapping[str, int | None]:
        """How many earlier bars fix each provider's values, `None` where no number does."""
        return {
            made.name: (self.compiled[made.name] if made.kind is Kind.NATIVE else made).fixed_by
            for made in self.declarations
            if made.name not in self.failures
        }

    @cached_property
    def fixes(self) -> Mapping[str, int | None]:
        """How many earlier bars fix each column, `None` where no number does."""
        return {
            column: self.compiled[made.name].fixes(column)
            if made.kind is Kind.NATIVE
            else made.fixed_by
            for made in self.declarations
            if made.name not in self.failures
            for column in made.columns
        }

    @cached_property
    def times(self) -> Mapping[str, frozenset[str]]:
        """Columns that must increase strictly for a provider's windows over time."""
        return {name: one.times for name, one in self.native.items() if one.times}

    def only(self, names: Collection[str], *, failures: Mapping[str, ProviderError]) -> Plan:
        """Return a view of the plan in which some providers run.

        Args:
            names: Those that run; what they read of the others is given with the bars.
            failures: Of the others, those that fail, and why.
        """
        steps = (_only(step, names) for step in self.steps)
        view = replace(self, steps=tuple(step for step in steps if step is not None))
        return view.failing(failures)

    def has_exprs(self, exprs: Mapping[str, Mapping[str, pl.Expr]]) -> bool:
        """Return whether `exprs` are what this plan runs."""
        return self.native.keys() == exprs.keys() and all(
            one.has_exprs(exprs[name]) for name, one in self.native.items()
        )


def _only(step: NativeStep | LegacyStep, names: Collection[str]) -> NativeStep | LegacyStep | None:
    """Return what is left of a step when only some providers run."""
    if isinstance(step, LegacyStep):
        return step if step.declaration.name in names else None
    kept = step.without(step.names.difference(names))
    return kept if kept.stages else None


def lost_dependants(
    needs: Mapping[str, frozenset[str]], failed: Collection[str]
) -> dict[str, ProviderError]:
    """Return a failure for each provider that needs one that failed, naming it."""
    lost: dict[str, ProviderError] = {}
    changed = True
    while changed:
        changed = False
        for name, needed in needs.items():
            gone = needed & {*failed, *lost}
            if gone and name not in failed and name not in lost:
                listed = ", ".join(f"'{one}'" for one in sorted(gone))
                text = f"Provider '{name}' reads columns of {listed}, which failed."
                lost[name] = DependencyError.of(name, text)
                changed = True
    return lost
