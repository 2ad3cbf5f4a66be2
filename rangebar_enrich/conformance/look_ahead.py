"""Findings for look-ahead: cut a series at random, end it there or change its future, and compare."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle

import numpy as np
import polars as pl

from rangebar_enrich._provider.declaration import cause
from rangebar_enrich._trial.comparison import Difference, Values, first_differences
from rangebar_enrich._trial.futures import FUTURES, draw_cuts, replace_future
from rangebar_enrich._trial.samples import Sample
from rangebar_enrich._trial.witness import Witness
from rangebar_enrich.conformance.changes import suspicious_cuts
from rangebar_enrich.conformance.steadiness import unsteady_columns
from rangebar_enrich.conformance.subject import Subject

_CUTS = 12
_CUTS_OF_PYTHON = 8
_CUTS_OF_LEGACY = 3
_CUTS_OF_PROVEN = 4
_ALONE = 6
_LONG = 500
_WEEK_CONTEXT, _WEEK_AFTER = 64, 8


@dataclass(frozen=True, slots=True)
class Leak:
    """A column whose earlier rows change with what comes later.

    Attributes:
        sample: The series on which it was found.
        witness: The column, the bars, the cut and the first row that differs.
    """

    sample: str
    witness: Witness


@dataclass(slots=True)
class Findings:
    """What was found.

    Attributes:
        leaks: The first leak of each column that has one.
        unstable: Columns that differed when series were computed together, not when alone.
        unsteady: Columns that differ from run to run: nothing can be said of them.
        refused: Columns or frames that could not be compared, in words.
        compared: Number of comparisons of each column that had values.
        remembers: Columns whose differences cannot be confirmed on bars that were seen before.
        cuts: Number of cuts that were tried.
    """

    leaks: dict[str, Leak] = field(default_factory=dict)
    unstable: set[str] = field(default_factory=set)
    unsteady: tuple[str, ...] = ()
    refused: list[str] = field(default_factory=list)
    compared: dict[str, int] = field(default_factory=dict)
    remembers: Collection[str] = ()
    cuts: int = 0


@dataclass(frozen=True, slots=True)
class _Trial:
    """Two frames that share their first `cut` rows."""

    sample: Sample
    whole: int
    cut: int
    frame: pl.DataFrame
    is_prefix: bool


def search(subject: Subject) -> Findings:
    """Look for look-ahead in every column of the provider."""
    found = Findings(compared=dict.fromkeys(subject.columns, 0))
    _search_growing(subject, found)
    found.unsteady = unsteady_columns(subject)
    samples = subject.tables.samples
    _compare(subject, samples, subject.full, found)
    if not all(found.compared[name] for name in subject.columns if name not in found.leaks):
        # A window longer than any that is known of: nothing had a value yet.
        rows = min(8 * subject.long_rows, 20_000 if subject.is_native else 5_000)
        longer = [Sample("longer", subject.tables.bars("walk", rows, seed=subject.seed + 3))]
        _compare(subject, longer, subject.values([longer[0].bars]), found)
    _search_week(subject, found)
    for name in found.unsteady:
        found.leaks.pop(name, None)
    return found


def _search_week(subject: Subject, found: Findings) -> None:
    """Look at every ten minutes of a week, and at every magnitude of prices and volumes.

    What is proven by its operators alone has no need of it.
    """
    rest = [name for name in subject.columns if name not in subject.proven | found.leaks.keys()]
    if not rest:
        return
    week, context = subject.tables.week.bars, max(subject.span, _WEEK_CONTEXT)
    for column, cut in suspicious_cuts(subject, week, rest):
        start = max(cut - context, 0)
        sample = Sample("week", week.slice(start, cut - start + _WEEK_AFTER), is_clean=False)
        if column not in found.leaks and cut > 0:
            trial = _Trial(sample, 0, cut - start, sample.bars.head(cut - start), is_prefix=True)
            part, whole = subject.values([trial.frame, sample.bars])
            _judge(subject, [trial], [part], [whole], found)


def _search_growing(subject: Subject, found: Findings) -> None:
    """Show a series that was never seen before in growing parts, each alone.

    A provider that remembers what it saw cannot answer for the part from the whole.
    """
    _grow(subject, found, subject.seed + 11)
    if found.unstable:
        # What it remembers by now cannot be shown again on the same bars: it shows on others.
        again = Findings(compared=dict.fromkeys(subject.columns, 0), remembers=found.unstable)
        _grow(subject, again, subject.seed + 12)
        found.leaks |= again.leaks
        found.unstable -= again.leaks.keys()


def _grow(subject: Subject, found: Findings, seed: int) -> None:
    rows = min(max(2 * subject.span + 32, 64), 320)
    sample = Sample("growing", subject.tables.bars("swings", rows, seed=seed))
    rng = np.random.default_rng([seed, 11])
    cuts = sorted(rng.choice(np.arange(1, rows), _ALONE, replace=False).tolist())
    provider = subject.fresh()
    parts = [sample.bars.head(cut) for cut in cuts]
    made = [subject.one(part, provider=provider) for part in parts]
    whole = subject.one(sample.bars, provider=provider)
    trials = [
        _Trial(sample, 0, cut, part, is_prefix=True) for cut, part in zip(cuts, parts, strict=True)
    ]
    _judge(subject, trials, made, [whole], found)


def _compare(
    subject: Subject,
    samples: Sequence[Sample],
    wholes: Sequence[Values | BaseException],
    found: Findings,
) -> None:
    trials = [
        trial
        for index, one in enumerate(samples)
        if not isinstance(wholes[index], BaseException)
        for trial in _trials(subject, one, index)
    ]
    made = subject.values([trial.frame for trial in trials])
    _judge(subject, trials, made, wholes, found)
    if _is_divisible(subject):
        failed = {index for index, one in enumerate(wholes) if isinstance(one, BaseException)}
        failed |= {
            trial.whole
            for trial, one in zip(trials, made, strict=True)
            if isinstance(one, BaseException)
        }
        _compare_each(subject, [samples[index] for index in sorted(failed)], found)


def _is_divisible(subject: Subject) -> bool:
    """Return whether columns can be computed apart, so that one which raises hides no other."""
    return subject.is_native and len(subject.columns) > 1


def _compare_each(subject: Subject, samples: Sequence[Sample], found: Findings) -> None:
    """Compare column by column on series on which some column raises."""
    for column in subject.columns if samples else ():
        alone = subject.only(column)
        _compare(alone, samples, alone.values([one.bars for one in samples]), found)


def _trials(subject: Subject, sample: Sample, whole: int) -> Iterator[_Trial]:
    bars = subject.narrowed(sample.bars)
    rows = bars.height
    rng = np.random.default_rng([subject.seed, rows, whole])
    modes = cycle(FUTURES[whole % len(FUTURES) :] + FUTURES[: whole % len(FUTURES)])
    for cut in draw_cuts(rng, rows, _wanted(subject, rows)):
        yield _Trial(sample, whole, cut, bars.head(cut), is_prefix=True)
        changed = replace_future(bars, cut, rng, next(modes), subject.recipe.clocks)
        yield _Trial(sample, whole, cut, changed, is_prefix=False)


def _wanted(subject: Subject, rows: int) -> int:
    """Return how many cuts of a series are tried."""
    wanted = _CUTS_OF_PYTHON if subject.runs_python else _CUTS
    wanted = wanted if subject.is_native else _CUTS_OF_LEGACY
    wanted = _CUTS_OF_PROVEN if subject.is_proven else wanted
    return wanted // 3 if rows > _LONG else wanted


def _judge(
    subject: Subject,
    trials: Sequence[_Trial],
    made: Sequence[Values | BaseException],
    wholes: Sequence[Values | BaseException],
    found: Findings,
) -> None:
    found.cuts += len(trials)
    lengths = [
        trial.cut
        for trial, values in zip(trials, made, strict=True)
        if trial.is_prefix and not isinstance(values, BaseException)
    ]
    least = min(lengths, default=0)
    for trial, values in zip(trials, made, strict=True):
        whole = wholes[trial.whole]
        if isinstance(whole, BaseException):
            continue
        if isinstance(values, BaseException):
            if not _is_divisible(subject):
                _note_refusal(trial, values, least, found)
            continue
        _judge_pair(subject, trial, values[: trial.cut], whole[: trial.cut], found)


def _note_refusal(trial: _Trial, error: BaseException, least: int, found: Findings) -> None:
    """Record a part that raises though a shorter one does not: its rows depend on later ones."""
    if trial.is_prefix and trial.cut > least and trial.sample.is_clean and not found.refused:
        found.refused.append(
            f"series '{trial.sample.name}': the first {trial.cut} bars alone raise"
            f" {cause(error)}, all {trial.sample.bars.height} do not"
        )


def _judge_pair(
    subject: Subject, trial: _Trial, part: Values, whole: Values, found: Findings
) -> None:
    for position, column in enumerate(subject.columns):
        if not (np.isnan(part[:, position]) & np.isnan(whole[:, position])).all():
            found.compared[column] += 1
    scale = subject.scale(trial.frame, trial.sample.bars)
    for one in first_differences(part, whole, scale=scale):
        column = subject.columns[one.column]
        if column in found.leaks or column in found.unsteady:
            continue
        short = trial.is_prefix and trial.cut <= subject.warm_up[one.column]
        if short and np.isnan(part[:, one.column]).all():
            continue  # too few bars for any value, as the warm-up says
        is_new = column in found.remembers
        confirmed = one if is_new else _confirmed(subject, trial, one.column, scale)
        if confirmed is None:
            found.unstable.add(column)
        else:
            row, _, before, after = confirmed
            witness = Witness(column, trial.sample.bars, trial.frame, trial.cut, row, before, after)
            found.leaks[column] = Leak(trial.sample.name, witness)


def _confirmed(subject: Subject, trial: _Trial, position: int, scale: float) -> Difference | None:
    """Return the difference when both frames are computed alone, one after the other."""
    part = subject.one(trial.frame, provider=subject.fresh())
    whole = subject.one(trial.sample.bars, provider=subject.fresh())
    if isinstance(part, BaseException) or isinstance(whole, BaseException):
        return None
    found = first_differences(part[: trial.cut], whole[: trial.cut], scale=scale)
    return next((one for one in found if one.column == position), None)
