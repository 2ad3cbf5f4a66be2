"""Enrich table after table, each series going on from where it stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from rangebar_enrich._bars.containers import ArrowBars
from rangebar_enrich._bars.continuity import Break, Gaps
from rangebar_enrich._bars.relabel import Relabel
from rangebar_enrich._bars.series import SeriesKey, split_series
from rangebar_enrich._bars.table import BarTable
from rangebar_enrich._run.events import OnGap, outcomes_of
from rangebar_enrich._run.process import check_process
from rangebar_enrich._run.result import ProviderOutcome
from rangebar_enrich._run.settings import Settings
from rangebar_enrich._stream.stream import Stream
from rangebar_enrich.errors import BarOrderError, message


@dataclass(slots=True)
class _Tally:
    """What became of one provider over all batches.

    Attributes:
        total: The outcome over the batches so far.
        failed: Batches in which not all was computed.
        first: What `total` was made from: the outcome of the first of them.
        row: The first row of that batch.
        series: The series in which it failed.
        short_rows: Bars without its values for want of history.
    """

    total: ProviderOutcome
    failed: int = 0
    first: ProviderOutcome | None = None
    row: int = 0
    series: dict[SeriesKey, None] = field(default_factory=dict)
    short_rows: int = 0

    def add(self, outcome: ProviderOutcome, keys: Sequence[SeriesKey], row: int) -> None:
        """Note what became of the provider in the batch that begins at a row."""
        if not outcome.ok and outcome.columns:
            self.failed += 1
            self.series |= dict.fromkeys(outcome.failed_series or keys)
            self.short_rows += outcome.short_rows
            if self.first is None:
                self.first, self.row = outcome, row

    def sum_up(self, batches: int) -> None:
        """Make the outcome over all batches so far."""
        first = self.first
        if first is None or batches == 1:
            self.total = first or self.total
            return
        error = (
            f"in {self.failed} of {batches} batches, the first from row {self.row} on:"
            f" {first.error}"
        )
        total = replace(first, error=error, short_rows=self.short_rows)
        if self.failed < batches or first.status == "partial":
            total = replace(total, status="partial", failed_series=tuple(self.series))
        self.total = total


class BatchWalk(Iterator[pa.Table]):
    """Tables with their features, one after the other; made by `Enricher.iter_batches`.

    Every series starts with its first bar, and goes on from table to table.

    Args:
        tables: The bars, in tables of one schema.
        settings: The providers, and how to run them.
        symbol: Symbol of all bars, or `None`.
        threshold_decimal_bps: Threshold of all bars, or `None`.
        on_gap: What to do where bars are missing between others.
        relabel: Gives every table another label than it has.

    Attributes:
        rows: Bars so far.
        gaps: Bars so far that begin later than the bar before them ended; rows are counted
            from the first table on.
    """

    def __init__(
        self,
        tables: Iterator[pa.Table],
        settings: Settings,
        *,
        symbol: str | None,
        threshold_decimal_bps: int | None,
        on_gap: OnGap = "warn",
        relabel: Relabel | None = None,
    ) -> None:
        self._tables, self._symbol, self._threshold = tables, symbol, threshold_decimal_bps
        self._stream = Stream(settings, _refusal, on_gap=on_gap, noun="this batch")
        self._tallies = [_Tally(one) for one in outcomes_of(settings, [])]
        self._batches, self._relabel = 0, relabel
        self.rows, self.gaps = 0, Gaps()

    @property
    def outcomes(self) -> tuple[ProviderOutcome, ...]:
        """What became of each provider in all batches so far, as `Enricher.run` tells it."""
        return tuple(one.total for one in self._tallies)

    def __next__(self) -> pa.Table:
        """Return the next table with its features; rows stay in their order."""
        check_process()
        bars: BarTable = ArrowBars(next(self._tables))
        bars = bars if self._relabel is None else self._relabel.bars(bars)
        try:
            split = split_series(bars, symbol=self._symbol, threshold_decimal_bps=self._threshold)
            arrival = self._stream.push(bars, split)
        except BarOrderError as error:
            msg = f"In the batch from row {self.rows} on: {error}"
            raise BarOrderError(msg) from error
        if bars.height:
            # NOTE: also where a failure raises: whoever goes on does so from behind this batch.
            self._stream.commit(arrival)
        result = self._stream.finish(bars, arrival)
        self._batches += 1
        for tally, outcome in zip(self._tallies, result.outcomes, strict=True):
            tally.add(outcome, split.keys, self.rows)
            tally.sum_up(self._batches)
        self.gaps = self.gaps.plus(result.gaps, self.rows)
        self.rows += bars.height
        return result.table


def _refusal(found: Break) -> str:
    if found.is_repeat:
        return message(
            f"'{found.clock}' {found.time} in row {found.row} of {found.key} is that of one of the"
            " last bars again.",
            hint="give each bar once.",
        )
    return (
        f"Bars are out of time order: '{found.clock}' {found.time} in row {found.row} of"
        f" {found.key} is earlier than {found.last} before it."
    )
