"""What one series carries from increment to increment, and how features go on from it.

Providers whose values a number of earlier bars fixes run through `execution`, with those bars
carried as context. Recursive ones go on from a held state (`recursion`). What neither can
continue fails, and says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from rangebar_enrich.bars.containers import PolarsBars
from rangebar_enrich.bars.series import SeriesKey, SeriesSplit, time_column
from rangebar_enrich.declaration import ISOLATED, Kind, cause
from rangebar_enrich.errors import (
    HistoryError,
    NotHeldError,
    ProviderError,
    RunError,
    ShortHistoryError,
    message,
)
from rangebar_enrich.execution import Execution
from rangebar_enrich.plan.plan import mended_column
from rangebar_enrich.plan.standalone import standalone
from rangebar_enrich.planner import Layout, Planner
from rangebar_enrich.recursion import Continuation, State, hold
from rangebar_enrich.series_run import SeriesRun
from rangebar_enrich.source import History, Source


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


class Carrier:
    """Continues all providers over the bars of one series, increment by increment.

    Args:
        planner: The providers.
        layout: Columns that they may read; the same in every increment.
        key: The series.
        suspects: Providers that failed at run time before; shared with other runs.
    """

    def __init__(
        self, planner: Planner, layout: Layout, key: SeriesKey, suspects: set[str]
    ) -> None:
        self._key, self._suspects = key, suspects
        self._plan = planner.plan(layout, key.symbol, key.threshold_decimal_bps)
        finite = {name for name, count in self._plan.fixed_by.items() if count is not None}
        self._declarations = {made.name: made for made in planner.declarations}
        self._finite = Planner([made for made in planner.declarations if made.name in finite])
        self._held: dict[str, Continuation] = {}
        self.not_held: dict[str, str] = {}
        for name in self._plan.fixed_by.keys() - finite:
            self._hold(name, layout)
        has_legacy = any(made.kind is Kind.LEGACY for made in self._finite.declarations)
        extra = [(name, pl.Float64()) for name in self._held_columns] if has_legacy else []
        self._bar_layout = layout
        self._layout: Layout = (*layout, *extra)
        self._finite_plan = self._finite.plan(self._layout, key.symbol, key.threshold_decimal_bps)
        self._names = self._names_to_carry(layout, has_legacy=has_legacy)
        counts = [count for count in self._plan.fixed_by.values() if count is not None]
        self.context_rows = max(counts, default=0)

    @property
    def _held_columns(self) -> list[str]:
        return [column for made in self._held.values() for column in made.columns]

    def _names_to_carry(self, layout: Layout, *, has_legacy: bool) -> list[str]:
        """Return the bar columns that the context keeps."""
        names = [name for name, _ in layout]
        if has_legacy:
            return names
        clock = time_column(PolarsBars(pl.DataFrame(schema=dict(layout))))
        read = self._finite_plan.inputs | {clock}
        return [name for name in names if name in read] or names[:1]

    def _hold(self, name: str, layout: Layout) -> None:
        if self._declarations[name].kind is Kind.LEGACY:
            self.not_held[name] = "a legacy provider shows nothing that could be held"
            return
        try:
            self._held[name] = hold(standalone(self._plan, name), schema=dict(layout))
        except NotHeldError as error:
            self.not_held[name] = "; ".join(f"'{c}': {why}" for c, why in error.reasons.items())
        except ValueError as error:
            self.not_held[name] = str(error)

    @property
    def held(self) -> frozenset[str]:
        """Recursive providers that go on from a held state."""
        return frozenset(self._held)

    def start(self, *, is_complete: bool = True) -> Carried:
        """Return the place before the first bar."""
        states = {name: made.start() for name, made in self._held.items()}
        return Carried(is_complete=is_complete, states=states)

    def resume(self, carried: Carried, states: Mapping[str, bytes]) -> Carried:
        """Return a place that was read from bytes, with the states of recursive providers.

        Raises:
            HistoryError: The states are none, or those of other expressions.
        """
        if states.keys() != self._held.keys():
            msg = message(
                "The snapshot holds states of other features than this enricher.",
                hint="start anew from history.",
            )
            raise HistoryError(msg)
        read = {name: self._held[name].state_from_bytes(raw) for name, raw in states.items()}
        return replace(carried, states=read)

    def advance(self, carried: Carried, frame: pl.DataFrame) -> tuple[SeriesRun, Carried]:
        """Compute the features of new bars.

        Args:
            carried: Where the series stands.
            frame: The bars that follow, all columns of the layout, in time order.

        Returns:
            Values and failures of the new bars alone, and the place behind them.
        """
        run = SeriesRun(self._key, self._plan)
        run.failures.update(self._plan.failures)
        states, broken = self._advance_held(run, carried, frame)
        shown = self._shown(run, carried, frame)
        if self._finite.declarations:
            self._advance_finite(run, carried, shown)
        context = self._next_context(carried.context, shown)
        after = Carried(carried.rows + frame.height, carried.is_complete, context, states, broken)
        return run, after

    def _advance_held(
        self, run: SeriesRun, carried: Carried, frame: pl.DataFrame
    ) -> tuple[dict[str, State], dict[str, str]]:
        states, broken = dict(carried.states), dict(carried.broken)
        for name, reason in self.not_held.items():
            text = (
                f"Provider '{name}': its values depend on the whole series, and no state can be"
                f" held: {reason}. Declare its 'lookback', or compute the series in one run."
            )
            self._short(run, name, text)
        for name, made in self._held.items():
            if not carried.is_complete:
                text = (
                    f"Provider '{name}': its values depend on the whole series; give all of it with"
                    " history_is_complete=True, or declare the provider's 'lookback'."
                )
                self._short(run, name, text)
            elif name in broken:
                run.fail(name, RunError.of(name, broken[name]))
            else:
                try:
                    _check_clock(made, states[name], frame)
                    values, states[name] = made.advance(states[name], frame)
                except ISOLATED as error:
                    text = cause(error)
                    broken[name] = f"Provider '{name}': {text}; its state is lost since then."
                    run.fail(name, RunError.of(name, f"Provider '{name}': {text}"))
                else:
                    run.columns.update(values.to_dict(as_series=True))
        return states, broken

    def _short(self, run: SeriesRun, name: str, text: str) -> None:
        run.short.add(name)
        run.fail(name, ShortHistoryError.of(name, text))

    def _shown(self, run: SeriesRun, carried: Carried, frame: pl.DataFrame) -> pl.DataFrame:
        """Return what finite providers read of the new bars."""
        shown = frame.select(self._names)
        if len(self._layout) == len(self._bar_layout):
            return shown
        warm_up = {n: rows for name in self._held for n, rows in self._warm_up(name).items()}
        nulls = pl.Series("", [None] * frame.height, dtype=pl.Float64)
        made = pl.DataFrame([run.columns.get(name, nulls).alias(name) for name in warm_up])
        mended = made.select(
            mended_column(name, max(0, rows - carried.rows)) for name, rows in warm_up.items()
        )
        return shown.hstack(mended)

    def _warm_up(self, name: str) -> Mapping[str, int]:
        return self._declarations[name].warm_up

    def _advance_finite(self, run: SeriesRun, carried: Carried, shown: pl.DataFrame) -> None:
        split = _single(self._key, shown.height)
        history = None
        if carried.context is not None:
            whole = carried.is_complete and carried.context.height == carried.rows
            bars = PolarsBars(carried.context)
            history = History(bars, _single(self._key, carried.context.height), (0,), whole)
        elif not carried.is_complete:
            history = History(PolarsBars(shown.clear()), _single(self._key, 0), (0,))
        source = Source(PolarsBars(shown), split, history=history, times_increase=False)
        part = SeriesRun(self._key, self._finite_plan)
        execution = Execution(source, [part], self._finite.declarations, self._suspects)
        execution.run()
        for made in self._finite.declarations:
            if made.name not in part.failures:
                for column in made.columns:
                    run.columns[column] = execution.values(column)[0]
        run.short |= part.short
        for name, error in part.failures.items():
            run.fail(name, error)

    def _next_context(self, context: pl.DataFrame | None, shown: pl.DataFrame) -> pl.DataFrame:
        """Return the last rows that windows reach, in memory of their own."""
        rows = self.context_rows
        if shown.height < rows and context is not None:
            return pl.concat([context.tail(rows - shown.height), shown], rechunk=True)
        tail = shown.tail(rows)
        # NOTE: a slice would keep the whole increment alive until the next one.
        return tail if tail.height == shown.height else tail[np.arange(tail.height)]


def _single(key: SeriesKey, height: int) -> SeriesSplit:
    return SeriesSplit((key,), np.array([0, height], dtype=np.int64))


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
