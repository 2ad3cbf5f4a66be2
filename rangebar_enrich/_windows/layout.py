"""Which rows belong to which series, which of them get results, and in what tiles they are done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
Values = npt.NDArray[np.generic]

_BLOCK = 32_768
"""Rows done at once: what is computed from them stays in a processor's second cache."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Series in a column, one after the other; windows never reach from one into another.

    Attributes:
        starts: First row of each series, and the number of rows behind the last.
        firsts: First row of each series that gets a result; those before are context.
        ends: Row behind the last of each series that gets a result.
    """

    starts: Indices
    firsts: Indices
    ends: Indices

    @classmethod
    def of(cls, starts: Sequence[int] | Indices, skips: Sequence[int] | Indices = ()) -> Layout:
        """Return the layout of series of which the first rows, if `skips` says so, are context."""
        bounds = np.asarray(starts, dtype=np.int64)
        given = np.asarray(skips, dtype=np.int64)
        return cls(bounds, bounds[:-1] + given if len(given) else bounds[:-1], bounds[1:])

    @cached_property
    def counts(self) -> Indices:
        """Results of each series."""
        return self.ends - self.firsts

    @cached_property
    def places(self) -> Indices:
        """Where the results of each series begin, and their number."""
        return np.concatenate([[0], np.cumsum(self.counts)])

    @property
    def results(self) -> int:
        """Number of results."""
        return int(self.places[-1])

    @cached_property
    def row_of(self) -> Indices:
        """Row in the column of each result."""
        rows = np.arange(self.results, dtype=np.int64)
        rows += np.repeat(self.firsts - self.places[:-1], self.counts)
        return rows

    @cached_property
    def start_of(self) -> Indices:
        """First row of the series of each result."""
        return np.repeat(self.starts[:-1], self.counts)

    @property
    def joined(self) -> Layout:
        """The layout as if all rows were of one series, where every row gets a result.

        For windows that are null where they would reach into the series before.
        """
        if len(self.counts) < 2 or self.results != self.starts[-1]:
            return self
        return Layout.of((0, self.results))

    def repeated(self, columns: int) -> Layout:
        """Return the layout of as many columns, one after the other."""
        if columns == 1:
            return self
        shift = (np.arange(columns, dtype=np.int64) * self.starts[-1])[:, None]
        starts = np.append((shift + self.starts[:-1]).ravel(), self.starts[-1] * columns)
        return Layout(starts, (shift + self.firsts).ravel(), (shift + self.ends).ravel())

    def head(self, reach: int) -> tuple[Layout, Indices]:
        """Return the layout of the results whose windows may reach before their series.

        Returns:
            It, and where its results stand among those of this layout.
        """
        ends = np.clip(self.starts[:-1] + reach, self.firsts, self.ends)
        made = replace(self, ends=ends)
        return made, made.row_of + np.repeat(self.places[:-1] - self.firsts, made.counts)

    def tiles(self, reach: int) -> Iterator[Tile]:
        """Yield tiles of a size to work on, together every result once.

        Args:
            reach: Rows before a result that its window may read.
        """
        pending: list[int] = []
        widest = 0
        for index, count in enumerate(self.counts.tolist()):
            if count + reach > _BLOCK:
                yield from self._blocks(index, reach)
            elif count:
                if (len(pending) + 1) * (max(widest, count) + reach) > 4 * _BLOCK and pending:
                    yield self._tile(pending, widest, reach)
                    pending, widest = [], 0
                pending.append(index)
                widest = max(widest, count)
        if pending:
            yield self._tile(pending, widest, reach)

    def _blocks(self, index: int, reach: int) -> Iterator[Tile]:
        start, first, end = (int(one[index]) for one in (self.starts, self.firsts, self.ends))
        step = max(_BLOCK, reach)
        for low in range(first, end, step):
            high = min(low + step, end)
            place = int(self.places[index]) + low - first
            yield Tile([(max(start, low - reach), high)], [(place, high - low)], high - low, reach)

    def _tile(self, indices: Sequence[int], widest: int, reach: int) -> Tile:
        picked = np.asarray(indices)
        begins = np.maximum(self.starts[picked], self.firsts[picked] - reach)
        spans = zip(begins.tolist(), self.ends[picked].tolist(), strict=True)
        places = zip(self.places[picked].tolist(), self.counts[picked].tolist(), strict=True)
        return Tile(list(spans), list(places), widest, reach)


@dataclass(frozen=True, slots=True)
class Tile:
    """Rows of some series, right-aligned under each other.

    Attributes:
        spans: Rows of the column that each series needs, first and behind the last.
        places: Where the results of each belong, and how many they are.
        results: Results of the series with most of them.
        reach: Rows in front of those; what is missing there is filled.
    """

    spans: Sequence[tuple[int, int]]
    places: Sequence[tuple[int, int]]
    results: int
    reach: int

    def take(self, column: Values, fill: float) -> Values:
        """Return the rows of a column, shape (series, reach + results)."""
        width = self.reach + self.results
        begin, end = self.spans[0]
        if len(self.spans) == 1 and end - begin == width:
            return column[None, begin:end]
        made = np.full((len(self.spans), width), fill, dtype=column.dtype)
        for line, (begin, end) in zip(made, self.spans, strict=True):
            line[width - (end - begin) :] = column[begin:end]
        return made

    def put(self, results: Values, column: Values) -> None:
        """Write results, shape (series, results), to their places in a column."""
        if self._is_whole:
            place = self.places[0][0]
            column[place : place + results.size] = results.ravel()
            return
        for line, (place, count) in zip(results, self.places, strict=True):
            column[place : place + count] = line[len(line) - count :]

    @property
    def _is_whole(self) -> bool:
        """Whether all series have as many results, and these stand behind each other."""
        first = self.places[0][0]
        return all(
            place == first + index * self.results and count == self.results
            for index, (place, count) in enumerate(self.places)
        )
