"""What series carry from increment to increment, and how features go on from it.

Providers whose values a number of earlier bars fixes run through `execution`, with those bars
carried as context, all series in one collect. Recursive ones go on from a held state. What
neither can continue fails, and says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import polars as pl

from rangebar_enrich._bars.containers import PolarsBars
from rangebar_enrich._bars.series import SeriesKey, SeriesSplit
from rangebar_enrich._plan.mend import mended_columns
from rangebar_enrich._plan.plan import Plan
from rangebar_enrich._plan.planner import Layout, Planner
from rangebar_enrich._provider.declaration import ISOLATED, Kind, cause
from rangebar_enrich._recursion import Continuation, State
from rangebar_enrich._run.execution import Execution
from rangebar_enrich._run.inputs import History, Source
from rangebar_enrich._run.settings import Settings
from rangebar_enrich._run.workspace import SeriesRun
from rangebar_enrich._stream.recursive import Held
from rangebar_enrich.errors import (
    HistoryError,
    ProviderError,
    RunError,
    ShortHistoryError,
    message,
)


@dataclass(frozen=True, slots=True)
class Carried:
    """A place in a series; immutable, so that an increment that fails changes nothing.

    Attributes:
        rows: Bars so far.
        is_complete: Whether the first of them was the first of the series.
        context: The last bars, as far as windows reach; `None` before the first bars.
        states: What recursive providers go on from.
        broken: Recursive providers that failed once: their state is lost.
    """

    rows: int = 0
    is_complete: bool = True
    context: pl.DataFrame | None = None
    states: Mapping[str, State] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Increment:
    """New bars of one series, on their way.

    Attributes:
        key: The series.
        carried: Where it stands.
        bars: The bars that follow: all columns of the layout, in time order.
    """

    key: SeriesKey
    carried: Carried
    bars: pl.DataFrame


class Carrier:
    """Continues all providers over series that share one plan, increment by increment.

    Args:
        settings: The providers, and how to run them.
        layout: Columns that they may read; the same in every increment.
        plan: What they do with them.
    """

    def __init__(self, settings: Settings, layout: Layout, plan: Plan) -> None:
        self._plan = plan
        self._declarations = {made.name: made for made in settings.declarations}
        self._held = Held.of(plan, layout)
        finite = plan.fixed_by.keys() - self._held.continuations.keys()
        counts = {name: count for name in finite if (count := plan.fixed_by[name]) is not None}
        self._finite = Planner([made for made in settings.declarations if made.name in counts])
        self._settings = replace(settings, planner=self._finite)
        self.context_rows = max(counts.values(), default=0)
        self._extra = self._held_columns_read()
        self._layout: Layout = (*layout, *((name, pl.Float64()) for name in self._extra))
        self._names = self._names_to_carry([name for name, _ in layout])

    def _held_columns_read(self) -> list[str]:
        """Return the columns of held providers that finite ones read, or are shown."""
        made = [name for one in self._held.continuations.values() for name in one.columns]
        read: set[str] = set()
        for one in self._finite.declarations:
            if one.kind is Kind.NATIVE:
                read |= self._plan.native[one.name].reads
            else:
                read |= set(made if one.requires is None else one.requires)
        return [name for name in made if name in read]

    def _names_to_carry(self, names: Sequence[str]) -> list[str]:
        """Return the bar columns that the context keeps; one at least, since a frame needs rows."""
        if any(made.kind is Kind.LEGACY for made in self._finite.declarations):
            return list(names)
        reads = [self._plan.native[made.name].reads for made in self._finite.declarations]
        read = frozenset[str]().union(*reads)
        return [name for name in names if name in read] or list(names[:1])

    def start(self, *, is_complete: bool = True) -> Carried:
        """Return the place before the first bar."""
        states = {name: made.start() for name, made in self._held.continuations.items()}
        return Carried(is_complete=is_complete, states=states)

    def resume(self, carried: Carried, states: Mapping[str, bytes]) -> Carried:
        """Return a place that was read from bytes, with the states of recursive providers.

        Raises:
            HistoryError: What was carried is not what these providers go on from.
        """
        context, held = carried.context, self._held.continuations
        names = [*self._names, *self._extra]
        fits = context is None or (
            context.columns == names and context.height == min(carried.rows, self.context_rows)
        )
        if states.keys() != held.keys() or not fits:
            msg = message(
                "The snapshot carries other states, columns or rows than these providers need:"
                " a lookback or an expression changed, and the provider's version did not.",
                hint="start anew from history.",
            )
            raise HistoryError(msg)
        read = {name: held[name].state_from_bytes(raw) for name, raw in states.items()}
        return replace(carried, states=read)

    def advance(self, increments: Sequence[Increment]) -> list[tuple[SeriesRun, Carried]]:
        """Compute the features of new bars of several series.

        Returns:
            For each, values and failures of the new bars alone, and the place behind them.
        """
        made = []
        for one in increments:
            run = SeriesRun(one.key, self._plan)
            run.failures.update(self._plan.failures)
            made.append((run, *self._go_on(run, one)))
        if self._finite.declarations:
            runs = [run for run, _, _ in made]
            self._advance_finite(increments, runs, [shown for _, shown, _ in made])
        for run, _, _ in made:
            # NOTE: one that fails with a provider that it reads may have been computed before.
            for name in run.failures.keys() & self._declarations.keys():
                for column in self._declarations[name].columns:
                    run.columns.pop(column, None)
        return [(run, after) for run, _, after in made]

    def absorb(self, increment: Increment) -> Carried:
        """Take bars whose features nobody wants; return the place behind them."""
        run = SeriesRun(increment.key, self._plan)
        return self._go_on(run, increment)[1]

    def _go_on(self, run: SeriesRun, one: Increment) -> tuple[pl.DataFrame, Carried]:
        """Advance all but the finite providers; return what these read, and the place behind."""
        states, broken = self._advance_held(run, one)
        shown = self._shown(run, one)
        carried = one.carried
        context = self._next_context(carried.context, shown)
        rows = carried.rows + one.bars.height
        return shown, Carried(rows, carried.is_complete, context, states, broken)

    def _advance_held(
        self, run: SeriesRun, one: Increment
    ) -> tuple[dict[str, State], dict[str, str]]:
        states, broken = dict(one.carried.states), dict(one.carried.broken)
        for name, reason in self._held.reasons.items():
            text = (
                f"Provider '{name}': its values depend on the whole series, and no state can be"
                f" held: {reason}. Declare its 'lookback', or compute the series in one run."
            )
            _fail_short(run, name, text)
        for name, made in self._held.continuations.items():
            if name in broken:
                run.fail(name, RunError.of(name, broken[name]))
                continue
            try:
                _check_clock(made, states[name], one.bars)
                values, states[name] = made.advance(states[name], one.bars)
            except ISOLATED as error:
                text = f"Provider '{name}': {cause(error)}"
                broken[name] = f"{text} (its state is lost since then; start anew from history)"
                failure = RunError.of(name, broken[name])
                failure.__cause__ = error
                run.fail(name, failure)
            else:
                run.columns.update(values.to_dict(as_series=True))
        if not one.carried.is_complete:
            run.check_history(one.carried.rows, self._held.continuations)
        return states, broken

    def _shown(self, run: SeriesRun, one: Increment) -> pl.DataFrame:
        """Return what finite providers read of the new bars."""
        shown = one.bars.select(self._names)
        if not self._extra:
            return shown
        warm_up = {
            name: rows
            for made in self._declarations.values()
            for name, rows in made.warm_up.items()
        }
        height, start = shown.height, one.carried.rows
        made = [run.values(name, height) for name in self._extra]
        return shown.hstack(mended_columns(made, warm_up, start))

    def _advance_finite(
        self,
        increments: Sequence[Increment],
        runs: Sequence[SeriesRun],
        shown: Sequence[pl.DataFrame],
    ) -> None:
        """Run the finite providers over all series at once, each with its own context."""
        keys = tuple(one.key for one in increments)
        split = _split(keys, shown)
        source = Source(
            PolarsBars(_joined(shown)),
            split,
            history=_history(keys, increments, shown),
            times_increase=False,
        )
        parts = [SeriesRun(key, self._finite.plan(self._layout, *key[:2])) for key in keys]
        execution = Execution(source, parts, self._settings)
        execution.run()
        for column, pieces in execution.values().items():
            for run, values in zip(runs, _pieces(pieces, split), strict=True):
                run.columns[column] = values
        for run, part in zip(runs, parts, strict=True):
            run.short |= part.short
            for name in part.failures.keys() - run.failures.keys():
                run.fail(name, part.failures[name])

    def _next_context(self, context: pl.DataFrame | None, shown: pl.DataFrame) -> pl.DataFrame:
        """Return the last rows that windows reach, in memory of their own."""
        rows = self.context_rows
        if shown.height < rows and context is not None:
            return pl.concat([context.tail(rows - shown.height), shown], rechunk=True)
        tail = shown.tail(rows)
        # NOTE: a slice would keep the whole increment alive until the next one.
        return tail[np.arange(tail.height)]


def _fail_short(run: SeriesRun, name: str, text: str) -> None:
    run.short.add(name)
    run.fail(name, ShortHistoryError.of(name, text))


def _split(keys: tuple[SeriesKey, ...], frames: Sequence[pl.DataFrame]) -> SeriesSplit:
    return SeriesSplit(keys, np.cumsum([0, *(frame.height for frame in frames)], dtype=np.int64))


def _joined(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return frames[0] if len(frames) == 1 else pl.concat(frames, rechunk=True)


def _pieces(values: Sequence[pl.Series], split: SeriesSplit) -> Sequence[pl.Series]:
    """Return a column's values series by series."""
    if len(values) == len(split.keys):
        return values
    return [values[0].slice(int(a), int(b - a)) for a, b in pairwise(split.starts)]


def _history(
    keys: tuple[SeriesKey, ...], increments: Sequence[Increment], shown: Sequence[pl.DataFrame]
) -> History | None:
    """Return what the series carry as the history of their new bars."""
    carried = [one.carried for one in increments]
    is_complete = all(one.is_complete for one in carried)
    if is_complete and all(one.context is None for one in carried):
        return None
    contexts = [
        frame.clear() if one.context is None else one.context
        for one, frame in zip(carried, shown, strict=True)
    ]
    # NOTE: of a complete series enough is carried; where less is, it is all that there is.
    places = tuple(range(len(keys)))
    return History(PolarsBars(_joined(contexts)), _split(keys, contexts), places, is_complete)


def _check_clock(made: Continuation, state: State, frame: pl.DataFrame) -> None:
    """Refuse equal times where a window over time would read a later bar."""
    for name in made.times:
        times = frame[name]
        if state.context is not None and name in state.context.columns:
            times = pl.concat([state.context[name].tail(1), times])
        values = times.to_physical()
        if values.null_count() or not bool((values.diff().drop_nulls() > 0).all()):
            text = f"windows over '{name}' need times that increase strictly"
            raise ProviderError(text)
