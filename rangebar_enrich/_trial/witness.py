"""The proof of look-ahead: a small table on which an earlier row changes when later ones come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import polars as pl

Compute = Callable[[Sequence[pl.DataFrame]], Sequence[Any]]
"""From tables to what comes of each, `None` where it fails."""
Change = tuple[int, Any, Any]
"""The first row of a part that differs from the whole, and its value in either."""
Compare = Callable[[Any, Any], Change | None]
"""From what comes of a part and of the whole to the first change."""


@dataclass(frozen=True, slots=True)
class Witness:
    """A small table on which an earlier row changes: the proof of look-ahead.

    Attributes:
        column: Name of the expression's output, as it was given.
        frame: All rows, only the columns that the expression reads.
        other: A table that agrees with `frame` on the first `cut` rows and differs, or ends, after them.
        cut: Number of rows that both tables share.
        row: A row below `cut` whose value differs all the same, counted from 0.
        before: Its value in `other`, when the later rows had not come.
        after: Its value in `frame`.
    """

    column: str
    frame: pl.DataFrame
    other: pl.DataFrame
    cut: int
    row: int
    before: Any
    after: Any

    @property
    def ahead(self) -> int:
        """How many rows after `row` decide on its value, at least."""
        return max(self.cut - self.row, 1)

    @property
    def is_prefix(self) -> bool:
        """Whether `other` ends at the cut."""
        return self.other.height == self.cut

    def __str__(self) -> str:
        """Show the row and both its values."""
        if self.is_prefix:
            return (
                f"row {self.row} is {_show(self.before)} while the table ends at row {self.cut - 1}, "
                f"and {_show(self.after)} once {self._later} come"
            )
        return (
            f"row {self.row} is {_show(self.before)} or {_show(self.after)}, "
            f"depending on what {self._later} brought"
        )

    @property
    def _later(self) -> str:
        last = self.frame.height - 1
        return f"row {last} has" if last == self.cut else f"rows {self.cut} to {last} have"

    def cut_at(self, frame: pl.DataFrame, cut: int, change: Change) -> Witness:
        """Return the witness on another frame, whose part ends at the cut."""
        row, before, after = change
        return replace(
            self, frame=frame, other=frame.head(cut), cut=cut, row=row, before=before, after=after
        )


def _show(value: Any) -> str:
    if value is None:
        return "null"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def growing(
    frame: pl.DataFrame, heights: range, compute: Compute, compare: Compare
) -> list[tuple[int, int, Change]]:
    """Return each height at which more rows change an earlier one, the height before, and that row."""
    made = compute([frame.head(height) for height in heights])
    known = [(height, one) for height, one in zip(heights, made, strict=True) if one is not None]
    changes = (
        (height, before, compare(part, whole))
        for (before, part), (height, whole) in pairwise(known)
    )
    return [(height, before, change) for height, before, change in changes if change is not None]


def shrink(witness: Witness, heights: range, compute: Compute, compare: Compare) -> Witness:
    """Find few rows that show the same.

    Args:
        witness: What was found.
        heights: Heights to try first: where one row more changes an earlier row, the frame ends.
        compute: Computes tables.
        compare: Compares what comes of a part with what comes of the whole.

    Returns:
        A witness that ends at its cut, where there is one, with rows taken away before and after it.
    """
    grown = growing(witness.frame, heights, compute, compare)
    if grown:
        height, cut, change = grown[0]
        start = witness.cut_at(witness.frame.head(height), cut, change)
    else:
        found = _as_prefix(witness, compute, compare)
        if found is None:
            return witness
        start = found
    return _halved(start, compute, compare)


def _as_prefix(witness: Witness, compute: Compute, compare: Compare) -> Witness | None:
    # NOTE: where the future was replaced, one of both futures differs from none at all.
    for whole in (witness.frame, witness.other):
        if whole.height > witness.cut:
            change = _pair(whole, witness.cut, compute, compare)
            if change is not None:
                return witness.cut_at(whole, witness.cut, change)
    return None


def _pair(frame: pl.DataFrame, cut: int, compute: Compute, compare: Compare) -> Change | None:
    part, whole = compute([frame.head(cut), frame])
    return None if part is None or whole is None else compare(part, whole)


def _halved(witness: Witness, compute: Compute, compare: Compare) -> Witness:
    """Take half of the rows away wherever that still shows it, then a quarter, and so on."""
    drop = witness.frame.height // 2
    while drop:
        for frame, cut in _smaller(witness.frame, witness.cut, drop):
            change = _pair(frame, cut, compute, compare)
            if change is not None:
                witness = witness.cut_at(frame, cut, change)
                break
        else:
            drop //= 2
    return witness


def _smaller(frame: pl.DataFrame, cut: int, drop: int) -> Iterator[tuple[pl.DataFrame, int]]:
    """Yield frames with `drop` rows less: behind the cut, and at the front."""
    if frame.height - drop > cut:
        yield frame.head(frame.height - drop), cut
    if cut - drop >= 1:
        yield frame.slice(drop), cut - drop
