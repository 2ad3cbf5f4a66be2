"""Bar by bar: features of new bars, with the state of each series carried along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from threading import RLock
from typing import Any

import pyarrow as pa

from rangebar_enrich._bars.containers import read_bars
from rangebar_enrich._bars.continuity import Break
from rangebar_enrich._bars.relabel import Relabel
from rangebar_enrich._bars.series import SeriesKey, SeriesSplit, split_series
from rangebar_enrich._bars.table import BarTable
from rangebar_enrich._run.events import OnGap, outcomes_of
from rangebar_enrich._run.process import check_process
from rangebar_enrich._run.result import ProviderOutcome
from rangebar_enrich._run.settings import Settings
from rangebar_enrich._stream.place import Place
from rangebar_enrich._stream.snapshot import Snapshot, read_snapshot, write_snapshot
from rangebar_enrich._stream.stream import Stream
from rangebar_enrich.errors import HistoryError, SeriesConflictError, message


@dataclass(frozen=True, slots=True)
class LiveSeries:
    """Where one series of a live enricher stands.

    Attributes:
        bars_seen: Its bars so far, history included.
        gaps: Its gaps so far.
        context_bars: Earlier bars of it that are carried along.
        outcomes: What became of each provider in the last push with bars of it.
    """

    bars_seen: int
    gaps: int
    context_bars: int
    outcomes: tuple[ProviderOutcome, ...]


class LiveEnricher:
    """Features of series, computed as their bars come; made by `Enricher.live`.

    With a symbol it is one series, and without any number of them. What is carried of each is
    constant in size: the bars that windows reach, the states of recursive features, and a few
    numbers. A push that raises changes nothing. Pushes from several threads take turns.

    Attributes:
        outcomes: What became of each provider in the last push.
    """

    def __init__(
        self,
        settings: Settings,
        key: SeriesKey,
        *,
        on_gap: OnGap = "warn",
        relabel: Relabel | None = None,
    ) -> None:
        self._relabel = relabel
        self._settings, self._given, self._on_gap = settings, key, on_gap
        self._start = Place()
        self._stream = self._new_stream()
        self._faults: dict[SeriesKey, tuple[ProviderOutcome, ...]] = {}
        self._lock = RLock()
        self.outcomes: tuple[ProviderOutcome, ...] = ()

    def _new_stream(self) -> Stream:
        return Stream(self._settings, _refusal, on_gap=self._on_gap, noun="this push")

    @property
    def bars_seen(self) -> int:
        """Bars so far, history included."""
        with self._lock:
            return sum(place.rows for place in self._stream.places.values())

    @property
    def gaps(self) -> int:
        """Gaps so far: bars that begin later than the bar before them ended."""
        with self._lock:
            return sum(place.gaps for place in self._stream.places.values())

    @property
    def context_bars(self) -> int:
        """Earlier bars that are carried along."""
        with self._lock:
            return sum(map(_context_bars, self._stream.places.values()))

    @property
    def series(self) -> Mapping[SeriesKey, LiveSeries]:
        """Where each series stands, in the order in which they came."""
        with self._lock:
            good = outcomes_of(self._settings, [])
            return {
                key: LiveSeries(
                    place.rows, place.gaps, _context_bars(place), self._faults.get(key, good)
                )
                for key, place in self._stream.places.items()
            }

    def push(self, bars: Any) -> pa.Table:
        """Compute the features of new bars.

        Args:
            bars: One or more bars that follow those pushed before, in any eager kind. Those of
                several series may stand in any order that keeps each in time order.

        Returns:
            The new rows only, as they were given: the caller's columns and one float64 column for
            each feature. `outcomes` says what became of each provider.

        Raises:
            BarOrderError: A bar is earlier than one before it, or one of the last is repeated.
            BarGapError: `on_gap="raise"`, and bars are missing.
            BarColumnError: A column that is read is missing, or does not fit its dtype before.
            SeriesConflictError: The bars are of another series, or of several.
            ProviderError: `on_error="raise"` and a provider failed.
        """
        check_process()
        table = self._read(bars)
        with self._lock:
            arrival = self._stream.push(table, self._split(table), self._start)
            if arrival.outcomes:
                self.outcomes = arrival.outcomes
            for run in arrival.runs:
                self._faults.pop(run.key, None)
                if run.has_failed:
                    self._faults[run.key] = outcomes_of(self._settings, [run])
        # NOTE: outside the lock, since a callback may well wait for another thread that pushes.
        return self._stream.finish(table, arrival).table

    def absorb(self, history: Any, *, is_complete: bool) -> None:
        """Take earlier bars as the past of the series, without their features.

        Args:
            history: The earlier bars, in any eager kind.
            is_complete: Each series starts with them; one that they lack starts later.

        Raises:
            HistoryError: Bars were pushed already.
            BarsError: The bars break a rule.
        """
        check_process()
        table = self._read(history)
        with self._lock:
            if self._stream.places:
                msg = "History comes before the first push."
                raise HistoryError(msg)
            start = Place(is_complete=is_complete)
            if table.height:
                self._stream.absorb(table, self._split(table), start)
            self._start = start

    def _read(self, bars: Any) -> BarTable:
        table = read_bars(bars)
        return table if self._relabel is None else self._relabel.bars(table)

    def _split(self, table: BarTable) -> SeriesSplit:
        symbol, threshold, _ = self._given
        split = split_series(table, symbol=symbol, threshold_decimal_bps=threshold)
        if not split.starts[-1]:
            return split
        return replace(split, keys=self._keys(split.keys))

    def _keys(self, found: Sequence[SeriesKey]) -> tuple[SeriesKey, ...]:
        """Return which series new bars are of, with what was said when this one was made."""
        known = list(self._stream.places)
        is_single = self._given.symbol is not None
        if is_single and len(found) > 1:
            msg = message(
                f"{len(found)} series in one push:",
                [str(key) for key in found],
                "push each to an enricher of its own, or all to one that was made without a symbol.",
            )
            raise SeriesConflictError(msg)
        if len(known) == len(found) == 1 and (is_single or _are_alike(known[0], found[0])):
            _check_alike(known[0], found[0])
            return (known[0],)
        for key in found:
            _check_alike(self._given, key)
        return tuple(_filled(self._given, key) for key in found)

    def __getstate__(self) -> tuple[Any, ...]:
        """Pickle a snapshot, and what is not in it."""
        with self._lock:
            made = (self._settings, self._given, self._on_gap, self._relabel)
            return (*made, self.snapshot(), self.outcomes, dict(self._faults))

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Go on from what `__getstate__` gave."""
        settings, given, on_gap, relabel, snapshot, outcomes, faults = state
        self.__init__(settings, given, on_gap=on_gap, relabel=relabel)  # type: ignore[misc]
        self.restore(snapshot)
        self.outcomes, self._faults = outcomes, faults

    def snapshot(self) -> bytes:
        """Return all that is carried, as bytes: MessagePack with Arrow IPC inside, no pickle."""
        with self._lock:
            made = Snapshot(self._given, self._start, self._stream.layout, self._stream.places)
            return write_snapshot(made, self._settings.declarations)

    def restore(self, snapshot: bytes) -> None:
        """Go on from a snapshot of the same series, providers and versions.

        Raises:
            HistoryError: The bytes are no snapshot, or one of other series, of other providers,
                versions or columns, or of another version of the engine or of Polars.
        """
        with self._lock:
            stream = self._new_stream()
            parts = read_snapshot(snapshot, self._settings.declarations, self._given, stream.view)
            stream.resume(parts.layout, parts.places)
            self._given = _filled(self._given, parts.given)
            self._start, self._stream = parts.start, stream
            self._faults.clear()


def _context_bars(place: Place) -> int:
    return 0 if place.context is None else place.context.height


def _refusal(found: Break) -> str:
    what = "is one of the last bars again" if found.is_repeat else "is earlier than the last one"
    return message(
        f"A bar pushed to {found.key} {what}: '{found.clock}' {found.time} after {found.last}.",
        hint="push each bar once, in time order.",
    )


def _filled(key: SeriesKey, new: SeriesKey) -> SeriesKey:
    return SeriesKey._make(a if a is not None else b for a, b in zip(key, new, strict=True))


def _are_alike(key: SeriesKey, new: SeriesKey) -> bool:
    """Return whether two keys may name one series: what only one side knows is no difference."""
    return all(a is None or b is None or a == b for a, b in zip(key, new, strict=True))


def _check_alike(key: SeriesKey, new: SeriesKey) -> None:
    if not _are_alike(key, new):
        msg = message(
            f"The bars are of {new}, and this is the enricher of {key}.",
            hint="make an enricher for each series, or one without a symbol.",
        )
        raise SeriesConflictError(msg)
