from __future__ import annotations

from fractions import Fraction
from math import sqrt

import numpy as np
import polars as pl
import pytest

from rangebar_enrich._windows import Window

from .conftest import compute, with_polars

EPS = 2.0**-52


def _walk(rng, rows):
    return 100.0 + rng.normal(size=rows).cumsum()


def _flat(rng, rows):
    values = _walk(rng, rows)
    values[rows // 3 : rows // 2] = values[rows // 3]
    return values


SERIES = {
    "walk": _walk,
    "flat": _flat,
    "tight": lambda rng, rows: 1.0 + 1e-9 * rng.normal(size=rows),
    "alternating": lambda _, rows: np.where(np.arange(rows) % 2, 1e15, 1.0),
    "volumes": lambda rng, rows: rng.lognormal(0.0, 4.0, rows),
    "signs": lambda rng, rows: rng.normal(size=rows),
}


def _moments(rows):
    exact = [Fraction(float(value)) for value in rows]
    mean = sum(exact) / len(exact)
    return exact, mean, [sum((value - mean) ** power for value in exact) for power in (2, 3, 4)]


@pytest.mark.parametrize("scale", [1e-7, 1.0, 1e7])
@pytest.mark.parametrize("name", SERIES)
def test_mean_and_deviation_are_exact_to_rounding(name, scale):
    values = SERIES[name](np.random.default_rng(5), 400) * scale
    for size in (3, 20, 100):
        mean, std = compute(
            pl.Series(values), Window("mean", size, size), Window("std", size, size)
        )
        for row in range(size - 1, 400, 37):
            window, exact, (squares, *_) = _moments(values[row + 1 - size : row + 1])
            largest = max(abs(float(value)) for value in window)
            assert abs(Fraction(mean[row]) - exact) <= 2 * Fraction(float(np.spacing(largest)))
            truth = sqrt(squares / (size - 1))
            if truth == 0:
                assert std[row] == 0
            else:
                allowed = 16 * EPS * (1 + abs(float(exact)) / truth)
                assert abs(std[row] - truth) <= allowed * truth


@pytest.mark.parametrize("name", ["walk", "volumes", "signs", "tight"])
def test_higher_moments_are_near_the_exact_ones(name):
    values = SERIES[name](np.random.default_rng(6), 300)
    for size in (5, 50):
        skew, kurtosis = compute(
            pl.Series(values), Window("skew", size, size), Window("kurtosis", size, size)
        )
        for row in range(size - 1, 300, 29):
            _, mean, (m2, m3, m4) = (*_moments(values[row + 1 - size : row + 1]),)
            variance = float(m2 / size)
            noise = 64 * EPS * (1 + abs(float(mean)) / sqrt(variance))
            assert skew[row] == pytest.approx(float(m3 / size) / variance**1.5, abs=noise * 10)
            assert kurtosis[row] == pytest.approx(
                float(m4 / size) / variance**2 - 3, abs=noise * 10 * float(m4 / size) / variance**2
            )


@pytest.mark.parametrize("name", ["walk", "volumes", "signs"])
def test_covariance_and_correlation_are_near_the_exact_ones(name):
    rng = np.random.default_rng(8)
    left, right = SERIES[name](rng, 300), SERIES[name](rng, 300)
    for size in (5, 50):
        windows = Window("cov", size, size), Window("corr", size, size)
        covariance, correlation = compute((pl.Series(left), pl.Series(right)), *windows)
        for row in range(size - 1, 300, 31):
            rows = slice(row + 1 - size, row + 1)
            x, mean_x, (xx, *_) = _moments(left[rows])
            y, mean_y, (yy, *_) = _moments(right[rows])
            pairs = zip(x, y, strict=True)
            products = sum((a - mean_x) * (b - mean_y) for a, b in pairs)
            spread = sqrt(xx * yy)
            noise = 64 * EPS * (1 + abs(float(mean_x * mean_y)) / spread * size)
            assert correlation[row] == pytest.approx(float(products) / spread, abs=noise)
            assert covariance[row] * (size - 1) == pytest.approx(
                float(products), abs=noise * spread
            )


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize("kind", ["mean", "std"])
def test_is_never_less_accurate_than_polars(name, kind):
    values = SERIES[name](np.random.default_rng(9), 10_100)
    series, window = pl.Series(values), Window(kind, 20, 20)
    ours, theirs = compute(series, window)[0].to_numpy(), with_polars((series,), window).to_numpy()
    # NOTE: where both agree neither is farther; the exact value is only needed where they differ.
    rows = [row for row in np.flatnonzero(ours != theirs) if row >= 19][::7]

    worst = [0.0, 0.0]
    for row in rows:
        _, mean, (squares, *_) = _moments(values[row - 19 : row + 1])
        exact = mean if kind == "mean" else Fraction(sqrt(squares / 19))
        for place, value in enumerate((ours[row], theirs[row])):
            off = abs(Fraction(float(value)) - exact) if np.isfinite(value) else Fraction(10**30)
            worst[place] = max(worst[place], float(off))

    assert worst[0] <= worst[1] + 2 * float(np.spacing(np.abs(values).max()))
