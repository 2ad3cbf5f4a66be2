"""A stream: any number of series that go on, table after table.

1. `take` checks that the bars of each series follow those before, and finds its `View`: the compiled
   plan, by what each provider goes on from.
2. `_advance` goes on from held states, then runs what earlier bars fix, all series in one collect,
   with the bars carried as context.
3. `commit` makes the places behind the table those from which the next one goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from rangebar_enrich._bars.columns import RESERVED
from rangebar_enrich._bars.continuity import Break, Gaps, Timeline
from rangebar_enrich._bars.fit import fitted
from rangebar_enrich._bars.series import SeriesKey, SeriesSplit, time_column
from rangebar_enrich._bars.table import BarTable
from rangebar_enrich._plan.mend import mended_columns
from rangebar_enrich._plan.planner import Layout
from rangebar_enrich._provider.declaration import ISOLATED, cause
from rangebar_enrich._recursion import Continuation, State
from rangebar_enrich._run.events import (
    OnGap,
    Reporter,
    check_on_gap,
    log_gaps,
    refuse_gaps,
)
from rangebar_enrich._run.execution import Execution
from rangebar_enrich._run.inputs import slices
from rangebar_enrich._run.outputs import Values, feature_columns
from rangebar_enrich._run.result import EnrichmentResult, ProviderOutcome
from rangebar_enrich._run.settings import Settings
from rangebar_enrich._run.workspace import SeriesRun
from rangebar_enrich._stream.place import Place
from rangebar_enrich._stream.view import View
from rangebar_enrich.errors import (
    BarOrderError,
    ProviderError,
    RunError,
)

_DIFFERENT = "{} column(s) differ from the bars before:"
_ANEW = "push bars of one layout; start anew for another."
_MOST_GAPS_TOLD = 3
"""Tables with gaps, one after the other, that are logged."""


@dataclass(slots=True)
class Increment:
    """New bars of one series, on their way.

    Attributes:
        view: What its providers go on from.
        place: Where the series stands.
        bars: The new bars: what anybody reads of them, in time order.
        after: Where the series stands behind them.
        run: What becomes of them.
    """

    view: View
    place: Place
    bars: pl.DataFrame
    after: Place
    run: SeriesRun


@dataclass(slots=True)
class Arrival:
    """A table that a stream has taken.

    Attributes:
        split: The series of the table.
        layout: The columns that providers may read.
        gaps: Its gaps, those between it and the bars before included.
        increments: New bars of each series.
        outcomes: What became of each provider.
        values: Values of each declared column by series, in one piece or one for each.
    """

    split: SeriesSplit
    layout: Layout
    gaps: Gaps = field(default_factory=Gaps)
    increments: Sequence[Increment] = ()
    outcomes: tuple[ProviderOutcome, ...] = ()
    values: Values = field(default_factory=dict)

    @property
    def runs(self) -> list[SeriesRun]:
        """What became of each series."""
        return [one.run for one in self.increments]


class Stream:
    """Series that go on, table after table.

    Args:
        settings: The providers, and how to run them.
        refusal: Says in words that a bar does not follow those before.
        on_gap: What to do where bars are missing between others.
        noun: What one table is called in a log line.

    Attributes:
        layout: Columns that providers may read, in every table; `None` before the first.
        places: Where each series stands.
    """

    def __init__(
        self, settings: Settings, refusal: Callable[[Break], str], *, on_gap: OnGap, noun: str
    ) -> None:
        self._settings, self._refusal = settings, refusal
        check_on_gap(on_gap)
        self._on_gap, self._noun = on_gap, noun
        self._reporter = Reporter(settings)
        self._told: dict[str, str | None] = {}
        self._views: dict[int, View] = {}
        self._known: dict[SeriesKey, View] = {}
        self.layout: Layout | None = None
        self.places: dict[SeriesKey, Place] = {}

    def push(self, table: BarTable, split: SeriesSplit, start: Place | None = None) -> Arrival:
        """Compute the features of bars that follow those before.

        Where a failure raises and there is one, nothing changes; `finish` raises it.

        Args:
            table: The bars.
            split: Their series.
            start: Where a series stands that is new.

        Raises:
            BarsError: The bars break a rule, or are not the next ones.
        """
        if not split.starts[-1]:
            return Arrival(split, self.layout or ())
        arrival = self.take(table, split, start)
        refuse_gaps(arrival.gaps, self._on_gap)
        self._advance(arrival)
        arrival.outcomes = self._reporter.outcomes(arrival.runs)
        if not (self._settings.raises and arrival.outcomes is not self._reporter.good):
            self.commit(arrival)
            self._log_gaps(arrival)
        self._reporter.log_news(arrival.outcomes, self._told)
        return arrival

    def finish(self, table: BarTable, arrival: Arrival) -> EnrichmentResult:
        """Tell the hooks, and return the bars with their features.

        Raises:
            ProviderError: A provider failed, and the enricher raises.
        """
        declarations, runs, split = self._settings.planner.declarations, arrival.runs, arrival.split
        outcomes = arrival.outcomes or self._reporter.good
        if runs:
            self._reporter.announce(split.keys, runs, outcomes, int(split.starts[-1]))
        if self._settings.raises:
            for run in runs:
                run.raise_first()
        features = feature_columns(declarations, outcomes, arrival.values, split, runs)
        return EnrichmentResult(table, features, outcomes, series=split.keys, gaps=arrival.gaps)

    def view(self, key: SeriesKey, layout: Layout) -> View:
        """Return what the providers of a series go on from."""
        known = self._known.get(key)
        if known is not None:
            return known
        plan = self._settings.planner.plan(layout, key.symbol, key.threshold_decimal_bps)
        if id(plan) not in self._views:
            self._views[id(plan)] = View.of(plan, layout)
        return self._views[id(plan)]

    def take(self, table: BarTable, split: SeriesSplit, start: Place | None = None) -> Arrival:
        """Check that bars follow those before; nothing is computed and nothing changes.

        Args:
            table: The bars, with at least one row.
            split: Their series.
            start: Where a series stands that is new.

        Raises:
            BarColumnError: A column that is read is missing, or does not fit its dtype before.
            BarOrderError: A bar is earlier than one before it, or one of the last is repeated.
        """
        layout = self.layout or self._settings.planner.layout(table.dtypes)
        places = [self.places.get(key) or start or Place() for key in split.keys]
        views = [self.view(key, layout) for key in split.keys]
        reads = frozenset().union(*(view.reads for view in set(views)))
        bars = _fitted(table, layout, reads)
        timeline = Timeline(table, split, clock=time_column([name for name, _ in layout]))
        timeline.check_unit()
        known = reads | RESERVED
        names = [name for name, _ in layout if name in known and name in table.columns]
        marks = [place.mark for place in places]
        found = timeline.first_break(marks, names)
        if found is not None:
            raise BarOrderError(self._refusal(found))
        gaps = timeline.gaps(marks)
        frames = slices(bars, split)
        behind = timeline.marks(marks, names)
        increments = []
        for key, view, place, frame, mark in zip(
            split.keys, views, places, frames, behind, strict=True
        ):
            after = place.behind(frame.height, mark, gaps.by_series.get(key, 0))
            context = 0 if place.context is None else place.context.height
            run = SeriesRun(key, view.plan, frame.height, place.rows, context, place.is_complete)
            increments.append(Increment(view, place, frame, after, run))
        return Arrival(split, layout, gaps, increments)

    def _advance(self, arrival: Arrival) -> None:
        by_view: dict[View, list[Increment]] = {}
        for one in arrival.increments:
            by_view.setdefault(one.view, []).append(one)
        for view, work in by_view.items():
            frames = [_go_on(one) for one in work]
            if view.plan.steps:
                execution = Execution(_Carried(frames), [one.run for one in work], self._settings)
                execution.run()
                values = execution.values()
                if len(by_view) == 1:
                    arrival.values = values
                elif len(work) > 1:
                    _split_up(values, view.columns, [one.run for one in work])
        if not arrival.values:
            arrival.values = {
                column: [run.values(column) for run in arrival.runs]
                for column in self._settings.planner.columns
            }

    def absorb(self, table: BarTable, split: SeriesSplit, start: Place) -> None:
        """Go on from behind bars whose features nobody wants.

        Args:
            table: The bars, with at least one row.
            split: Their series.
            start: Where each series stands before them.
        """
        arrival = self.take(table, split, start)
        for one in arrival.increments:
            _go_on(one)
            one.after = replace(one.after, gaps=0, streak=0)
        self.commit(arrival)

    def commit(self, arrival: Arrival) -> None:
        """Go on from behind these bars from now on."""
        self.layout = arrival.layout
        for one in arrival.increments:
            self.places[one.run.key] = one.after
            self._known[one.run.key] = one.view

    def resume(self, layout: Layout | None, places: Mapping[SeriesKey, Place]) -> None:
        """Go on from places that were read from a snapshot."""
        self.layout, self.places = layout, dict(places)
        self._known = {key: self.view(key, layout or ()) for key in places}

    def _log_gaps(self, arrival: Arrival) -> None:
        # NOTE: where no bars ever touch, that is no news for long.
        if any(0 < one.after.streak <= _MOST_GAPS_TOLD for one in arrival.increments):
            log_gaps(arrival.gaps, self._on_gap, self._noun)


def _fitted(table: BarTable, layout: Layout, reads: Collection[str]) -> pl.DataFrame:
    """Return what is read, under the dtypes of the bars before; bar columns must all be there."""
    there = table.dtypes
    # NOTE: a column that is none of the bars' own may come, go and change while nobody reads it.
    wanted = {
        name: dtype
        for name, dtype in layout
        if name in reads or (name in RESERVED and there.get(name) != dtype)
    }
    return fitted(table.to_polars(wanted.keys()), wanted, head=_DIFFERENT, hint=_ANEW)


class _Carried:
    """The new bars of several series, each behind the bars that are carried of it."""

    times_increase = False  # each frame is looked at

    def __init__(self, bars: Sequence[pl.DataFrame]) -> None:
        self._bars = bars

    @property
    def clock(self) -> str | None:
        """The column that orders bars."""
        return time_column(self._bars[0].columns)

    def frames(self, names: Collection[str]) -> list[pl.DataFrame]:
        """Return columns of each series; all where none is named."""
        if not names:
            return list(self._bars)
        wanted = [name for name in self._bars[0].columns if name in names]
        # NOTE: not `select`, which would make and collect a plan for each series.
        return [bars[wanted] for bars in self._bars]

    def together(self, names: Collection[str]) -> pl.DataFrame:
        """Return columns of all series in one frame, one series after the other."""
        wanted = [name for name in self._bars[0].columns if name in names]
        joined = pl.concat(self._bars)
        return (joined[wanted] if wanted else joined).rechunk()

    def legacy_frames(self) -> list[pl.DataFrame]:
        """Return all that is there of each series."""
        return list(self._bars)


def _go_on(one: Increment) -> pl.DataFrame:
    """Go on from held states and find the place behind; return what the others read.

    Returns:
        The new bars behind those that are carried.
    """
    states, broken = {**one.place.states}, {**one.place.broken}
    for name, made in one.view.held.items():
        if name not in states:
            states[name] = made.start()
        if name in broken:
            one.run.fail(name, RunError.of(name, broken[name]))
        elif name not in one.run.failures:
            try:
                _check_clock(made, states[name], one.bars)
                values, states[name] = made.advance(states[name], one.bars)
            except ISOLATED as error:
                broken[name] = (
                    f"Provider '{name}': {cause(error)}"
                    " (its state is lost since then; start anew from history)"
                )
                failure = RunError.of(name, broken[name])
                failure.__cause__ = error
                one.run.fail(name, failure)
            else:
                one.run.finished.update(values.to_dict(as_series=True))
    frame, rows = _shown(one), one.view.rows
    if one.place.context is not None:
        frame = pl.concat([one.place.context, frame], rechunk=True)
    # NOTE: a slice keeps all of the frame alive until the next one: few rows may stay, not many.
    context = frame.tail(rows)
    if frame.height > 2 * rows:
        context = context[np.arange(context.height)]
    one.after = replace(one.after, context=context, states=states, broken=broken)
    return frame


def _shown(one: Increment) -> pl.DataFrame:
    """Return what providers with a context read of the new bars."""
    shown = one.bars[one.view.carried]
    if not one.view.passed:
        return shown
    made = [one.run.finished.get(name) for name in one.view.passed]
    values = [
        one.run.nothing(name) if values is None else values
        for name, values in zip(one.view.passed, made, strict=True)
    ]
    return shown.hstack(mended_columns(values, one.view.passed, one.place.rows))


def _split_up(values: Values, columns: Sequence[str], runs: Sequence[SeriesRun]) -> None:
    """Give each series its part of the columns that were computed in one piece."""
    for column in columns:
        if len(values[column]) < len(runs):
            start = 0
            for run in runs:
                run.finished[column] = values[column][0].slice(start, run.height)
                start += run.height


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
