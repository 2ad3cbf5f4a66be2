"""Walks: bars that one live enricher takes in time order, and which of them are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rangebar_enrich.clickhouse.worklist import Run

if TYPE_CHECKING:
    from rangebar_enrich.engine import Enricher


@dataclass(frozen=True, slots=True)
class Walk:
    """Bars that one live enricher takes in time order.

    Attributes:
        enricher: What computes.
        live: It, where the walk begins.
        first_ms: Close time of the first bar to push, or `None` for the first of the series.
        last_ms: Close time of the last bar to push, or `None` for the last of the series.
        before_ms: Close time of the bar before it, 0 for none, `None` where nobody knows.
        runs: What to write, by provider.
    """

    enricher: Enricher
    live: Any
    first_ms: int | None
    last_ms: int | None
    before_ms: int | None
    runs: Mapping[str, Sequence[Run]]


def inside(times: npt.NDArray[np.int64], runs: Sequence[Run]) -> npt.NDArray[np.bool_]:
    """Return which of sorted times lie in any of the runs, which are sorted too."""
    mask = np.zeros(len(times), dtype=bool)
    for run in runs:
        first, last = np.searchsorted(times, [run.first_ms, run.last_ms + 1])
        mask[first:last] = True
    return mask


def cut(
    runs: Mapping[str, Sequence[Run]], first_ms: int | None, last_ms: int | None
) -> dict[str, list[Run]]:
    """Return what of the runs lies between two times, both inclusive."""
    found: dict[str, list[Run]] = {}
    for name, some in runs.items():
        kept = [_clipped(run, first_ms, last_ms) for run in some]
        kept = [run for run in kept if run.first_ms <= run.last_ms]
        if kept:
            found[name] = kept
    return found


def _clipped(run: Run, first_ms: int | None, last_ms: int | None) -> Run:
    first = run.first_ms if first_ms is None else max(run.first_ms, first_ms)
    last = run.last_ms if last_ms is None else min(run.last_ms, last_ms)
    return replace(run, first_ms=first, last_ms=last)


def spans(runs: Mapping[str, Sequence[Run]]) -> list[tuple[int, int]]:
    """Return the times that runs cover together, as spans that do not touch."""
    spans: list[tuple[int, int]] = []
    for first, last in sorted((r.first_ms, r.last_ms) for some in runs.values() for r in some):
        if spans and first <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(last, spans[-1][1])
        else:
            spans.append((first, last))
    return spans
