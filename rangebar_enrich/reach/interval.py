"""Interval arithmetic on row offsets: which rows a value reads, relative to its own row."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from math import inf
from typing import NamedTuple

Offset = int | float
"""A number of rows; negative is earlier, `±inf` the first or last row of the table."""


class Shape(Enum):
    """What an expression is as long as."""

    COLUMN = "as long as the table"
    CONSTANT = "one value that no row changes"
    SCALAR = "one value made from rows"
    SERIES = "a literal series of a fixed length"
    OTHER = "another length than the table's"
    UNKNOWN = "a length that cannot be told"


class Interval(NamedTuple):
    """The value at row `i` is fixed by the rows `i + low … i + high` that exist.

    That a row exists is read too: `shift(1).shift(-1)` gives back the same values and yet reads
    one row ahead, because its last row is null. In a mirrored column (an odd number of
    `reverse()`) the row is counted from the other end: row `i` reads around row `n - 1 - i`.
    """

    low: Offset = 0
    high: Offset = 0
    shape: Shape = Shape.COLUMN
    mirrored: bool = False
    opaque: bool = False
    times: frozenset[str] = frozenset()
    """Columns that must increase strictly for the span to hold."""

    @property
    def is_constant(self) -> bool:
        """Whether no row is read at all."""
        return self.shape in {Shape.CONSTANT, Shape.SERIES}

    @property
    def future(self) -> Offset:
        """Rows read ahead, at least 0."""
        return inf if self.mirrored else max(self.high, 0)

    @property
    def past(self) -> Offset:
        """Rows read behind, at least 0."""
        return inf if self.mirrored else max(-self.low, 0)


ROW = Interval()
CONSTANT = Interval(shape=Shape.CONSTANT)
SERIES = Interval(shape=Shape.SERIES)
OPAQUE = Interval(-inf, inf, Shape.UNKNOWN, opaque=True)


def union(spans: Sequence[Interval]) -> Interval:
    """Combine the inputs of an operator that works row by row."""
    rows = [span for span in spans if span.shape is not Shape.CONSTANT]
    if not rows:
        return CONSTANT
    if len(rows) == 1:
        return rows[0]
    shape = _common_shape([span.shape for span in rows])
    mirrored = rows[0].mirrored
    times = frozenset().union(*(span.times for span in rows))
    opaque = any(span.opaque for span in rows)
    aligned = shape is not Shape.UNKNOWN and all(span.mirrored == mirrored for span in rows)
    if not aligned:
        return Interval(-inf, inf, shape, opaque=opaque, times=times)
    low, high = min(span.low for span in rows), max(span.high for span in rows)
    return Interval(low, high, shape, mirrored, opaque, times)


def _common_shape(shapes: Sequence[Shape]) -> Shape:
    """Find how long a row-by-row combination is; a literal series only fits by chance."""
    distinct = set(shapes) - {Shape.SCALAR}
    if not distinct:
        return Shape.SCALAR
    if len(distinct) == 1:
        return distinct.pop()
    return Shape.UNKNOWN


def window(span: Interval, first: Offset, last: Offset) -> Interval:
    """Read the rows `first … last` of `span`, offsets from the current row, as far as they exist."""
    if span.mirrored:
        first, last = -last, -first
    return span._replace(low=min(span.low, 0) + first, high=max(span.high, 0) + last)


def unbounded(spans: Sequence[Interval], shape: Shape) -> Interval:
    """Read every row of the inputs."""
    opaque = any(span.opaque for span in spans)
    times = frozenset().union(*(span.times for span in spans))
    return Interval(-inf, inf, shape, opaque=opaque, times=times)


def mirror(span: Interval) -> Interval:
    """Turn the column around."""
    return span._replace(mirrored=not span.mirrored)
