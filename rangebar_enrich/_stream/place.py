"""A place in a series: what its next bars go on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from rangebar_enrich._bars.continuity import Watermark
from rangebar_enrich._recursion import State


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a series; immutable, so that bars that are refused change nothing.

    Attributes:
        rows: Bars so far.
        is_complete: Whether the first of them was the first of the series.
        mark: The last of them, where the next ones join.
        gaps: Gaps so far: bars that begin later than the bar before them ended.
        streak: How many of the last tables, one after the other, had any.
        context: The last bars, as far as windows reach; `None` before the first.
        states: What recursive providers go on from.
        broken: Recursive providers that failed once, and how: their state is lost.
    """

    rows: int = 0
    is_complete: bool = True
    mark: Watermark = field(default_factory=Watermark)
    gaps: int = 0
    streak: int = 0
    context: pl.DataFrame | None = None
    states: Mapping[str, State] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)

    def behind(self, rows: int, mark: Watermark, gaps: int) -> Place:
        """Return the place behind some more bars, as far as no feature has a say in it."""
        return replace(
            self,
            rows=self.rows + rows,
            mark=mark,
            gaps=self.gaps + gaps,
            streak=self.streak + 1 if gaps else 0,
        )
