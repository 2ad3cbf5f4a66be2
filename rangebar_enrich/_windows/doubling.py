"""Windows by doubling: pieces of 1, 2, 4, … rows, merged into windows of any length.

Level k of a column holds, for every row, the summary of the 2^k rows that end there; it is made
of two halves of level k - 1. A window is the merge of the levels that the binary digits of its
length name, newest part first: 100 rows are 4, then the 32 before them, then the 64 before those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Piece = tuple[npt.NDArray[np.generic], ...]
"""The summary of a stretch of rows for every place: one array for each of its numbers."""

Merge = Callable[[Piece, Piece, int, int], Piece]
"""Older piece, newer piece, and the rows of each, to the piece of both."""


def windows_of(level: Piece, sizes: Iterable[int], rows: int, merge: Merge) -> dict[int, Piece]:
    """Return the pieces of the windows that end in the last `rows` rows.

    Args:
        level: The column as pieces of one row, arrays of shape (..., n); rows are the last axis.
            At least `rows - 1 + max(sizes)` of them.
        sizes: Lengths of the windows.
        rows: How many rows to give results for.
        merge: Merges two pieces that are next to each other.

    Returns:
        Length to piece, arrays of shape (..., rows).
    """
    made: dict[int, Piece] = {}
    covered = dict.fromkeys(sizes, 0)
    span = 1
    while True:
        end = level[0].shape[-1]
        for size, done in covered.items():
            if size & span:
                stop = end - done
                piece = tuple(part[..., stop - rows : stop] for part in level)
                made[size] = merge(piece, made[size], span, done) if done else piece
                covered[size] = done + span
        if 2 * span > max(covered):
            return made
        older = tuple(part[..., :-span] for part in level)
        newer = tuple(part[..., span:] for part in level)
        level = merge(older, newer, span, span)
        span *= 2


def extremes_of(
    level: npt.NDArray[np.generic], sizes: Sequence[int], rows: int, pick: Callable[..., object]
) -> dict[int, npt.NDArray[np.generic]]:
    """Return the smallest or largest value of the windows that end in the last `rows` rows.

    Two pieces may overlap here, so a window is two pieces of the largest power of two in it.

    Args:
        level: As for `windows_of`, one array.
        sizes: As for `windows_of`.
        rows: As for `windows_of`.
        pick: `np.minimum` or `np.maximum`.
    """
    made: dict[int, npt.NDArray[np.generic]] = {}
    span = 1
    while True:
        end = level.shape[-1]
        for size in sizes:
            if span <= size < 2 * span:
                older = level[..., end - rows - (size - span) : end - (size - span)]
                newer = level[..., end - rows :]
                made[size] = newer if size == span else pick(older, newer)  # type: ignore[assignment]
        if 2 * span > max(sizes):
            return made
        level = pick(level[..., :-span], level[..., span:])  # type: ignore[assignment]
        span *= 2
