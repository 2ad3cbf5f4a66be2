"""What is timed: contenders that compute the same thing from the same input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

Profile = Literal["full", "quick", "ci"]

OURS = "ours"


@dataclass(frozen=True, slots=True, eq=False)
class Contender:
    """One way to do the job.

    Attributes:
        name: Short and the same in every workload; `ours` is this engine.
        run: The timed call; given what `prepare` returned.
        prepare: Untimed, before each timed call; by default nothing is made.
        values: Result to features, float64 with nulls, or `None` where there is nothing to compare.
        differs: Columns that it defines in another way, which are timed and not compared.
    """

    name: str
    run: Callable[[Any], Any]
    prepare: Callable[[], Any] | None = None
    values: Callable[[Any], pl.DataFrame] | None = None
    differs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Contest:
    """Contenders over one input.

    Attributes:
        rows: Rows of input, for figures by the row.
        contenders: Those who take part.
        exact: Column and row to the exact value; where there is none, the first contender's
            values stand for it.
        scales: Column to the scale of its inputs, row by row; 1 where it is not named.
        close: Untimed, at the end.
    """

    rows: int
    contenders: Sequence[Contender]
    exact: Callable[[str, int], float | None] | None = None
    scales: Mapping[str, pl.Series] = field(default_factory=dict)
    close: Callable[[], None] | None = None

    def of(self, name: str) -> Contender | None:
        """Return a contender by name, or `None` where its package is missing."""
        return next((one for one in self.contenders if one.name == name), None)


@dataclass(frozen=True, slots=True)
class Workload:
    """A contest at several sizes.

    Attributes:
        key: The letter it has in the issue.
        group: `<stage>-<operation>`.
        title: What it is, in a few words.
        sizes: Rows, by profile.
        make: Size to contest.
        contenders: Their names; one whose package is missing may be absent from the contest.
        seconds: How long a size is timed in the full profile.
        memory: Profile to the size at which peak memory is measured; none where it says nothing.
        unmeasured: Contenders left out of the memory measurement.
    """

    key: str
    group: str
    title: str
    sizes: Mapping[Profile, Sequence[int]]
    make: Callable[[int], Contest]
    contenders: tuple[str, ...]
    seconds: float = 12.0
    memory: Mapping[Profile, int] = field(default_factory=dict)
    unmeasured: frozenset[str] = frozenset()


def size_name(rows: int) -> str:
    """Return `100`, `10k`, `1M`."""
    for unit, factor in (("M", 1_000_000), ("k", 1_000)):
        if rows >= factor and rows % factor == 0:
            return f"{rows // factor}{unit}"
    return str(rows)
