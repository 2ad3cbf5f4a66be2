"""Every indicator that TA-Lib has not, held against its formula read bar by bar."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from corpus import readings as plain

from rangebar_enrich import BarContext
from rangebar_enrich.features import ta
from rangebar_enrich.features.ta import averages, oscillators

DAY_US = 86_400_000_000


def _price(bars):
    return bars["close"]


def _percent(_bars):
    return np.array(100.0)


def _volumes(bars):
    return bars["volume"].cumsum()


def _wiggle(bars):
    return bars["close"] / plain.windowed(np.std, 20, bars["close"])


def _largest(values, window):
    return plain.windowed(lambda seen: np.nanmax(np.abs(seen)), window, np.nan_to_num(values))


def _loudest(bars):
    """Return the largest volume so far beside those of the window: what a running sum carries."""
    return np.maximum.accumulate(bars["volume"]) / plain.mean(bars["volume"], 20)


def _hma(bars):
    lead = 2 * plain.wma(bars["close"], 10) - plain.wma(bars["close"], 20)
    return plain.wma(lead, 4)


def _tsi(bars):
    step = bars["close"] - plain.lag(bars["close"])
    top, bottom = (plain.ema(plain.ema(one, 25), 13) for one in (step, abs(step)))
    return 100 * top / bottom


def _ppo_signal(bars):
    fast, slow = (plain.ema(bars["close"], window) for window in (12, 26))
    return plain.ema(100 * (fast - slow) / slow, 9)


def _keltner(bars, side):
    spans = plain.true_range(bars["high"], bars["low"], bars["close"])
    return plain.ema(bars["close"], 20) + side * 2 * plain.wilder(spans, 10)


def _chaikin_volatility(bars):
    width = plain.ema(bars["high"] - bars["low"], 10)
    return 100 * (width / plain.lag(width, 10) - 1)


def _choppiness(bars):
    travel = plain.sums(14, plain.true_range(bars["high"], bars["low"], bars["close"]))
    span = plain.windowed(np.max, 14, bars["high"]) - plain.windowed(np.min, 14, bars["low"])
    return 100 * np.log10(travel / span) / np.log10(14)


def _ulcer(bars):
    fallen = 100 * (bars["close"] / plain.windowed(np.max, 14, bars["close"]) - 1)
    return np.sqrt(plain.mean(fallen**2, 14))


def _money_flow(bars):
    place = plain.close_location(bars["high"], bars["low"], bars["close"])
    return plain.sums(20, place, bars["volume"]) / plain.sums(20, bars["volume"])


def _ease(bars):
    middle = (bars["high"] + bars["low"]) / 2
    width = bars["high"] - bars["low"]
    return plain.mean((middle - plain.lag(middle)) * width / bars["volume"], 14)


def _ease_scale(bars):
    width = (bars["high"] - bars["low"]) / bars["volume"]
    return bars["close"] * _largest(width, 14)


def _trend(bars):
    change = bars["close"] / plain.lag(bars["close"]) - 1
    made = np.cumsum(np.nan_to_num(change * bars["volume"]))
    return np.where(np.isnan(change), np.nan, made)


def _efficiency(bars):
    step = abs(bars["close"] - plain.lag(bars["close"]))
    return abs(bars["close"] - plain.lag(bars["close"], 10)) / plain.sums(10, step)


def _zscore(bars):
    deviation = plain.windowed(lambda seen: np.std(seen, ddof=1), 20, bars["close"])
    return (bars["close"] - plain.mean(bars["close"], 20)) / deviation


# Column: the formula read bar by bar, and the scale of what it is made from.
READINGS = {
    "hma_20": (_hma, _price),
    "vwma_20": (
        lambda b: plain.sums(20, b["close"], b["volume"]) / plain.sums(20, b["volume"]),
        lambda b: b["close"] * _loudest(b),
    ),
    "awesome_5_34": (
        lambda b: (
            plain.mean((b["high"] + b["low"]) / 2, 5) - plain.mean((b["high"] + b["low"]) / 2, 34)
        ),
        _price,
    ),
    "ppo_signal_12_26_9": (_ppo_signal, _percent),
    "tsi_25_13": (_tsi, _percent),
    "keltner_upper_20_10_2": (lambda b: _keltner(b, 1), _price),
    "keltner_lower_20_10_2": (lambda b: _keltner(b, -1), _price),
    "chaikin_volatility_10_10": (_chaikin_volatility, _percent),
    "choppiness_14": (_choppiness, _percent),
    "ulcer_14": (_ulcer, _percent),
    "chaikin_money_flow_20": (
        _money_flow,
        _loudest,
    ),
    "force_index_13": (
        lambda b: plain.ema((b["close"] - plain.lag(b["close"])) * b["volume"], 13),
        lambda b: b["close"] * np.maximum.accumulate(b["volume"]),
    ),
    "ease_of_movement_14": (_ease, _ease_scale),
    "price_volume_trend": (_trend, _volumes),
    "zscore_20": (_zscore, _wiggle),
    "skew_20": (lambda b: plain.skew(b["close"], 20), lambda b: _wiggle(b) ** 2),
    "kurtosis_20": (lambda b: plain.kurtosis(b["close"], 20), lambda b: _wiggle(b) ** 2),
    "hurst_32": (lambda b: plain.hurst(b["close"], 32), lambda _: np.array(1.0)),
    "efficiency_10": (_efficiency, lambda _: np.array(1.0)),
    "session_vwap": (
        lambda b: plain.session_mean(b["vwap"], b["volume"], b["close_time"] // DAY_US),
        _price,
    ),
}


@pytest.fixture(scope="module")
def features(series):
    return dict(ta.Core().expressions(BarContext(columns=dict(series.schema))))


@pytest.mark.parametrize("column", READINGS)
def test_indicator_equals_its_formula(column, series, features, arrays, compute, assert_same):
    reading, scale = READINGS[column]
    bars = arrays(series)
    # NOTE: 40 days of bars, so that sessions begin and end.
    bars["close_time"] = bars["close_time"] * 40
    stretched = series.with_columns(pl.col("close_time") * 40)

    actual = compute(stretched, features[f"ta_{column}"])

    assert_same(actual, reading(bars), scale(bars))


def test_cmo_of_sums_is_as_chande_wrote_it(series, arrays, compute, assert_same):
    bars = arrays(series)
    step = bars["close"] - plain.lag(bars["close"])

    actual = compute(series, oscillators.cmo_of_sums(pl.col("close"), window=9))

    expected = 100 * plain.sums(9, step) / plain.sums(9, abs(step))
    assert_same(actual, expected, 100.0)


@pytest.mark.parametrize("hole", [0, 3, 40], ids="at={}".format)
def test_seed_counts_values_not_rows(hole, series, compute, assert_same):
    bars = series.head(400).with_columns(
        close=pl.when(pl.int_range(pl.len()) != hole).then("close")
    )

    actual = compute(bars, averages.wilder(pl.col("close"), window=14))

    values = bars["close"].fill_null(np.nan).to_numpy()
    assert_same(actual, plain.wilder(values, 14), np.nanmax(values))
    assert np.flatnonzero(~np.isnan(actual))[0] == (13 if hole > 13 else 14)
