"""What shows a leak best: the smallest frame, the first row that changes, and how far it looks."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from rangebar_enrich._trial.comparison import Difference, Values, first_differences, shown
from rangebar_enrich.conformance.look_ahead import Leak
from rangebar_enrich.conformance.subject import Subject

_MOST_ROWS = 256
_MOST_LEGACY_ROWS = 40
_SHOWN_ROWS = 12
_SHOWN_COLUMNS = 4


@dataclass(frozen=True, slots=True)
class Witness:
    """The smallest frame found on which a row changes when the last bar comes.

    Attributes:
        bars: All bars; without the last `bars.height - cut` the row has its other value.
        cut: Number of bars before.
        difference: The row, and its value before and after.
        ahead: The farthest bar ahead that was seen to matter.
        is_open: Whether it may look farther than the frames reached.
    """

    bars: pl.DataFrame
    cut: int
    difference: Difference
    ahead: int
    is_open: bool


def find_witness(subject: Subject, leak: Leak) -> Witness:
    """Shrink the frames on which a leak was found."""
    position = subject.columns.index(leak.column)
    most = _MOST_ROWS if subject.is_native else _MOST_LEGACY_ROWS
    bars = leak.later.head(most)
    grown = _growing(subject, bars, position)
    if not grown:
        return _from_cut(subject, leak, position)
    rows = min(height for height, _ in grown)
    first = next(one for height, one in grown if height == rows)
    ahead = max(height - 1 - one.row for height, one in grown)
    bars, first = _without_leading(subject, bars.head(rows), first, position)
    return Witness(
        bars, bars.height - 1, first, ahead, is_open=2 * ahead >= min(most, leak.later.height)
    )


def _growing(subject: Subject, bars: pl.DataFrame, position: int) -> list[tuple[int, Difference]]:
    """Return the lengths at which one more bar changes an earlier row, and the first such row."""
    made = subject.values([bars.head(rows) for rows in range(1, bars.height + 1)])
    found = []
    for rows in range(2, bars.height + 1):
        one = _difference(subject, made[rows - 2], made[rows - 1], position)
        if one is not None:
            found.append((rows, one))
    return found


def _without_leading(
    subject: Subject, bars: pl.DataFrame, first: Difference, position: int
) -> tuple[pl.DataFrame, Difference]:
    """Drop as many bars from the front as the leak can do without."""
    starts = range(1, bars.height - 1)
    whole = subject.values([bars.slice(start) for start in starts])
    parts = subject.values([bars.slice(start, bars.height - 1 - start) for start in starts])
    for start in reversed(starts):
        one = _difference(subject, parts[start - 1], whole[start - 1], position)
        if one is not None:
            return bars.slice(start), one
    return bars, first


def _from_cut(subject: Subject, leak: Leak, position: int) -> Witness:
    """Shrink frames too long to try every length: halve what is after the cut, then before it."""
    bars, cut, best = leak.later, leak.cut, leak.difference
    # NOTE: where the future was replaced, one of both futures differs from none at all.
    for whole in (leak.later, leak.earlier):
        one = _pair(subject, whole, cut, position)
        if one is not None:
            bars, best = whole, one
            break
    drop = bars.height // 2
    while drop:
        for shrunk, kept in _smaller(bars, cut, drop):
            one = _pair(subject, shrunk, kept, position)
            if one is not None:
                bars, cut, best = shrunk, kept, one
                break
        else:
            drop //= 2
    return Witness(bars, cut, best, bars.height - 1 - best.row, is_open=False)


def _smaller(bars: pl.DataFrame, cut: int, drop: int) -> list[tuple[pl.DataFrame, int]]:
    """Return frames with `drop` bars less: behind the cut, before it, or at the front."""
    found = []
    if bars.height - drop > cut:
        found.append((bars.head(bars.height - drop), cut))
    if cut - drop >= 1:
        found.append((bars.slice(drop), cut - drop))
    return found


def _pair(subject: Subject, bars: pl.DataFrame, cut: int, position: int) -> Difference | None:
    part, whole = subject.values([bars.head(cut), bars])
    return _difference(subject, part, whole, position)


def _difference(
    subject: Subject,
    part: Values | BaseException,
    whole: Values | BaseException,
    position: int,
) -> Difference | None:
    if isinstance(part, BaseException) or isinstance(whole, BaseException):
        return None
    rows = len(part)
    if rows == len(whole):
        return None
    found = first_differences(part, whole[:rows], input_scale=subject.input_scale)
    return next((one for one in found if one.column == position), None)


def describe_shortly(leak: Leak) -> str:
    """Return where a leak was found, in one line."""
    row, _, before, after = leak.difference
    return (
        f"'{leak.column}' looks ahead: series '{leak.sample}', cut after {leak.cut} bars, row {row}"
        f" is {shown(before)} there, {shown(after)} once later bars have come."
    )


def describe(subject: Subject, leak: Leak) -> list[str]:
    """Return the leak in words, and its smallest frame as a table."""
    witness = find_witness(subject, leak)
    row, _, before, after = witness.difference
    far = f"{witness.ahead} bar{'s' if witness.ahead > 1 else ''}"
    far = f"at least {far}, perhaps every later one" if witness.is_open else far
    first = leak.difference
    return [
        f"'{leak.column}' looks ahead: {far}.",
        (
            f"Found in series '{leak.sample}', cut after {leak.cut} bars: row {first.row} is"
            f" {shown(first.before)} there, and {shown(first.after)} once later bars have come."
        ),
        (
            f"Smallest frame, {witness.bars.height} bars: row {row} is {shown(before)} with the"
            f" first {witness.cut}, {shown(after)} with all."
        ),
        *_table(subject, witness, leak.column),
    ]


def _table(subject: Subject, witness: Witness, column: str) -> list[str]:
    bars = witness.bars
    part, whole = subject.values([bars.head(witness.cut), bars])
    if isinstance(part, BaseException) or isinstance(whole, BaseException):
        return []
    position = subject.columns.index(column)
    expr = subject.exprs.get(column)
    names = ["close"] if expr is None else expr.meta.root_names()
    reads = [name for name in dict.fromkeys(names) if name in bars.columns][:_SHOWN_COLUMNS]
    before, after = f"with {witness.cut}", f"with {bars.height}"
    cells = [["row", *reads, before, after]]
    start = max(0, min(witness.difference.row, bars.height - _SHOWN_ROWS))
    for row in range(start, min(start + _SHOWN_ROWS, bars.height)):
        inputs = [_cell(bars[name][row]) for name in reads]
        was = shown(part[row, position]) if row < witness.cut else ""
        mark = " <" if row == witness.difference.row else ""
        cells.append([str(row), *inputs, was, shown(whole[row, position]) + mark])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  " + "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in cells
    ]


def _cell(value: object) -> str:
    if value is None:
        return "null"
    return f"{value:.8g}" if isinstance(value, float) else str(value)
