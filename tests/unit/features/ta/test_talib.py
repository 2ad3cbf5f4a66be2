"""Every indicator that TA-Lib has too, held against it on simulated and on real bars."""

from __future__ import annotations

import numpy as np
import pytest

from rangebar_enrich import BarContext
from rangebar_enrich.features import ta

talib = pytest.importorskip("talib")


def _window(values, w, reduce):
    seen = np.lib.stride_tricks.sliding_window_view(values, w)
    return np.concatenate([np.full(w - 1, np.nan), reduce(seen, axis=1)])


def _spread(bars, w):
    """Return how far an error of the price moves what is divided by the range of `w` bars."""
    range_ = _window(bars["high"], w, np.max) - _window(bars["low"], w, np.min)
    return 100.0 * bars["close"] / range_


def _price(bars):
    return bars["close"]


def _percent(_bars):
    return np.array(100.0)


def _correlation(bars):
    row = np.arange(len(bars["close"]), dtype=np.float64)
    return talib.CORREL(bars["close"], row, 14) ** 2


def _wiggle(bars, w):
    """Return the level of prices beside their deviation: what a ratio of deviations loses."""
    return bars["close"] / _window(bars["close"], w, np.std)


def _money_flow(bars):
    """Return TA-Lib's values; without those of windows that hold a change that is mere rounding.

    The volume is in millionths: TA-Lib gives 0 where the flows of a window add up to less than 1.
    """
    high, low, close = bars["high"], bars["low"], bars["close"]
    made = talib.MFI(high, low, close, bars["volume"] * 1e6, 14)
    typical = (high + low + close) / 3
    change = np.abs(np.diff(typical, prepend=np.nan))
    noise = _window((change > 0) & (change < 1e-12 * typical), 14, np.max)
    return np.where(noise == 1, np.nan, made)


# Column: TA-Lib's values, the scale of what they are made from, and the rows of the seed period.
TWINS = {
    "sma_20": (lambda b: talib.SMA(b["close"], 20), _price, 0),
    "ema_20": (lambda b: talib.EMA(b["close"], 20), _price, 0),
    "wma_20": (lambda b: talib.WMA(b["close"], 20), _price, 0),
    "dema_20": (lambda b: talib.DEMA(b["close"], 20), _price, 0),
    "tema_20": (lambda b: talib.TEMA(b["close"], 20), _price, 0),
    "rsi_14": (lambda b: talib.RSI(b["close"], 14), _percent, 0),
    "stochastic_k_14": (
        lambda b: talib.STOCHF(b["high"], b["low"], b["close"], 14, 1)[0],
        lambda b: _spread(b, 14),
        0,
    ),
    "stochastic_d_14_3": (
        lambda b: talib.STOCHF(b["high"], b["low"], b["close"], 14, 3)[1],
        lambda b: _window(_spread(b, 14), 3, np.max),
        0,
    ),
    "stochastic_slow_d_14_3_3": (
        lambda b: talib.STOCH(b["high"], b["low"], b["close"], 14, 3, 0, 3, 0)[1],
        lambda b: _window(_spread(b, 14), 5, np.max),
        0,
    ),
    "stochastic_rsi_14_14": (
        lambda b: talib.STOCHRSI(b["close"], 14, 14, 1)[0],
        lambda _: np.array(1e4),
        0,
    ),
    "stochastic_rsi_d_14_14_3": (
        lambda b: talib.STOCHRSI(b["close"], 14, 14, 3)[1],
        lambda _: np.array(1e4),
        0,
    ),
    "williams_r_14": (
        lambda b: talib.WILLR(b["high"], b["low"], b["close"], 14),
        lambda b: _spread(b, 14),
        0,
    ),
    "cci_20": (
        lambda b: talib.CCI(b["high"], b["low"], b["close"], 20),
        lambda b: _spread(b, 20),
        0,
    ),
    "cmo_14": (lambda b: talib.CMO(b["close"], 14), _percent, 0),
    "ultimate_7_14_28": (
        lambda b: talib.ULTOSC(b["high"], b["low"], b["close"], 7, 14, 28),
        lambda b: _spread(b, 7),
        0,
    ),
    "momentum_10": (lambda b: talib.MOM(b["close"], 10), _price, 0),
    "rate_of_change_10": (lambda b: talib.ROC(b["close"], 10), _percent, 0),
    "macd_12_26": (lambda b: _macd(b, 0), _price, 33),
    "macd_signal_12_26_9": (lambda b: _macd(b, 1), _price, 0),
    "macd_histogram_12_26_9": (lambda b: _macd(b, 2), _price, 0),
    "ppo_12_26": (lambda b: talib.PPO(b["close"], 12, 26, 1), _percent, 0),
    "trix_15": (lambda b: talib.TRIX(b["close"], 15), _percent, 0),
    "aroon_up_25": (lambda b: talib.AROON(b["high"], b["low"], 25)[1], _percent, 0),
    "aroon_down_25": (lambda b: talib.AROON(b["high"], b["low"], 25)[0], _percent, 0),
    "aroon_oscillator_25": (lambda b: talib.AROONOSC(b["high"], b["low"], 25), _percent, 0),
    "di_plus_14": (lambda b: talib.PLUS_DI(b["high"], b["low"], b["close"], 14), _percent, 300),
    "di_minus_14": (lambda b: talib.MINUS_DI(b["high"], b["low"], b["close"], 14), _percent, 300),
    "adx_14": (lambda b: talib.ADX(b["high"], b["low"], b["close"], 14), _percent, 400),
    "true_range": (lambda b: talib.TRANGE(b["high"], b["low"], b["close"]), _price, 0),
    "atr_14": (lambda b: talib.ATR(b["high"], b["low"], b["close"], 14), _price, 0),
    "natr_14": (lambda b: talib.NATR(b["high"], b["low"], b["close"], 14), _percent, 0),
    "bollinger_upper_20_2": (lambda b: talib.BBANDS(b["close"], 20, 2, 2, 0)[0], _price, 0),
    "bollinger_lower_20_2": (lambda b: talib.BBANDS(b["close"], 20, 2, 2, 0)[2], _price, 0),
    "bollinger_percent_20_2": (lambda b: _bands(b)[0], lambda b: _wiggle(b, 20) ** 2, 0),
    "bollinger_width_20_2": (lambda b: _bands(b)[1], lambda b: _wiggle(b, 20), 0),
    "donchian_upper_20": (lambda b: talib.MAX(b["high"], 20), _price, 0),
    "donchian_lower_20": (lambda b: talib.MIN(b["low"], 20), _price, 0),
    "obv": (lambda b: talib.OBV(b["close"], b["volume"]), lambda b: b["volume"].cumsum(), 0),
    "accumulation": (
        lambda b: talib.AD(b["high"], b["low"], b["close"], b["volume"]),
        lambda b: b["volume"].cumsum(),
        0,
    ),
    "mfi_14": (
        _money_flow,
        lambda b: 100.0 * _window(b["volume"], 15, np.max) / _window(b["volume"], 14, np.min),
        0,
    ),
    "slope_14": (lambda b: talib.LINEARREG_SLOPE(b["close"], 14), _price, 0),
    "intercept_14": (lambda b: talib.LINEARREG_INTERCEPT(b["close"], 14), _price, 0),
    "r_squared_14": (_correlation, lambda b: _wiggle(b, 14) ** 2, 0),
}


def _macd(bars, which):
    return talib.MACD(bars["close"], 12, 26, 9)[which]


def _bands(bars):
    upper, middle, lower = talib.BBANDS(bars["close"], 20, 2, 2, 0)
    return (bars["close"] - lower) / (upper - lower), (upper - lower) / middle


@pytest.fixture(scope="module")
def features(series):
    context = BarContext(columns=dict(series.schema))
    return dict(ta.Core().expressions(context))


@pytest.mark.parametrize("column", TWINS)
def test_indicator_equals_talib(column, series, features, arrays, compute, assert_same):
    twin, scale, seed = TWINS[column]
    bars = arrays(series)

    actual = compute(series, features[f"ta_{column}"])

    expected = twin(bars)
    if column == "mfi_14":
        actual = np.where(np.isnan(expected) & (np.arange(len(actual)) >= 14), np.nan, actual)
    assert_same(actual, expected, scale(bars), seed=seed)
