from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

SERIES = ["simulated", "real"]


@pytest.fixture(scope="session", params=SERIES)
def series(request, make_bars) -> pl.DataFrame:
    """Return bars with the builder's columns: simulated ones, and the exchange's at 50 dbps."""
    if request.param == "simulated":
        return pl.DataFrame(make_bars(1_500, seed=5))
    return pl.DataFrame(request.getfixturevalue("real_batch")(50))


@pytest.fixture(scope="session")
def arrays() -> Callable[[pl.DataFrame], dict[str, np.ndarray]]:
    """Return the numeric columns of bars as float64 arrays, by name."""
    return lambda bars: {
        one.name: one.cast(pl.Float64).to_numpy()
        for one in bars.get_columns()
        if one.dtype.is_numeric()
    }


@pytest.fixture(scope="session")
def compute() -> Callable[[pl.DataFrame, pl.Expr], np.ndarray]:
    """Return what an expression makes of bars; null is NaN, and NaN is refused."""

    def run(bars: pl.DataFrame, expr: pl.Expr) -> np.ndarray:
        made = bars.lazy().select(made=expr).collect(engine="in-memory")["made"]
        made = made.cast(pl.Float64)
        assert not made.is_nan().any(), "undefined is null by construction"
        assert not made.is_infinite().any()
        return made.to_numpy()

    return run


@pytest.fixture(scope="session")
def assert_same() -> Callable[..., None]:
    """Compare two readings of a formula: where they are defined, and to 1e-9 of the scale."""

    def check(actual, expected, scale, *, seed: int = 0, tolerance: float = 1e-9) -> None:
        actual, expected = actual[seed:], np.asarray(expected, dtype=np.float64)[seed:]
        np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
        seen = ~np.isnan(expected)
        assert seen.sum() > 100
        scale = np.broadcast_to(scale, (len(actual) + seed,))[seed:]
        error = np.abs(actual - expected)[seen] / np.maximum(scale[seen], 1e-300)
        assert error.max() <= tolerance, (error.max(), seed + np.flatnonzero(seen)[error.argmax()])

    return check
