"""How many earlier bars fix a value: proven for a number, measured where there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import inf, isfinite

import numpy as np
import polars as pl

from rangebar_enrich._trial.comparison import Values, column_scales, shown
from rangebar_enrich.conformance.report import BrokenPromiseError, NotRunError
from rangebar_enrich.conformance.subject import Subject

TIGHT, LOOSE = 1e-9, 1e-6
_ENDS = 8
_ENDS_OF_LEGACY = 4
_ENDS_MEASURED = 6
_SHAPES = ("walk", "standstill", "constant ratio")
"""Windows over what stands still hold what rounding left of the bars before it, and nothing else."""
_MOST = 25_000


def check_lookback(subject: Subject) -> str:
    """Hold that `lookback` earlier bars fix the last value; measure it where nobody says it."""
    if not subject.columns:
        msg = "no column has values"
        raise NotRunError(msg)
    declared = subject.declaration.lookback
    if declared is not None:
        every = dict.fromkeys(subject.columns, declared)
        _hold(subject, every, dict.fromkeys(every, "declared"))
        return f"{declared} earlier bars fix every value, as declared"
    derived = _derived(subject)
    known = {column: int(past) for column, past in derived.items() if isfinite(past)}
    if known:
        _hold(subject, known, {column: _origin(subject, column) for column in known})
    said = []
    if known:
        most = max(known.values())
        said.append(f"{most} earlier bars fix {_named(known, subject)}, as derived")
    rest = [column for column in subject.columns if column not in known]
    if rest:
        said += _measured(subject, rest)
    return "\n".join(said)


def _origin(subject: Subject, column: str) -> str:
    """Say whose word a lookback is."""
    libraries = ", ".join(sorted(subject.reaches[column].declared))
    return f"declared for {libraries}" if libraries else "derived from the expressions"


def _named(columns: Sequence[str] | dict[str, int], subject: Subject) -> str:
    if len(columns) == len(subject.columns):
        return "every value"
    return ", ".join(f"'{column}'" for column in columns)


def _derived(subject: Subject) -> dict[str, float]:
    """Return the past reach of each expression, `inf` where it has no end or cannot be told."""
    return {
        column: inf if reach.opaque else float(reach.past)
        for column, reach in subject.reaches.items()
    }


def _series(
    subject: Subject, lookback: int, shape: str = _SHAPES[0]
) -> tuple[pl.DataFrame, list[int]]:
    """Return a long series and rows that have `lookback` bars before them, the last too.

    They are random, and such that a value stands there that is not what mostly does: of an event
    that is rare, the rows where nothing happens say little.
    """
    rows = max(subject.long_rows, lookback + 200)
    bars = subject.tables.bars(shape, rows, seed=subject.seed + 21)
    rng = np.random.default_rng([subject.seed, 21])
    wanted = _ENDS if subject.is_native else _ENDS_OF_LEGACY
    first = min(lookback, rows - 1)
    ends = rng.integers(first, rows, wanted).tolist()
    return bars, sorted({*ends, *_rare_rows(subject.one(bars), first, wanted, rng), rows - 1})


def _rare_rows(
    made: Values | BaseException, first: int, wanted: int, rng: np.random.Generator
) -> list[int]:
    """Return rows from `first` on where a column has another value than mostly."""
    if isinstance(made, BaseException):
        return []
    found: list[int] = []
    for values in made[first:].T:
        kinds, counts = np.unique(values[~np.isnan(values)], return_counts=True)
        usual = kinds[counts.argmax()] if len(kinds) and counts.max() > len(values) // 2 else np.nan
        rare = np.flatnonzero((values != usual) & ~np.isnan(values) & ~np.isnan(usual)) + first
        found += rng.permutation(rare)[: wanted // 2].tolist()
    return [int(row) for row in rng.permutation(found)[:wanted]]


def _last(made: Values | BaseException, columns: int) -> Values:
    """Return the last row; where the provider raised, it has no value."""
    return np.full(columns, np.nan) if isinstance(made, BaseException) else made[-1]


def _hold(subject: Subject, known: dict[str, int], origins: Mapping[str, str]) -> None:
    faults = []
    for lookback in sorted(set(known.values())):
        columns = [column for column, past in known.items() if past == lookback]
        if lookback > _MOST:
            msg = f"a lookback of {lookback} bars is more than the {_MOST} that are tried"
            raise NotRunError(msg)
        faults += _unequal(subject.only(*columns), lookback, columns, origins)
    if faults:
        raise BrokenPromiseError("\n".join(faults))


def _unequal(
    subject: Subject, lookback: int, columns: Sequence[str], origins: Mapping[str, str]
) -> list[str]:
    """Return a fault for each column that so many earlier bars do not fix, in any shape of series."""
    faults: dict[str, str] = {}
    for shape in _SHAPES:
        rest = [column for column in columns if column not in faults]
        for column, row, full, last in _first_unequal(subject, lookback, rest, shape):
            faults[column] = (
                f"'{column}': {lookback} earlier bars ({origins[column]}) do not fix it: row {row} of"
                f" series '{shape}' is {shown(full)} with all history, {shown(last)} with {lookback}"
                " bars of it"
            )
    return list(faults.values())


def _first_unequal(
    subject: Subject, lookback: int, columns: Sequence[str], shape: str
) -> Iterator[tuple[str, int, float, float]]:
    bars, ends = _series(subject, lookback, shape)
    width = len(subject.columns)
    whole = [_last(one, width) for one in subject.values([bars.head(end + 1) for end in ends])]
    windows = [bars.slice(end - lookback, lookback + 1) for end in ends]
    part = [_last(one, width) for one in subject.values(windows)]
    scales = _scales(subject, bars, whole)
    for column in columns:
        place = subject.columns.index(column)
        for end, full, last in zip(ends, whole, part, strict=True):
            if _error(full[place], last[place], scales[place]) > TIGHT:
                yield column, end, float(full[place]), float(last[place])
                break


def _scales(subject: Subject, bars: pl.DataFrame, rows: Sequence[Values]) -> Values:
    """Return the scale of each column's inputs: that of its prices, or its own where larger."""
    scales: Values = np.maximum(column_scales(np.array(rows)), subject.scale(bars))
    return np.where(scales > 0.0, scales, 1.0)


def _error(full: float, part: float, scale: float) -> float:
    if np.isnan(full) or np.isnan(part):
        return 0.0 if np.isnan(full) and np.isnan(part) else inf
    if np.isinf(full) or np.isinf(part):
        return 0.0 if full == part else inf
    return abs(full - part) / scale


def _measured(subject: Subject, columns: Sequence[str]) -> list[str]:
    """Measure after how many bars the last value is near what all history gives."""
    said = []
    together = None if subject.is_native else _Errors(subject)
    for column in columns:
        errors = together or _Errors(subject.only(column))
        loose, tight = (errors.settled(column, bound) for bound in (LOOSE, TIGHT))
        if tight is not None and tight == loose:
            said.append(f"'{column}' is fixed by {tight} earlier bars, as measured")
        elif tight is None and loose is None:
            said.append(f"'{column}' has no end: {errors.most} earlier bars do not fix it")
        elif tight is None:
            said.append(f"'{column}' is within 1e-6 after {loose} bars, 1e-9 after none tried")
        else:
            said.append(f"'{column}' is within 1e-6 after {loose} earlier bars, 1e-9 after {tight}")
    return said


class _Errors:
    """The error of the last value for a number of earlier bars, computed where it is asked for."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self.most = max(subject.long_rows, 200) // 2
        self._bars, ends = _series(subject, self.most)
        self._ends = ends[-_ENDS_MEASURED:]
        frames = [self._bars.head(end + 1) for end in self._ends]
        self._whole = [_last(one, len(subject.columns)) for one in subject.values(frames)]
        self._scale = _scales(subject, self._bars, self._whole)
        self._known: dict[int, list[float]] = {}
        self._compute(_ladder(self.most))

    def _compute(self, counts: Sequence[int]) -> None:
        new = [count for count in counts if count not in self._known]
        frames = [self._bars.slice(end - count, count + 1) for count in new for end in self._ends]
        width = len(self._subject.columns)
        made = iter([_last(one, width) for one in self._subject.values(frames)])
        for count in new:
            rows = [next(made) for _ in self._ends]
            self._known[count] = [
                max(
                    _error(full[column], row[column], self._scale[column])
                    for full, row in zip(self._whole, rows, strict=True)
                )
                for column in range(width)
            ]

    def settled(self, column: str, bound: float) -> int | None:
        """Return the least number tried from which on the error stays within `bound`."""
        position = self._subject.columns.index(column)
        rounds, parts = (3, 8) if self._subject.is_native else (1, 4)
        for _ in range(rounds):
            below, above = self._bracket(position, bound)
            if above is None or above - below <= 1:
                break
            step = max((above - below) // parts, 1)
            self._compute(range(below + step, above, step))
        return self._bracket(position, bound)[1]

    def _bracket(self, position: int, bound: float) -> tuple[int, int | None]:
        """Return the largest number that is not enough, and the next one tried."""
        counts = sorted(self._known)
        bad = [count for count in counts if self._known[count][position] > bound]
        if not bad:
            return -1, counts[0]
        later = [count for count in counts if count > bad[-1]]
        return bad[-1], later[0] if later else None


def _ladder(most: int) -> list[int]:
    counts = {0, most}
    step = 1.0
    while step < most:
        counts.add(int(step))
        step *= 2.0
    return sorted(counts)
