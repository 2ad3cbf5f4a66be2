"""Whether a provider says the same when it is asked again."""

from __future__ import annotations

import numpy as np

from rangebar_enrich._trial.comparison import Values, is_same
from rangebar_enrich.conformance.subject import Subject

_FIRST, _SECOND = "walk", "gaps"


def unsteady_columns(subject: Subject) -> tuple[str, ...]:
    """Return the columns whose values differ from run to run on the same bars."""
    return tuple(dict.fromkeys(column for column, _ in unsteady(subject)))


def unsteady(subject: Subject) -> list[tuple[str, str]]:
    """Return each column that is not steady, and how that shows; found once for a subject."""
    if subject.unsteady is None:
        subject.unsteady = _find(subject)
    return subject.unsteady


def _find(subject: Subject) -> list[tuple[str, str]]:
    first, second = subject.tables.sample(_FIRST).bars, subject.tables.sample(_SECOND).bars
    used = subject.fresh()
    before = subject.one(first, provider=used)
    other = subject.one(second, provider=used)
    again = subject.one(first, provider=used)
    found = _different(subject, before, again, "two runs on the same bars differ")
    if subject.can_be_copied:
        unused = subject.one(second, provider=subject.fresh())
        text = "values depend on the bars that the provider saw before"
        found += _different(subject, unused, other, text)
    third = subject.one(first, provider=subject.fresh())
    return found + _different(subject, before, third, "two runs on the same bars differ")


def _different(
    subject: Subject, one: Values | BaseException, other: Values | BaseException, text: str
) -> list[tuple[str, str]]:
    if isinstance(one, BaseException) and isinstance(other, BaseException):
        return []
    if isinstance(one, BaseException) or isinstance(other, BaseException):
        error = one if isinstance(one, BaseException) else other
        return [(column, f"{text}: one raises {error}") for column in subject.columns]
    same = is_same(one, other)
    return [(subject.columns[position], text) for position in np.flatnonzero(~same).tolist()]
