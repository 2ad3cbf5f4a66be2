"""Bar by bar: features of new bars, with the state of the series carried along."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from rangebar_enrich._bars.containers import BarTable, read_bars
from rangebar_enrich._bars.continuity import Seam, Times
from rangebar_enrich._bars.series import (
    SeriesKey,
    SeriesSplit,
    check_order,
    split_series,
    time_column,
    times_of,
)
from rangebar_enrich._plan.planner import Layout
from rangebar_enrich._run.events import Reporter, outcomes_of
from rangebar_enrich._run.outputs import feature_columns
from rangebar_enrich._run.result import EnrichmentResult, ProviderOutcome
from rangebar_enrich._run.settings import Settings
from rangebar_enrich._run.workspace import SeriesRun
from rangebar_enrich._stream.snapshot import Snapshot, read_snapshot
from rangebar_enrich._stream.stream import Carried, Carrier, Increment
from rangebar_enrich.errors import BarColumnError, HistoryError, SeriesConflictError, message

logger = logging.getLogger(__name__)

_MOST_GAPS_TOLD = 3
"""Gaps between bars one after the other that are logged: where no bars touch, that is no news."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a live series stands; replaced as a whole, so that a push that raises changes nothing.

    Attributes:
        key: The series.
        layout: Columns of its bars, `None` before the first.
        carried: What features go on from.
        seam: Where the next bars join.
        gaps: Gaps so far.
        streak: How many of them lie one after the other at the end.
    """

    key: SeriesKey
    layout: Layout | None = None
    carried: Carried = field(default_factory=Carried)
    seam: Seam = field(default_factory=Seam)
    gaps: int = 0
    streak: int = 0


class LiveEnricher:
    """Features of one series, computed as its bars come; made by `Enricher.live`.

    What is carried is constant in size: the bars that windows reach, the states of recursive
    features, and a counter. A push that raises changes nothing. Pushes from several threads
    take turns.

    Attributes:
        outcomes: What became of each provider in the last push.
    """

    def __init__(self, settings: Settings, key: SeriesKey) -> None:
        self._settings, self._planner = settings, settings.planner
        self._reporter = Reporter(settings)
        self._carrier: Carrier | None = None
        self._given, self._place = key, _Place(key)
        self._told: dict[str, str | None] = {}
        self._lock = Lock()
        self.outcomes: tuple[ProviderOutcome, ...] = ()

    @property
    def bars_seen(self) -> int:
        """Bars so far, history included."""
        return self._place.carried.rows

    @property
    def gaps(self) -> int:
        """Gaps so far: bars that begin later than the bar before them ended."""
        return self._place.gaps

    @property
    def context_bars(self) -> int:
        """Earlier bars that are carried along."""
        context = self._place.carried.context
        return 0 if context is None else context.height

    def push(self, bars: Any) -> pa.Table:
        """Compute the features of new bars.

        Args:
            bars: One or more bars that follow those pushed before, in any eager kind.

        Returns:
            The new rows only: the caller's columns and one float64 column for each feature.
            `outcomes` says what became of each provider.

        Raises:
            BarOrderError: A bar is earlier than one before it, or one of the last is repeated.
            BarColumnError: A column is missing or has another dtype than before.
            SeriesConflictError: The bars are of another series, or of several.
            ProviderError: `on_error="raise"` and a provider failed.
        """
        table = read_bars(bars)
        with self._lock:
            before = self._place.carried.rows
            run = self._push(table) if table.height else None
            outcomes = self._outcomes_of(run)
            if run is not None:
                self.outcomes = outcomes
                self._reporter.log_news(outcomes, self._told)
        # NOTE: outside the lock, since a callback may well ask for a snapshot.
        if run is not None:
            self._reporter.announce([run.key], [run], outcomes, table.height)
        if run is not None and self._settings.raises:
            run.raise_first()
        return self._result(table, run, outcomes, before)

    def _outcomes_of(self, run: SeriesRun | None) -> tuple[ProviderOutcome, ...]:
        runs = [] if run is None else [run]
        return outcomes_of(self._settings, runs)

    def _push(self, table: BarTable) -> SeriesRun:
        place, frame, times = self._accept(table, self._place)
        place, gap = _joined(place, time_column(table), frame, times)
        carrier, carried = self._ready(place)
        [(run, after)] = carrier.advance([Increment(place.key, carried, frame)])
        if not (self._settings.raises and run.failures):
            self._carrier, self._place = carrier, replace(place, carried=after)
            if gap:
                logger.warning("gap in %s: %s", place.key, gap)
        return run

    def absorb(self, history: Any, *, is_complete: bool) -> None:
        """Take earlier bars as the past of the series, without their features.

        Args:
            history: The earlier bars, in any eager kind.
            is_complete: The series starts with them.

        Raises:
            HistoryError: Bars were pushed already.
            BarsError: The bars break a rule.
        """
        table = read_bars(history)
        with self._lock:
            if self._place.carried.rows:
                msg = "History comes before the first push."
                raise HistoryError(msg)
            place = replace(self._place, carried=Carried(is_complete=is_complete))
            if table.height:
                place, frame, times = self._accept(table, place)
                self._carrier, carried = self._ready(place)
                carried = self._carrier.absorb(Increment(place.key, carried, frame))
                place = replace(place, carried=carried, seam=Seam().after(frame, times))
            self._place = place

    def _accept(self, table: BarTable, place: _Place) -> tuple[_Place, pl.DataFrame, Times | None]:
        """Check bars by themselves; return whose they are, what is read of them, their times."""
        symbol, threshold, _ = self._given
        split = split_series(table, symbol=symbol, threshold_decimal_bps=threshold)
        key = _same_key(place, split.keys)
        check_order(table, split)
        clock = time_column(table)
        times = None if clock is None else times_of(table, clock)
        layout = place.layout or self._planner.layout(table.dtypes)
        _check_layout(layout, table.dtypes)
        names = [name for name, _ in layout]
        frame = table.to_polars(names).select(names)
        return replace(place, key=key, layout=layout), frame, times

    def _ready(self, place: _Place) -> tuple[Carrier, Carried]:
        if self._carrier is not None:
            return self._carrier, place.carried
        carrier = self._make_carrier(place.key, place.layout or ())
        return carrier, carrier.start(is_complete=place.carried.is_complete)

    def _make_carrier(self, key: SeriesKey, layout: Layout) -> Carrier:
        plan = self._planner.plan(layout, key.symbol, key.threshold_decimal_bps)
        return Carrier(self._settings, layout, plan)

    def _result(
        self,
        table: BarTable,
        run: SeriesRun | None,
        outcomes: Sequence[ProviderOutcome],
        before: int,
    ) -> pa.Table:
        """Return the caller's columns and every declared one; warm-up counts from the start."""
        key = self._place.key if run is None else run.key
        split = SeriesSplit((key,), np.array([0, table.height], dtype=np.int64))
        columns = () if run is None else self._planner.columns
        values = {name: [run.values(name, table.height)] for name in columns if run is not None}
        features = feature_columns(self._planner.declarations, outcomes, values, split, [before])
        return EnrichmentResult(table, features, outcomes, (key,)).table

    def snapshot(self) -> bytes:
        """Return all that is carried, as bytes: MessagePack with Arrow IPC inside, no pickle."""
        place = self._place
        made = Snapshot(place.key, place.layout, place.carried, place.seam, place.gaps)
        return made.to_bytes(self._planner)

    def restore(self, snapshot: bytes) -> None:
        """Go on from a snapshot of the same series, providers and versions.

        Raises:
            HistoryError: The bytes are no snapshot, or one of another series, of other providers,
                versions or columns, or of another version of the engine or of Polars.
        """
        with self._lock:
            parts = read_snapshot(snapshot, self._planner, self._given)
            carrier, carried = None, parts.carried
            if parts.layout is not None:
                carrier = self._make_carrier(parts.key, parts.layout)
                carried = carrier.resume(carried, parts.states)
            self._carrier = carrier
            self._place = _Place(parts.key, parts.layout, carried, parts.seam, parts.gaps)


def _same_key(place: _Place, found: Sequence[SeriesKey]) -> SeriesKey:
    """Return the key of a live series, with what its first bars tell of it."""
    if len(found) > 1:
        msg = message(
            f"{len(found)} series in one push:",
            [str(key) for key in found],
            "push each to an enricher of its own, or walk them with Enricher.iter_batches().",
        )
        raise SeriesConflictError(msg)
    key, new = place.key, found[0]
    known = [one is not None and other is not None for one, other in zip(key, new, strict=True)]
    if any(both and a != b for both, a, b in zip(known, key, new, strict=True)):
        msg = message(
            f"The bars are of {new}, and this is the enricher of {key}.",
            hint="make an enricher for each series.",
        )
        raise SeriesConflictError(msg)
    if place.carried.rows:
        return key
    return SeriesKey._make(a if a is not None else b for a, b in zip(key, new, strict=True))


def _check_layout(layout: Layout, dtypes: Mapping[str, pl.DataType]) -> None:
    wrong = [
        f"'{name}': got {dtypes.get(name, 'nothing')}, expected {dtype}"
        for name, dtype in layout
        if dtypes.get(name) != dtype
    ]
    if wrong:
        msg = message(
            f"{len(wrong)} column(s) differ from the bars before:",
            wrong,
            "push bars of one layout; start anew for another.",
        )
        raise BarColumnError(msg)


def _joined(
    place: _Place, clock: str | None, frame: pl.DataFrame, times: Times | None
) -> tuple[_Place, str]:
    """Return the place behind the seam, and the gap that is worth telling of."""
    if clock is not None and times is not None:
        place.seam.check(place.key, clock, frame, times)
    count, gap = place.seam.gaps(frame)
    streak = place.streak + 1 if count else 0
    if count > 1:
        gap = f"{gap}; {count} gaps in this push"
    seam = place.seam.after(frame, times)
    made = replace(place, seam=seam, gaps=place.gaps + count, streak=streak)
    return made, gap if streak <= _MOST_GAPS_TOLD else ""
