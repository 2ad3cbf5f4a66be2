"""Run plans over the series of a table, so that a failure costs only its own columns.

One collect runs every native provider of every series. Only when that fails is anything run
apart: providers with Python functions one by one, the rest together, and each alone if even
that fails. A provider that failed so is kept apart in later runs.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property

import numpy as np
import polars as pl

from rangebar_enrich._bars.columns import MICROSECONDS, SCRATCH_PREFIX, SYMBOL, THRESHOLD
from rangebar_enrich._plan.lower import applied
from rangebar_enrich._plan.plan import LegacyStep, NativeStep
from rangebar_enrich._provider.declaration import ISOLATED, Declaration, cause
from rangebar_enrich._provider.pandas_view import LegacyBars, run_legacy
from rangebar_enrich._run.inputs import Frames, Source, times_in
from rangebar_enrich._run.settings import Engine, Settings
from rangebar_enrich._run.workspace import SeriesRun
from rangebar_enrich._windows.staging import Extent
from rangebar_enrich.errors import ProviderError, RunError

logger = logging.getLogger(__name__)

_SHORT_SERIES = 4_000
"""Mean rows a series below which many series run faster in one frame than each in its own."""
_KEY = f"{SCRATCH_PREFIX}series"


def _collect(plans: Sequence[pl.LazyFrame], engine: Engine) -> list[pl.DataFrame]:
    """Run lazy plans in one collect; what held states need runs in `_recursion`."""
    # NOTE: inputs are projected and equal parts shared before: the optimiser finds nothing.
    none = pl.QueryOptFlags.none()
    if len(plans) == 1:
        return [plans[0].collect(engine=engine, optimizations=none)]
    return pl.collect_all(plans, engine=engine, optimizations=none) if plans else []


class Execution:
    """One run over all series of a table.

    Args:
        bars: The bars.
        runs: One for each series, with its plan.
        settings: The providers, whom to run apart, and the engine of Polars.
    """

    def __init__(self, bars: Frames, runs: Sequence[SeriesRun], settings: Settings) -> None:
        self._bars = bars
        self.runs = runs
        self._declarations = {made.name: made for made in settings.planner.declarations}
        self._suspects = settings.suspects
        self._engine = settings.engine
        self._legacy: list[LegacyBars] | None = None
        self._whole: dict[str, pl.Series] = {}

    @classmethod
    def of(cls, source: Source, settings: Settings) -> Execution:
        """Return the run of all providers over all series; of none where there are no bars."""
        if not source.split.starts[-1]:
            return cls(source, [], settings)
        planner, history = settings.planner, source.history
        layout, is_complete = planner.layout(source.bars.dtypes), True
        lengths = np.diff(source.split.starts).tolist()
        before = [0] * len(lengths)
        if history is not None:
            before, is_complete = history.rows, history.is_complete
        plans = [planner.plan(layout, *key[:2]) for key in source.split.keys]
        runs = [
            SeriesRun(key, plan, height, rows, rows, is_complete)
            for key, plan, height, rows in zip(
                source.split.keys, plans, lengths, before, strict=True
            )
        ]
        return cls(source, runs, settings)

    @cached_property
    def _inputs(self) -> Collection[str]:
        """Bar columns that native expressions read."""
        return frozenset[str]().union(*[run.plan.inputs for run in self.runs])

    @cached_property
    def _frames(self) -> list[pl.DataFrame]:
        return self._bars.frames(self._inputs)

    def run(self) -> None:
        """Run every step of every series; results and failures stand in the series' runs."""
        for index, run in enumerate(self.runs):
            if run.plan.times:
                self._check_times(index)
        for position in range(max([len(run.plan.steps) for run in self.runs], default=0)):
            self._run_step(position)

    def values(self) -> Mapping[str, Sequence[pl.Series]]:
        """Return the values of each declared column in every row of the table, sorted by series.

        One piece for all series where they were computed together, else one for each; rows of
        history are dropped, and what failed is null.
        """
        if not self.runs:
            return {}
        return {
            column: [self._whole[column]]
            if column in self._whole
            else [run.values(column) for run in self.runs]
            for made in self._declarations.values()
            for column in made.columns
        }

    def _check_times(self, index: int) -> None:
        """Fail the providers with windows over times that do not increase strictly."""
        run = self.runs[index]
        for name, columns in run.plan.times.items():
            ties = sorted(column for column in columns if not self._increases(index, column))
            if ties and name not in run.failures:
                text = (
                    f"Provider '{name}' has windows over '{ties[0]}', which does not increase"
                    " strictly: equal times would let a window read later bars."
                )
                run.fail(name, RunError.of(name, text))

    def _increases(self, index: int, column: str) -> bool:
        if self._bars.times_increase and column == self._bars.clock:
            return True
        values = self._frames[index][column].to_physical()
        return values.null_count() == 0 and bool((values.diff().drop_nulls() > 0).all())

    def _run_step(self, position: int) -> None:
        native: list[tuple[int, NativeStep]] = []
        for index, run in enumerate(self.runs):
            step = run.plan.steps[position] if position < len(run.plan.steps) else None
            if isinstance(step, NativeStep):
                native.append((index, step))
            elif isinstance(step, LegacyStep):
                self._run_legacy(index, step.declaration)
        if native and not (self._are_alike(native) and self._run_grouped(native[0][1])):
            self._run_native(native)

    def _run_grouped(self, step: NativeStep) -> bool:
        """Run one step of many short series in one frame; return whether that was possible."""
        frame = self._bars.together(self._inputs)
        context = np.array([run.context for run in self.runs], dtype=np.int64)
        lengths = context + np.array([run.height for run in self.runs], dtype=np.int64)
        keys = np.repeat(np.arange(len(lengths), dtype=np.uint32), lengths)
        frame = frame.hstack([pl.Series(_KEY, keys).set_sorted()])
        try:
            plan, extent = applied(step, frame, Extent(lengths, context), (_KEY,))
            made = _collect([plan], self._engine)[0]
        except ISOLATED:
            # NOTE: the series then run one by one, which finds out whose fault it was.
            return False
        if context.any():
            made = made.filter(pl.Series(extent.wanted))
        self._whole.update(made.to_dict(as_series=True))
        return True

    def _are_alike(self, work: Sequence[tuple[int, NativeStep]]) -> bool:
        """Return whether many short series run the same one step, with nobody apart."""
        step, plan = work[0][1], self.runs[work[0][0]].plan
        return (
            1 < len(work) == len(self.runs)
            and sum(run.context + run.height for run in self.runs) <= _SHORT_SERIES * len(work)
            and len(plan.steps) == 1
            and all(run.plan is plan for run in self.runs)
            and not step.names & self._suspects
            and not any(run.failures.keys() & step.names for run in self.runs)
            and step.is_groupable
        )

    def _made_by(self, index: int, names: Collection[str]) -> list[pl.Series]:
        """Return the columns that those of `names` which succeeded made, as readers see them."""
        run = self.runs[index]
        return [
            series
            for name, made in self._declarations.items()
            if name in names and name not in run.failures and made.columns[0] in run.columns
            for series in run.mended(made)
        ]

    def _plans(
        self, index: int, step: NativeStep, skipped: Collection[str] = ()
    ) -> list[tuple[int, pl.LazyFrame]]:
        """Return a step of a series without some providers as a lazy plan, if anything is left."""
        step = step.without(skipped) if skipped else step
        if not step.stages:
            return []
        frame, needs = self._frames[index], self.runs[index].plan.needs
        made = self._made_by(index, frozenset[str]().union(*[needs[one] for one in step.names]))
        bars = frame.hstack(made) if made else frame
        extent = Extent.of([frame.height], [self.runs[index].context])
        return [(index, applied(step, bars, extent)[0])]

    def _run_native(self, work: Sequence[tuple[int, NativeStep]]) -> None:
        """Run one native step of several series in one collect."""
        apart = [self._dependants(index, step, self._suspects) for index, step in work]
        plans = [self._plans(*one, skipped) for one, skipped in zip(work, apart, strict=True)]
        try:
            self._take([plan for found in plans for plan in found])
        except ISOLATED as error:
            for index, step in work:
                self._isolate(index, step, error, is_only=len(work) == 1)
            return
        for (index, step), skipped in zip(work, apart, strict=True):
            if skipped:
                self._run_each(index, step, skipped)

    def _take(self, plans: Sequence[tuple[int, pl.LazyFrame]]) -> None:
        """Collect plans of several series at once, and keep what they make."""
        made = _collect([plan for _, plan in plans], self._engine)
        for (index, _), frame in zip(plans, made, strict=True):
            self.runs[index].take(frame.to_dict(as_series=True))

    def _dependants(self, index: int, step: NativeStep, names: Collection[str]) -> frozenset[str]:
        """Return the providers of a step that are named, have failed, or need such a one."""
        run = self.runs[index]
        found = step.names & (run.failures.keys() | names)
        if not found:
            return frozenset()
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
        plans = self._plans(index, step, apart)
        try:
            self._take(plans)
        except ISOLATED:
            apart = step.names
        self._run_each(index, step, apart)

    def _run_each(self, index: int, step: NativeStep, names: Collection[str]) -> None:
        """Run providers one by one, in an order in which each comes after what it reads."""
        run = self.runs[index]
        for name in [one.name for one in step.providers if one.name in names]:
            if name in run.failures:
                continue
            plans = self._plans(index, step, step.names - {name})
            try:
                self._take(plans)
            except ISOLATED as error:
                failure = RunError.of(name, f"Provider '{name}': {cause(error)}")
                failure.__cause__ = error
                run.fail(name, failure)
                self._suspects.add(name)

    def _run_legacy(self, index: int, declaration: Declaration) -> None:
        run = self.runs[index]
        if declaration.name in run.failures:
            return
        try:
            made = run_legacy(declaration, self._legacy_bars(index, declaration), run.key)
        except ProviderError as error:
            run.fail(declaration.name, error)
        else:
            run.columns.update(made)

    def _warn_of_unknown(self) -> None:
        unknown = [
            name
            for name in (SYMBOL, THRESHOLD)
            if any(getattr(run.key, name) is None for run in self.runs)
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
            self._legacy = self._all_legacy_bars()
        bars = self._legacy[index]
        made = self._made_by(index, self._declarations.keys() - {declaration.name})
        if declaration.requires is not None:
            made = [series for series in made if series.name in declaration.requires]
        frame = bars.frame.hstack(made) if made else bars.frame
        return LegacyBars(frame, bars.times, bars.unit)

    def _all_legacy_bars(self) -> list[LegacyBars]:
        frames, clock = self._bars.legacy_frames(), self._bars.clock
        if clock is None:
            return [LegacyBars(frame, None, MICROSECONDS) for frame in frames]
        times, unit = times_in(self._bars.frames([clock]), clock)
        return [LegacyBars(*one, unit) for one in zip(frames, times, strict=True)]
