"""Bar by bar: features of new bars, with the state of the series carried along."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from rangebar_enrich.bars.containers import BarTable, PolarsBars, read_bars
from rangebar_enrich.bars.feature import FeatureColumn, feature_array, prefix_bitmap
from rangebar_enrich.bars.names import MODE, OHLCV, TIME_UNITS, TIMESTAMP
from rangebar_enrich.bars.series import SeriesKey, check_order, split_series, time_column
from rangebar_enrich.carry import Carried, Carrier
from rangebar_enrich.declaration import Rejection
from rangebar_enrich.errors import (
    BarColumnError,
    BarOrderError,
    HistoryError,
    SeriesConflictError,
    message,
)
from rangebar_enrich.outcome import EnrichmentResult, ProviderOutcome, feature_field
from rangebar_enrich.planner import Layout, Planner
from rangebar_enrich.report import Reporter, outcomes_of
from rangebar_enrich.series_run import SeriesRun
from rangebar_enrich.snapshot import Snapshot, read_snapshot

logger = logging.getLogger(__name__)


class LiveEnricher:
    """Features of one series, computed as its bars come; made by `Enricher.live`.

    What is carried is constant in size: the bars that windows reach, the states of recursive
    features, and a counter. A push that raises changes nothing. Pushes from several threads
    take turns.
    """

    def __init__(
        self,
        planner: Planner,
        rejections: Sequence[Rejection],
        key: SeriesKey,
        *,
        raises: bool,
        suspects: set[str],
    ) -> None:
        self._planner, self._rejections, self._key = planner, rejections, key
        self._reporter = Reporter(planner.declarations, rejections)
        self._raises, self._suspects = raises, suspects
        self._layout: Layout | None = None
        self._carrier: Carrier | None = None
        self._carried = Carried()
        self._last: pl.DataFrame | None = None
        self._told: dict[str, str | None] = {}
        self._gaps = 0
        self._lock = Lock()
        self.outcomes: tuple[ProviderOutcome, ...] = ()

    @property
    def bars_seen(self) -> int:
        """Bars so far, history included."""
        return self._carried.rows

    @property
    def gaps(self) -> int:
        """Gaps so far: bars that open later than the bar before them closed."""
        return self._gaps

    @property
    def context_bars(self) -> int:
        """Earlier bars that are carried along."""
        return 0 if self._carried.context is None else self._carried.context.height

    def push(self, bars: Any) -> pa.Table:
        """Compute the features of new bars.

        Args:
            bars: One or more bars that follow those pushed before, in any eager kind.

        Returns:
            The new rows only: the caller's columns and one float64 column for each feature.
            `outcomes` says what became of each provider.

        Raises:
            BarOrderError: A bar is earlier than one before it, or the last bar is repeated.
            BarColumnError: A column is missing or has another dtype than before.
            SeriesConflictError: The bars are of another series, or of several.
            ProviderError: `on_error="raise"` and a provider failed.
        """
        table = read_bars(bars)
        with self._lock:
            if not table.height:
                runs: list[SeriesRun] = []
                outcomes = outcomes_of(self._planner.declarations, self._rejections, runs)
                return EnrichmentResult(table, self._features(table, None, outcomes), ()).table
            return self._push(table)

    def _push(self, table: BarTable) -> pa.Table:
        frame = self._accept(table)
        carrier = self._ready(frame)
        before = self._carried.rows
        run, after = carrier.advance(self._carried, frame)
        outcomes = outcomes_of(self._planner.declarations, self._rejections, [run])
        self._report(run, outcomes, table.height)
        self._carried, self._last, self.outcomes = after, _last_bar(frame), outcomes
        features = self._features(table, run, outcomes, before)
        return EnrichmentResult(table, features, outcomes).table

    def absorb(self, history: Any, *, is_complete: bool) -> None:
        """Take earlier bars as the past of the series; before the first push.

        Raises:
            HistoryError: Bars were pushed already.
            BarsError: The bars break a rule.
        """
        table = read_bars(history)
        with self._lock:
            if self._carried.rows:
                msg = "History comes before the first push."
                raise HistoryError(msg)
            self._carried = replace(self._carried, is_complete=is_complete)
            if table.height:
                frame = self._accept(table)
                _, self._carried = self._ready(frame).advance(self._carried, frame)
                self._last = _last_bar(frame)

    def _accept(self, table: BarTable) -> pl.DataFrame:
        """Check that bars follow those before, and return the columns that providers may read."""
        symbol, threshold, _ = self._key
        split = split_series(table, symbol=symbol, threshold_decimal_bps=threshold)
        if len(split.keys) > 1:
            listed = [str(key) for key in split.keys]
            msg = message(f"{len(listed)} series in one push:", listed, "push each on its own.")
            raise SeriesConflictError(msg)
        found = split.keys[0]
        if self._key.symbol is None and self._key.threshold_decimal_bps is None:
            self._key = found._replace(ouroboros_mode=self._key.ouroboros_mode)
        if self._key.ouroboros_mode not in {None, found.ouroboros_mode}:
            msg = f"Column '{MODE}' says {found.ouroboros_mode!r}, but the series is {self._key}."
            raise SeriesConflictError(msg)
        check_order(table, split)
        layout = self._planner.layout(table.dtypes)
        if self._layout is None:
            self._layout = layout
        _check_layout(self._layout, table.dtypes)
        frame = table.to_polars([name for name, _ in self._layout])
        frame = frame.select([name for name, _ in self._layout])
        self._check_junction(frame)
        return frame

    def _ready(self, frame: pl.DataFrame) -> Carrier:
        if self._carrier is None:
            layout = self._layout or tuple(frame.schema.items())
            self._carrier = Carrier(self._planner, layout, self._key, self._suspects)
            self._carried = replace(
                self._carrier.start(is_complete=self._carried.is_complete), rows=0
            )
        return self._carrier

    def _check_junction(self, frame: pl.DataFrame) -> None:
        """Refuse bars before the last one, and the last one again; announce gaps."""
        clock = time_column(PolarsBars(frame.clear()))
        if clock is None:
            return
        if self._last is not None:
            old, new = self._last[clock].to_physical()[0], frame[clock].to_physical()[0]
            if new < old or (new == old and _first_bar(frame).equals(self._last)):
                what = "is the last bar again" if new == old else "is earlier than the last one"
                msg = message(
                    f"The first bar pushed to {self._key} {what}: '{clock}' {new} after {old}.",
                    hint="push each bar once, in time order.",
                )
                raise BarOrderError(msg)
        self._count_gaps(frame)

    def _count_gaps(self, frame: pl.DataFrame) -> None:
        opens, closes = _interval_columns(frame.columns)
        if opens is None or closes is None:
            return
        joined = (
            frame
            if self._last is None
            else pl.concat([self._last.select(opens, closes), frame.select(opens, closes)])
        )
        found = (joined[opens].slice(1) > joined[closes].head(joined.height - 1)).arg_true()
        if len(found):
            self._gaps += len(found)
            row = int(found[0])
            logger.warning(
                "gap in %s: a bar opens at %s, the bar before it closed at %s%s",
                self._key,
                joined[opens][row + 1],
                joined[closes][row],
                f" ({len(found)} gaps in this push)" if len(found) > 1 else "",
            )

    def _features(
        self,
        table: BarTable,
        run: SeriesRun | None,
        outcomes: Sequence[ProviderOutcome],
        before: int = 0,
    ) -> list[FeatureColumn]:
        """Return every declared column of the new rows; warm-up is counted from the start."""
        height = table.height
        made = []
        for declaration, outcome in zip(self._planner.declarations, outcomes, strict=False):
            for column, rows in declaration.warm_up.items():
                values = None if run is None else run.columns.get(column)
                if values is None or declaration.name in (run.failures if run else ()):
                    values = pl.Series(column, pa.nulls(height, pa.float64()))
                masked = min(max(rows - before, 0), height)
                array = feature_array([values], [prefix_bitmap(height, masked)])
                made.append(FeatureColumn(feature_field(column, outcome), array))
        return made

    def _report(self, run: SeriesRun, outcomes: Sequence[ProviderOutcome], height: int) -> None:
        """Log what is new among the failures, announce all, raise if that was asked for."""
        news = [one for one in outcomes if self._told.get(one.provider) != one.error]
        self._told = {one.provider: one.error for one in outcomes}
        self._reporter.log(news)
        self._reporter.announce([self._key], [run], outcomes, height)
        if self._raises:
            for error in run.failures.values():
                raise error

    def snapshot(self) -> bytes:
        """Return all that is carried, as bytes: MessagePack with Arrow IPC inside, no pickle."""
        with self._lock:
            made = Snapshot(self._key, self._layout, self._carried, self._last, self._gaps)
            return made.to_bytes(self._planner)

    def restore(self, snapshot: bytes) -> None:
        """Go on from a snapshot of the same series, providers and versions.

        Raises:
            HistoryError: The bytes are no snapshot, or one of another series, of other providers,
                versions or columns, or of another version of the engine or of Polars.
        """
        parts = read_snapshot(snapshot, self._planner, self._key)
        with self._lock:
            carrier = None
            if parts.layout is not None:
                carrier = Carrier(self._planner, parts.layout, parts.key, self._suspects)
                parts.carried = carrier.resume(parts.carried, parts.states)
            self._key, self._layout, self._carrier = parts.key, parts.layout, carrier
            self._carried, self._last, self._gaps = parts.carried, parts.last, parts.gaps


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


def _first_bar(frame: pl.DataFrame) -> pl.DataFrame:
    names = [name for name in (*TIME_UNITS, TIMESTAMP, *OHLCV) if name in frame.columns]
    return frame.select(names).head(1)


def _last_bar(frame: pl.DataFrame) -> pl.DataFrame:
    last = _first_bar(frame.tail(1))
    return last[np.zeros(1, dtype=np.int64)]


def _interval_columns(names: Sequence[str]) -> tuple[str | None, str | None]:
    for opens, closes in (("open_time", "close_time"), ("open_time_ms", "close_time_ms")):
        if opens in names and closes in names:
            return opens, closes
    return None, None
