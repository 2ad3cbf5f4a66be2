"""The formulas, against NumPy and by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from rangebar_momentum import Momentum


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    """Return 200 bars whose close wanders."""
    rng = np.random.default_rng(1)
    closes = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.0025, 201)))
    return pl.DataFrame({"open": closes[:-1], "close": closes[1:]})


@pytest.fixture(scope="module")
def features(bars: pl.DataFrame) -> pl.DataFrame:
    """Return the provider's columns for those bars."""
    return bars.select(Momentum().expressions(None))


def test_columns_are_those_declared(features: pl.DataFrame) -> None:
    """Expressions and declaration agree."""
    assert tuple(features.columns) == Momentum.columns


def test_values_follow_the_formulas(bars: pl.DataFrame, features: pl.DataFrame) -> None:
    """The last row equals the formulas written in NumPy."""
    opens, closes = bars["open"].to_numpy(), bars["close"].to_numpy()
    window = closes[-20:]
    expected = (
        closes[-1] / closes[-21] - 1.0,
        (closes[-1] - window.mean()) / window.std(ddof=1),
        (closes[-20:] > opens[-20:]).mean(),
    )
    assert features.row(-1) == pytest.approx(expected)


def test_warm_up_covers_every_null(features: pl.DataFrame) -> None:
    """Nothing is null after `min_bars` rows."""
    after = features.slice(Momentum.min_bars)
    assert after.null_count().row(0) == (0, 0, 0)


def test_later_bars_change_nothing(bars: pl.DataFrame, features: pl.DataFrame) -> None:
    """A prefix of the bars gives a prefix of the features."""
    past = bars.head(90).select(Momentum().expressions(None))
    assert past.equals(features.head(90))
