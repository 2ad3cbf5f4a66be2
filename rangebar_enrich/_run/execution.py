"""Run plans over the series of a table, so that a failure costs only its own columns.

One collect runs every native provider of every series. Only when that fails is anything run
apart: providers with Python functions one by one, the rest together, and each alone if even
that fails. A provider that failed so is kept apart in later runs.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from functools import cached_property

import numpy as np
import polars as pl
import pyarrow as pa

from rangebar_enrich._bars.columns import SCRATCH_PREFIX, SYMBOL, THRESHOLD
from rangebar_enrich._bars.series import time_column
from rangebar_enrich._plan.compile import CompiledProvider
from rangebar_enrich._plan.plan import LegacyStep, NativeStep
from rangebar_enrich._provider.declaration import ISOLATED, Declaration, cause
from rangebar_enrich._provider.pandas_view import LegacyBars, run_legacy
from rangebar_enrich._run.inputs import Source
from rangebar_enrich._run.settings import Engine, Settings
from rangebar_enrich._run.workspace import SeriesRun
from rangebar_enrich.errors import ProviderError, RunError

logger = logging.getLogger(__name__)

_SHORT_SERIES = 4_000
"""Mean rows a series below which many series run faster in one frame than each in its own."""
_KEY = f"{SCRATCH_PREFIX}series"


def _collect(plans: Sequence[pl.LazyFrame], engine: Engine) -> list[pl.DataFrame]:
    """Run lazy plans: the one place where anything is computed."""
    # NOTE: inputs are projected and equal parts shared before: the optimiser finds nothing.
    none = pl.QueryOptFlags.none()
    if len(plans) == 1:
        return [plans[0].collect(engine=engine, optimizations=none)]
    return pl.collect_all(plans, engine=engine, optimizations=none) if plans else []


class Execution:
    """One run over all series of a table.

    Args:
        source: The bars.
        runs: One for each series, with its plan.
        settings: The providers, whom to run apart, and the engine of Polars.
    """

    def __init__(self, source: Source, runs: Sequence[SeriesRun], settings: Settings) -> None:
        self._source = source
        self._runs = runs
        self._declarations = {made.name: made for made in settings.declarations}
        self._suspects = settings.suspects
        self._engine = settings.engine
        self._legacy: list[LegacyBars] | None = None
        self._whole: dict[str, pl.Series] = {}

    @cached_property
    def _inputs(self) -> Collection[str]:
        """Bar columns that native expressions read; one at least, since a frame needs rows."""
        inputs = frozenset[str]().union(*(run.plan.inputs for run in self._runs))
        return inputs or list(self._source.bars.columns)[:1]

    @cached_property
    def _frames(self) -> list[pl.DataFrame]:
        return self._source.frames(self._inputs)

    def run(self) -> None:
        """Run every step of every series; results and failures stand in the series' runs."""
        for index, run in enumerate(self._runs):
            run.failures.update(run.plan.failures)
            if self._source.history is not None and not self._source.history.is_complete:
                run.check_history(self._source.before[index])
            self._check_times(index)
        steps = max((len(run.plan.steps) for run in self._runs), default=0)
        for position in range(steps):
            self._run_step(position)

    def values(self, column: str) -> list[pl.Series]:
        """Return a column's values in every row of the table, sorted by series.

        One piece for all series where they were computed together, else one for each; rows of
        history are dropped, and what failed is null.
        """
        if column in self._whole:
            return [self._whole[column]]
        if len(self._runs) == 1 and not self._source.before[0] and column in self._runs[0].columns:
            return [self._runs[0].columns[column]]
        pieces = []
        for run, before, height in zip(
            self._runs, self._source.before, self._source.split.lengths, strict=True
        ):
            made = run.columns.get(column)
            if made is None:
                made = pl.Series(column, pa.nulls(int(height), pa.float64()))
            elif before:
                made = made.slice(before)
            pieces.append(made)
        return pieces

    def _check_times(self, index: int) -> None:
        """Fail the providers with windows over times that do not increase strictly."""
        run = self._runs[index]
        for name, columns in run.plan.times.items():
            ties = sorted(column for column in columns if not self._increases(index, column))
            if ties and name not in run.failures:
                text = (
                    f"Provider '{name}' has windows over '{ties[0]}', which does not increase"
                    " strictly: equal times would let a window read later bars."
                )
                run.fail(name, RunError.of(name, text))

    def _increases(self, index: int, column: str) -> bool:
        is_clock = column == time_column(self._source.bars)
        return (is_clock and self._source.times_increase) or self._strictly(index, column)

    def _strictly(self, index: int, column: str) -> bool:
        values = self._frames[index][column].to_physical()
        return values.null_count() == 0 and bool((values.diff().drop_nulls() > 0).all())

    def _run_step(self, position: int) -> None:
        native: list[tuple[int, NativeStep]] = []
        for index, run in enumerate(self._runs):
            step = run.plan.steps[position] if position < len(run.plan.steps) else None
            if isinstance(step, NativeStep):
                native.append((index, step))
            elif isinstance(step, LegacyStep):
                self._run_legacy(index, step.declaration)
        if native and not self._run_grouped(native):
            self._run_native(native)

    def _run_grouped(self, work: Sequence[tuple[int, NativeStep]]) -> bool:
        """Run one step of many short series in one frame; return whether that was possible."""
        step, split = work[0][1], self._source.split
        if not self._are_alike(work) or split.starts[-1] > _SHORT_SERIES * len(work):
            return False
        keys = np.repeat(np.arange(len(work), dtype=np.uint32), split.lengths)
        frame = split.sort(self._source.bars.to_polars(self._inputs))
        frame = frame.hstack([pl.Series(_KEY, keys).set_sorted()])
        try:
            made = _collect([step.apply_within(frame.lazy(), _KEY)], self._engine)[0]
        except ISOLATED:
            # NOTE: the series then run one by one, which finds out whose fault it was.
            return False
        self._whole.update(made.to_dict(as_series=True))
        return True

    def _are_alike(self, work: Sequence[tuple[int, NativeStep]]) -> bool:
        """Return whether all series run the same one step, from their start, with nobody apart."""
        step, plan = work[0][1], self._runs[work[0][0]].plan
        return (
            1 < len(work) == len(self._runs)
            and len(plan.steps) == 1
            and all(run.plan is plan for run in self._runs)
            and self._source.history is None
            and not step.names & self._suspects
            and not any(run.failures.keys() & step.names for run in self._runs)
            and step.is_groupable
        )

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
        return (frame.hstack(made) if made else frame).lazy()

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
        for (index, step), made in zip(steps, _collect(plans, self._engine), strict=True):
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
                made = _collect([plan], self._engine)
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
            made = run_legacy(declaration, self._legacy_bars(index, declaration), run.key)
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
        frame = bars.frame.hstack(made) if made else bars.frame
        return LegacyBars(frame, bars.times, bars.unit)
