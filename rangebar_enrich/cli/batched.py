"""A file enriched batch by batch: read, enriched and written a table at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from rangebar_enrich._bars.batches import read_batches
from rangebar_enrich._bars.containers import read_bars as as_bars
from rangebar_enrich._bars.folders import count_rows, is_typed, reading, size_in_memory
from rangebar_enrich._bars.relabel import Relabel
from rangebar_enrich._run.result import feature_field
from rangebar_enrich.cli.bar_writer import write_tables
from rangebar_enrich.cli.enrichment import Label
from rangebar_enrich.errors import BarsError, HistoryError, message

if TYPE_CHECKING:
    from rangebar_enrich._run.result import ProviderOutcome
    from rangebar_enrich.engine import Enricher

LARGE = 256 * 2**20
"""Bytes of bars from which on a file is enriched batch by batch."""
BATCH_ROWS = 500_000
"""Bars of a batch, where nothing else is asked for."""


def batch_rows(
    enricher: Enricher,
    bars_in: Path,
    wanted: int | None,
    label: Label,
) -> int | None:
    """Return how many bars of a file to enrich at a time, `None` for all at once.

    Args:
        enricher: The providers.
        bars_in: The file.
        wanted: What the user asked for, if anything.
        label: Which series the user says that they are of.

    Raises:
        HistoryError: Batches were asked for, and a provider cannot go on from one to the next.
    """
    # NOTE: a CSV's types are guessed from its beginning, so its batches must be asked for.
    if wanted is None and (not is_typed(bars_in) or size_in_memory(bars_in) < LARGE):
        return None
    with reading(bars_in):
        first = next(read_batches(bars_in, 1))
    if label.relabel:
        first = Relabel(label.symbol, label.threshold).bars(as_bars(first)).to_arrow(())
    stuck = enricher.not_continued(
        first, symbol=label.symbol, threshold_decimal_bps=label.threshold
    )
    if not stuck:
        return wanted or BATCH_ROWS
    text = message(
        f"{len(stuck)} provider(s) cannot go on from batch to batch:",
        [f"'{name}': {reason}" for name, reason in sorted(stuck.items())],
        "declare their 'lookback', or leave --batch-rows out.",
    )
    if wanted is not None:
        raise HistoryError(text)
    head = text.partition("\nHint")[0]
    sys.stderr.write(f"{head}\n{bars_in.name} is enriched in one run, all of it in memory.\n")
    return None


def enrich_file(
    enricher: Enricher,
    bars_in: Path,
    bars_out: Path,
    *,
    rows: int,
    label: Label,
) -> tuple[int, tuple[ProviderOutcome, ...]]:
    """Enrich a file with no more than a few batches of it in memory.

    Args:
        enricher: The providers.
        bars_in: Where from.
        bars_out: Where to; it appears whole or not at all.
        rows: Bars of a batch.
        label: Which series the user says that they are of.

    Returns:
        The number of bars, and what became of each provider.

    Raises:
        BarsError: The bars break a rule, or a file cannot be read or written.
        ProviderError: The enricher raises, and a provider failed.
    """
    walk = enricher.iter_batches(bars_in, rows=rows, **label.arguments)

    def fields() -> dict[str, pa.Field]:
        return {name: feature_field(name, one) for one in walk.outcomes for name in one.columns}

    try:
        write_tables(_watched(walk, count_rows(bars_in)), bars_out, fields)
    except (pa.ArrowException, OSError) as cause:
        text = f"Cannot enrich {bars_in.name!r} into {bars_out.name!r}: {cause}"
        raise BarsError(text) from cause
    return walk.rows, walk.outcomes


def _watched(tables: Iterable[pa.Table], total: int | None) -> Iterator[pa.Table]:
    """Yield tables behind a progress bar, on stderr and only where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield from tables
        return
    count = TextColumn("{task.completed:,.0f} bars")
    with Progress(count, BarColumn(), TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task("", total=total)
        for table in tables:
            yield table
            progress.advance(task, table.num_rows)
