"""Look-ahead at any row of a long series, with few runs: change rows far apart, and look before each.

A cut shows only what the rows right before it read, so what looks ahead at few rows alone (at one
price, in one quarter of an hour) would need a cut at each. Where a value is fixed by few earlier
bars, many rows can be changed in one run: what follows a changed row is forgotten before the next
one, and a value that changes right before it had no cause but what comes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import polars as pl

from rangebar_enrich._trial.comparison import RELATIVE, Mask, Values, differing
from rangebar_enrich._trial.futures import change_rows
from rangebar_enrich.conformance.subject import Subject

_LEAST_SPAN = 40
_LOOKED_AT = 8
"""Rows before a changed one that are looked at."""
_MOST_OF_A_COLUMN = 4


def suspicious_cuts(
    subject: Subject, bars: pl.DataFrame, columns: Collection[str]
) -> Iterator[tuple[str, int]]:
    """Yield columns, and the row at which a change may have changed an earlier one.

    Nothing comes of a column that never forgets, nor of a window longer than any that is known of.

    Args:
        subject: The provider.
        bars: One series.
        columns: Which of its columns to look at.
    """
    step = max(subject.span, _LEAST_SPAN) + _LOOKED_AT
    before = subject.one(bars)
    if isinstance(before, BaseException) or 2 * step > bars.height:
        return
    starts = [np.arange(start, bars.height, step) for start in range(step)]
    frames = [change_rows(bars, rows, subject.recipe.clocks) for rows in starts]
    found: dict[str, list[int]] = {column: [] for column in columns}
    for rows, after in zip(starts, subject.values(frames), strict=True):
        if isinstance(after, BaseException) or len(after) != len(before):
            continue
        changed = _changed(before, after)
        for column, cuts in found.items():
            cuts.extend(_before_changed(changed[:, subject.columns.index(column)], rows))
    for column, cuts in found.items():
        yield from ((column, cut) for cut in sorted(cuts)[:_MOST_OF_A_COLUMN])


def _changed(before: Values, after: Values) -> Mask:
    # NOTE: each value by its own size, for prices here have every magnitude. What is rounding
    # after all is found out by a cut.
    with np.errstate(invalid="ignore"):
        sizes = np.fmax(np.abs(before), np.abs(after))
    return differing(before, after, RELATIVE * sizes)


def _before_changed(changed: Mask, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[int]:
    """Return the changed rows before which another one changed, after some that had not."""
    found = []
    for last, row in zip([-1, *rows[:-1].tolist()], rows.tolist(), strict=True):
        between = changed[last + 1 : row]
        near = between[-_LOOKED_AT + 1 :]
        forgotten = ~between[: len(between) - len(near)]
        if near.any() and (last < 0 or forgotten.any() or not near.all()):
            found.append(row)
    return found
