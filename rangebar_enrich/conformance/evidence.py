"""What shows a leak best: the smallest frame, the first row that changes, and how far it looks."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from rangebar_enrich._trial.comparison import Values, first_differences, shown
from rangebar_enrich._trial.witness import Change, Witness, growing, shrink
from rangebar_enrich.conformance.look_ahead import Leak
from rangebar_enrich.conformance.subject import Subject

_MOST_ROWS = 256
_MOST_LEGACY_ROWS = 40
_SHOWN_ROWS = 12
_SHOWN_COLUMNS = 4


def find_witness(subject: Subject, leak: Leak) -> tuple[Witness, str]:
    """Shrink the frames on which a leak was found, and say how far ahead it looks."""
    found = leak.witness
    position = subject.columns.index(found.column)
    scale = subject.scale(found.frame, found.other)

    def compute(frames: Sequence[pl.DataFrame]) -> list[Values | None]:
        made = subject.values(frames)
        return [None if isinstance(one, BaseException) else one for one in made]

    def compare(part: Values, whole: Values) -> Change | None:
        for one in first_differences(part, whole[: len(part)], scale=scale):
            if one.column == position:
                return one.row, one.before, one.after
        return None

    most = min(_MOST_ROWS if subject.is_native else _MOST_LEGACY_ROWS, found.frame.height)
    grown = growing(found.frame, range(1, most + 1), compute, compare)
    shortest = grown[0][0] if grown else 0
    witness = shrink(found, range(max(shortest - 1, 0), shortest + 1), compute, compare)
    if not grown:
        return witness, _bars(witness.frame.height - 1 - witness.row)
    ahead = max(height - 1 - row for height, _, (row, *_) in grown)
    is_open = 2 * ahead >= most
    return witness, f"at least {_bars(ahead)}, perhaps every later one" if is_open else _bars(ahead)


def _bars(count: int) -> str:
    return f"{count} bar{'s' if count > 1 else ''}"


def describe_shortly(leak: Leak) -> str:
    """Return where a leak was found, in one line."""
    found = leak.witness
    return (
        f"'{found.column}' looks ahead: series '{leak.sample}', cut after {found.cut} bars, row"
        f" {found.row} is {shown(found.before)} there, {shown(found.after)} once later bars have"
        " come."
    )


def describe(subject: Subject, leak: Leak) -> list[str]:
    """Return the leak in words, and its smallest frame as a table."""
    first = leak.witness
    small, far = find_witness(subject, leak)
    there = f"the first {small.cut}" if small.is_prefix else f"others after the first {small.cut}"
    return [
        f"'{first.column}' looks ahead: {far}.",
        (
            f"Found in series '{leak.sample}', cut after {first.cut} bars: row {first.row} is"
            f" {shown(first.before)} there, and {shown(first.after)} once later bars have come."
        ),
        (
            f"Smallest frame, {small.frame.height} bars: row {small.row} is {shown(small.before)}"
            f" with {there}, {shown(small.after)} with all."
        ),
        *_table(subject, small),
    ]


def _table(subject: Subject, witness: Witness) -> list[str]:
    bars, column = witness.frame, witness.column
    part, whole = subject.values([witness.other, bars])
    if isinstance(part, BaseException) or isinstance(whole, BaseException):
        return []
    position = subject.columns.index(column)
    expr = subject.exprs.get(column)
    names = ["close"] if expr is None else expr.meta.root_names()
    reads = [name for name in dict.fromkeys(names) if name in bars.columns][:_SHOWN_COLUMNS]
    cells = [["row", *reads, f"with {witness.cut}", f"with {bars.height}"]]
    start = max(0, min(witness.row, bars.height - _SHOWN_ROWS))
    for row in range(start, min(start + _SHOWN_ROWS, bars.height)):
        inputs = [shown(bars[name][row]) for name in reads]
        was = shown(float(part[row, position])) if row < witness.cut else ""
        mark = " <" if row == witness.row else ""
        cells.append([str(row), *inputs, was, shown(float(whole[row, position])) + mark])
    widths = [max(map(len, one)) for one in zip(*cells, strict=True)]
    return [
        "  " + "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in cells
    ]
