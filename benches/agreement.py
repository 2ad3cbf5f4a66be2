"""Who is right: every contender's features held against exact arithmetic, on a sample of rows.

No contender is the judge of another. The rows are a seeded sample, the first rows of a column,
and wherever two contenders differ most, so that a fault in one row of a million is looked at.
What a contender gets wrong is a finding that stands in the report; nothing stops for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from benches.contest import Contender, Contest

TOLERANCE = 1e-9
"""The most that a value may be off, as a share of the scale of its inputs."""
_SAMPLE, _SEED = 24, 20_240_101


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is off.

    Attributes:
        column: The feature.
        row: Its row.
        value: What the contender made of it; `None` for undefined.
        exact: What it is.
        error: Distance over the scale of the inputs; infinite where only one is undefined.
    """

    column: str
    row: int
    value: float | None
    exact: float | None
    error: float

    def __str__(self) -> str:
        """Return the finding in a line."""
        return f"{self.column} in row {self.row}: {self.value!r}, exactly {self.exact!r}"


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How far a contender is from exact arithmetic.

    Attributes:
        error: Its largest error, over the scale of the inputs.
        values: How many of its values were looked at.
        wrong: Values that are off by more than `TOLERANCE`, the worst of each column.
        missing: Columns that it lacks, or has too many.
    """

    error: float
    values: int
    wrong: tuple[Difference, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def is_right(self) -> bool:
        """Whether nothing is off."""
        return not (self.wrong or self.missing)


def accuracies(contest: Contest) -> dict[str, Accuracy]:
    """Run every contender once and hold its features against the exact ones.

    Where a contest has no exact arithmetic (another's code is what is timed), the first
    contender's values stand for it.

    Returns:
        Contender to its accuracy; those that give no values are not in it.
    """
    made = {one: values for one in contest.contenders if (values := _values(one)) is not None}
    if not made:
        return {}
    reference = next(iter(made.values()))
    rows = {column: _rows(column, reference, made) for column in reference.columns}
    exact = {
        column: [_exact(contest, reference, column, row) for row in rows[column]] for column in rows
    }
    return {one.name: _accuracy(one, made[one], rows, exact, contest.scales) for one in made}


def _values(contender: Contender) -> pl.DataFrame | None:
    result = contender.run(contender.prepare() if contender.prepare else None)
    if contender.values is None:
        return None
    return contender.values(result).select(pl.all().cast(pl.Float64).fill_nan(None))


def _rows(
    column: str, reference: pl.DataFrame, made: Mapping[Contender, pl.DataFrame]
) -> list[int]:
    """Return the rows of a column to look at."""
    height = reference.height
    sample = np.random.default_rng(_SEED).integers(0, height, _SAMPLE) if height else []
    found = {0, height - 1, *(int(row) for row in sample)} if height else set()
    first = reference[column].is_not_null().arg_max()
    found |= {first - 1, first} if first else set()
    for contender, values in made.items():
        if column in values.columns and column not in contender.differs:
            found |= set(_farthest(reference[column], values[column]))
    return sorted(found)


def _farthest(left: pl.Series, right: pl.Series) -> Iterator[int]:
    """Yield the row in which two columns differ most, and the first that one has undefined."""
    if len(left) != len(right):
        return
    apart = left.is_null() != right.is_null()
    if apart.any():
        yield int(apart.arg_max() or 0)
    distance = ((left - right).abs() / left.abs()).fill_nan(None)
    if (farthest := distance.arg_max()) is not None:
        yield farthest
    distance = (left - right).abs().fill_nan(None)
    if (farthest := distance.arg_max()) is not None:
        yield farthest


def _exact(contest: Contest, reference: pl.DataFrame, column: str, row: int) -> float | None:
    if contest.exact is not None:
        return contest.exact(column, row)
    value: float | None = reference[column][row]
    return value


def _accuracy(
    contender: Contender,
    values: pl.DataFrame,
    rows: Mapping[str, Sequence[int]],
    exact: Mapping[str, Sequence[float | None]],
    scales: Mapping[str, pl.Series],
) -> Accuracy:
    columns = [name for name in rows if name not in contender.differs]
    missing = sorted({*columns} ^ {*values.drop(contender.differs, strict=False).columns})
    error, count = 0.0, 0
    wrong: list[Difference] = []
    for column in columns:
        if column in missing:
            continue
        found = [
            _difference(values[column], row, want, scales.get(column))
            for row, want in zip(rows[column], exact[column], strict=True)
        ]
        count += len(found)
        worst = max(found, key=lambda one: one.error, default=None)
        if worst is not None:
            error = max(error, worst.error)
            wrong += [worst] if worst.error > TOLERANCE else []
    return Accuracy(error, count, tuple(wrong), tuple(missing))


def _difference(
    values: pl.Series, row: int, exact: float | None, scale: pl.Series | None
) -> Difference:
    value = values[row] if row < len(values) else None
    if value is None or exact is None:
        error = 0.0 if value is exact else float("inf")
        return Difference(values.name, row, value, exact, error)
    level = 1.0 if scale is None or scale[row] is None else max(float(scale[row]), 1.0)
    return Difference(values.name, row, value, exact, abs(value - exact) / level)
