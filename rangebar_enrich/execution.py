"""Run plans over the series of a table, so that a failure costs only its own columns.

One collect runs every native provider of every series. Only when that fails is anything run
apart: providers with Python functions one by one, the rest together, and each alone if even
that fails. A provider that failed so is kept apart in later runs.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from rangebar_enrich.bars.names import SYMBOL, THRESHOLD
from rangebar_enrich.bars.series import SeriesKey
from rangebar_enrich.declaration import ISOLATED, Declaration, cause
from rangebar_enrich.errors import ProviderError, RunError
from rangebar_enrich.pandas_shim import LegacyBars, run_legacy
from rangebar_enrich.plan.expressions import CompiledProvider, is_feature_dtype
from rangebar_enrich.plan.order import fail_dependants
from rangebar_enrich.plan.plan import LegacyStep, NativeStep, Plan, mended_column
from rangebar_enrich.protocol import BarContext
from rangebar_enrich.source import Source

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class SeriesRun:
    """One series on its way through its plan.

    Attributes:
        key: The series.
        context: What its providers were told.
        plan: What to run.
        columns: Values computed so far, as the expressions gave them.
        failures: Providers that failed in this series, and why.
    """

    key: SeriesKey
    context: BarContext
    plan: Plan
    columns: dict[str, pl.Series] = field(default_factory=dict)
    failures: dict[str, ProviderError] = field(default_factory=dict)

    def fail(self, name: str, error: ProviderError) -> None:
        """Record a failure, and those of the providers that need this one."""
        self.failures[name] = error
        fail_dependants(self.plan.needs, self.failures, set())

    def take(self, provider: CompiledProvider, made: Mapping[str, pl.Series]) -> None:
        """Keep a provider's columns; a dtype that its expressions did not promise fails it."""
        if provider.name in self.failures:
            return
        for column in provider.exprs:
            dtype = made[column].dtype
            if dtype != pl.Float64 and not is_feature_dtype(dtype):
                text = f"Provider '{provider.name}': '{column}' came out as {dtype}, not a number."
                self.fail(provider.name, RunError.of(provider.name, text))
                return
        for column in provider.exprs:
            self.columns[column] = made[column]

    def mended(self, declaration: Declaration) -> list[pl.Series]:
        """Return a provider's columns as later providers see them."""
        raw = [self.columns[column] for column in declaration.columns]
        exprs = [mended_column(name, rows) for name, rows in declaration.warm_up.items()]
        return pl.DataFrame(raw).select(exprs).get_columns()


def _collect(plans: Sequence[pl.LazyFrame]) -> list[pl.DataFrame]:
    """Run lazy plans: the one place where anything is computed."""
    # NOTE: inputs are projected and equal parts shared before, so the optimiser has nothing to
    # find; in-memory, since streaming sums in another order and is slower on few bars.
    none = pl.QueryOptFlags.none()
    if len(plans) == 1:
        return [plans[0].collect(engine="in-memory", optimizations=none)]
    return pl.collect_all(plans, engine="in-memory", optimizations=none) if plans else []


class Execution:
    """One run over all series of a table.

    Args:
        source: The bars.
        runs: One for each series, with its plan.
        declarations: All providers, in output order.
        suspects: Providers that failed at run time before; they run apart. Added to here.
    """

    def __init__(
        self,
        source: Source,
        runs: Sequence[SeriesRun],
        declarations: Sequence[Declaration],
        suspects: set[str],
    ) -> None:
        self._source = source
        self._runs = runs
        self._declarations = {made.name: made for made in declarations}
        self._suspects = suspects
        self._legacy: list[LegacyBars] | None = None
        inputs = frozenset[str]().union(*(run.plan.inputs for run in runs))
        self._frames = source.frames(inputs or list(source.bars.columns)[:1])

    def run(self) -> None:
        """Run every step of every series; results and failures stand in the series' runs."""
        for run in self._runs:
            run.failures.update(run.plan.failures)
        steps = max((len(run.plan.steps) for run in self._runs), default=0)
        for position in range(steps):
            native: list[tuple[int, NativeStep]] = []
            for index, run in enumerate(self._runs):
                step = run.plan.steps[position] if position < len(run.plan.steps) else None
                if isinstance(step, NativeStep):
                    native.append((index, step))
                elif isinstance(step, LegacyStep):
                    self._run_legacy(index, step.declaration)
            if native:
                self._run_native(native)

    def _made_by(self, index: int, names: Collection[str]) -> list[pl.Series]:
        """Return the columns that those of `names` which succeeded made, as readers see them."""
        run = self._runs[index]
        return [
            series
            for name, made in self._declarations.items()
            if name in names and name not in run.failures and made.columns[0] in run.columns
            for series in run.mended(made)
        ]

    def _input(self, index: int, readers: Collection[str]) -> pl.LazyFrame:
        """Return the bars of a series, and what earlier steps made that `readers` read."""
        needs = self._runs[index].plan.needs
        made = self._made_by(index, frozenset().union(*(needs[name] for name in readers)))
        frame = self._frames[index]
        return (frame.with_columns(made) if made else frame).lazy()

    def _run_native(self, work: Sequence[tuple[int, NativeStep]]) -> None:
        """Run one native step of several series in one collect."""
        apart = [self._dependants(index, step, self._suspects) for index, step in work]
        joint = [
            (index, step, skipped)
            for (index, step), skipped in zip(work, apart, strict=True)
            if step.names - skipped
        ]
        try:
            self._run_together(joint)
        except ISOLATED as error:
            for index, step in work:
                self._isolate(index, step, error, is_only=len(work) == 1)
            return
        for (index, step), skipped in zip(work, apart, strict=True):
            self._run_each(index, [one for one in step.providers if one.name in skipped])

    def _run_together(self, work: Sequence[tuple[int, NativeStep, frozenset[str]]]) -> None:
        """Collect steps at once, each without the providers named beside it."""
        steps = [(index, step.without(skipped)) for index, step, skipped in work]
        plans = [
            step.apply(self._input(index, step.names), self._frames[index].height)
            for index, step in steps
        ]
        for (index, step), made in zip(steps, _collect(plans), strict=True):
            columns = made.to_dict(as_series=True)
            for provider in step.providers:
                self._runs[index].take(provider, columns)

    def _dependants(self, index: int, step: NativeStep, names: Collection[str]) -> frozenset[str]:
        """Return the providers of a step that are named, have failed, or need such a one."""
        run = self._runs[index]
        found = step.names & (run.failures.keys() | set(names))
        while more := {name for name in step.names - found if run.plan.needs[name] & found}:
            found |= more
        return found

    def _isolate(
        self, index: int, step: NativeStep, error: BaseException, *, is_only: bool
    ) -> None:
        """Find who failed: run Python functions apart and the rest together, else each alone."""
        functions = {one.name for one in step.providers if one.has_udf}
        # NOTE: an error that is not Polars' own came out of a Python function. Of another any
        # provider may be the cause, and the rest together would most likely fail once more.
        is_native = isinstance(error, pl.exceptions.PolarsError) or not functions
        apart = self._dependants(index, step, functions | self._suspects)
        if is_only and is_native:
            apart = step.names
        try:
            if step.names - apart:
                self._run_together([(index, step, apart)])
        except ISOLATED:
            apart = step.names
        self._run_each(index, [one for one in step.providers if one.name in apart])

    def _run_each(self, index: int, providers: Sequence[CompiledProvider]) -> None:
        """Run providers one by one, in an order in which each comes after what it reads."""
        run = self._runs[index]
        for provider in providers:
            if provider.name in run.failures:
                continue
            bars = self._input(index, (provider.name,))
            plan = bars.with_columns(provider.exprs.values()).select(list(provider.exprs))
            try:
                made = _collect([plan])
            except ISOLATED as error:
                text = f"Provider '{provider.name}': {cause(error)}"
                failure = RunError.of(provider.name, text)
                failure.__cause__ = error
                run.fail(provider.name, failure)
                self._suspects.add(provider.name)
            else:
                run.take(provider, made[0].to_dict(as_series=True))

    def _run_legacy(self, index: int, declaration: Declaration) -> None:
        run = self._runs[index]
        if declaration.name in run.failures:
            return
        try:
            made = run_legacy(declaration, self._legacy_bars(index, declaration), run.context)
        except ProviderError as error:
            run.fail(declaration.name, error)
        else:
            run.columns.update(made)

    def _warn_of_unknown(self) -> None:
        unknown = [
            name
            for name in (SYMBOL, THRESHOLD)
            if any(getattr(run.key, name) is None for run in self._runs)
        ]
        if unknown:
            logger.warning(
                "%s not known: legacy providers are given '' for a symbol and 0 for a threshold",
                " and ".join(unknown),
            )

    def _legacy_bars(self, index: int, declaration: Declaration) -> LegacyBars:
        """Return what a legacy provider is shown: bars, and what the providers before it made."""
        if self._legacy is None:
            self._warn_of_unknown()
            times, unit = self._source.times()
            frames = self._source.legacy_frames()
            self._legacy = [
                LegacyBars(frame, times[i] if times is not None else None, unit)
                for i, frame in enumerate(frames)
            ]
        bars = self._legacy[index]
        made = self._made_by(index, self._declarations.keys() - {declaration.name})
        if declaration.requires is not None:
            made = [series for series in made if series.name in declaration.requires]
        frame = bars.frame.with_columns(made) if made else bars.frame
        return LegacyBars(frame, bars.times, bars.unit)
