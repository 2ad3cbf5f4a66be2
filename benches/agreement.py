"""See that contenders agree before any of their times counts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from benches.contest import Contest

TOLERANCE = 1e-9


class DisagreementError(AssertionError):
    """Two contenders computed different values."""


def check_agreement(contest: Contest) -> int:
    """Run every contender once and hold its features against the first one's.

    Returns:
        How many contenders were compared.

    Raises:
        DisagreementError: Names, null patterns or values differ.
    """
    reference: pl.DataFrame | None = None
    compared = 0
    for contender in contest.contenders:
        result = contender.run(contender.prepare() if contender.prepare else None)
        if contender.values is None:
            continue
        values = contender.values(result)
        if reference is None:
            reference = values
        else:
            shared = [name for name in reference.columns if name not in contender.differs]
            _compare(
                contender.name,
                reference.select(shared),
                values.drop(contender.differs, strict=False),
                contest.scales,
            )
        compared += 1
    return compared


def _compare(
    name: str, expected: pl.DataFrame, actual: pl.DataFrame, scales: Mapping[str, pl.Series]
) -> None:
    missing = set(expected.columns) ^ set(actual.columns)
    if missing:
        msg = f"{name}: columns differ: {sorted(missing)}"
        raise DisagreementError(msg)
    for column in expected.columns:
        want, got = _undefined_is_null(expected[column]), _undefined_is_null(actual[column])
        if not (want.is_null() == got.is_null()).all():
            first = (want.is_null() != got.is_null()).arg_max()
            msg = f"{name}: {column} has another pattern of nulls, first at row {first}"
            raise DisagreementError(msg)
        scale = scales.get(column)
        allowed = np.ones(len(want)) if scale is None else _numbers(scale.fill_null(1.0))
        wrong = np.abs(_numbers(want) - _numbers(got)) > TOLERANCE * np.maximum(allowed, 1.0)
        if wrong.any():
            row = int(wrong.argmax())
            msg = f"{name}: {column} differs at row {row}: {got[row]!r}, expected {want[row]!r}"
            raise DisagreementError(msg)


def _undefined_is_null(series: pl.Series) -> pl.Series:
    return series.cast(pl.Float64).fill_nan(None)


def _numbers(series: pl.Series) -> np.ndarray:
    return series.fill_null(0.0).to_numpy()
