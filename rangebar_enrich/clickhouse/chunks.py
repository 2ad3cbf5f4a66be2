"""Rows cut into what one insert carries: one partition, a bounded number of rows.

One insert of one partition is one block: after a crash it is there as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from itertools import pairwise

import numpy as np
import numpy.typing as npt

CHUNK_ROWS = 250_000
"""Most rows of one insert; 100k to 500k measured best."""


def chunk_bounds(
    times_ms: npt.NDArray[np.int64], zone: tzinfo = UTC, *, rows: int = CHUNK_ROWS
) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of each chunk of one series.

    Args:
        times_ms: Close times, increasing.
        zone: Time zone in which the table cuts months.
        rows: Most rows of a chunk.
    """
    if not len(times_ms):
        return
    edges = np.searchsorted(times_ms, _month_starts(int(times_ms[0]), int(times_ms[-1]), zone))
    bounds = sorted({0, len(times_ms), *edges.tolist()})
    for start, stop in pairwise(bounds):
        for first in range(start, stop, rows):
            yield first, min(first + rows, stop)


def _month_starts(first_ms: int, last_ms: int, zone: tzinfo) -> list[int]:
    """Return the month starts after `first_ms`, up to `last_ms`, in ms."""
    month = datetime.fromtimestamp(first_ms / 1000, zone)
    year, number = month.year, month.month
    starts: list[int] = []
    while not starts or starts[-1] <= last_ms:
        year, number = (year + 1, 1) if number == 12 else (year, number + 1)
        starts.append(int(datetime(year, number, 1, tzinfo=zone).timestamp() * 1000))
    return starts
