"""Oscillators: where the price stands within what it did lately."""

from __future__ import annotations

from functools import reduce
from operator import add

import polars as pl

from rangebar_enrich.features._arithmetic import divide, divide_by_positive
from rangebar_enrich.features._windows import NOISE, smaller
from rangebar_enrich.features.ta.averages import sma, wilder
from rangebar_enrich.features.ta.volatility import true_range


def rsi(close: pl.Expr, *, window: int) -> pl.Expr:
    """Relative strength index: 100·U / (U + D), U and D Wilder's means of rises and of falls.

    Source: Wilder, New Concepts in Technical Trading Systems, 1978
    Unit: percent
    TA-Lib: RSI
    """
    # NOTE: rises less falls is the mean change, rises plus falls that of its size.
    return 50.0 + 0.5 * cmo(close, window=window)


def cmo(close: pl.Expr, *, window: int) -> pl.Expr:
    """Chande momentum oscillator: 100·(U - D) / (U + D), U and D Wilder's means as in `rsi`.

    It is 2·RSI - 100, as in TA-Lib; `cmo_of_sums` is the one that Chande wrote down.

    Source: Chande and Kroll, The New Technical Trader, 1994
    Unit: percent
    TA-Lib: CMO
    """
    change = close - close.shift(1)
    return 100.0 * divide_by_positive(
        wilder(change, window=window), wilder(change.abs(), window=window)
    )


def cmo_of_sums(close: pl.Expr, *, window: int) -> pl.Expr:
    """Chande momentum oscillator of sums: 100·Σ Δclose / Σ |Δclose| over w.

    Source: Chande and Kroll, The New Technical Trader, 1994
    Unit: percent
    """
    travel = (close - close.shift(1)).abs().rolling_sum(window)
    return 100.0 * divide_by_positive(close - close.shift(window), travel)


def stochastic_k(high: pl.Expr, low: pl.Expr, close: pl.Expr, *, window: int) -> pl.Expr:
    """Stochastic, fast %K: 100·(close - min(low, w)) / (max(high, w) - min(low, w)).

    Source: Lane, Lane's Stochastics, 1984
    Unit: percent
    TA-Lib: STOCHF
    """
    lowest = low.rolling_min(window)
    return 100.0 * divide(close - lowest, high.rolling_max(window) - lowest)


def stochastic_d(
    high: pl.Expr, low: pl.Expr, close: pl.Expr, *, window: int, smoothing: int
) -> pl.Expr:
    """Stochastic, fast %D or slow %K: mean(%K, s).

    Source: Lane, Lane's Stochastics, 1984
    Unit: percent
    TA-Lib: STOCHF
    """
    return sma(stochastic_k(high, low, close, window=window), window=smoothing)


def stochastic_slow_d(
    high: pl.Expr, low: pl.Expr, close: pl.Expr, *, window: int, smoothing: int, again: int
) -> pl.Expr:
    """Stochastic, slow %D: mean(mean(%K, s), t).

    Source: Lane, Lane's Stochastics, 1984
    Unit: percent
    TA-Lib: STOCH
    """
    return sma(stochastic_d(high, low, close, window=window, smoothing=smoothing), window=again)


def stochastic_rsi(close: pl.Expr, *, smoothing: int, window: int) -> pl.Expr:
    """Stochastic of the RSI: 100·(R - min(R, w)) / (max(R, w) - min(R, w)), R = rsi(close, s).

    Undefined where R stands still but for its rounding, as it does while nothing moves.

    Source: Chande and Kroll, The New Technical Trader, 1994
    Unit: percent
    TA-Lib: STOCHRSI
    """
    strength = rsi(close, window=smoothing)
    lowest = strength.rolling_min(window)
    span = strength.rolling_max(window) - lowest
    return pl.when(span > 100.0 * NOISE).then(100.0 * (strength - lowest) / span)


def stochastic_rsi_d(close: pl.Expr, *, smoothing: int, window: int, again: int) -> pl.Expr:
    """Stochastic of the RSI, smoothed: mean(stochastic_rsi, t).

    Source: Chande and Kroll, The New Technical Trader, 1994
    Unit: percent
    TA-Lib: STOCHRSI
    """
    return sma(stochastic_rsi(close, smoothing=smoothing, window=window), window=again)


def williams_r(high: pl.Expr, low: pl.Expr, close: pl.Expr, *, window: int) -> pl.Expr:
    """Williams %R: -100·(max(high, w) - close) / (max(high, w) - min(low, w)).

    Source: Williams, How I Made One Million Dollars Last Year Trading Commodities, 1973
    Unit: percent, -100 to 0
    TA-Lib: WILLR
    """
    highest = high.rolling_max(window)
    return -100.0 * divide(highest - close, highest - low.rolling_min(window))


def cci(high: pl.Expr, low: pl.Expr, close: pl.Expr, *, window: int) -> pl.Expr:
    """Commodity channel index: (T - M) / (0.015·mean(|T - M|, w)), T = h + l + c, M = mean(T, w).

    The mean deviation is that of the window's values from M of the current bar. A third of T, the typical
    price, gives the same.

    Source: Lambert, Commodity Channel Index, 1980
    Unit: mean deviations / 0.015
    TA-Lib: CCI
    """
    typical = high + low + close
    mean = sma(typical, window=window)
    deviation = reduce(add, ((typical.shift(k) - mean).abs() for k in range(window))) / window
    return divide_by_positive(typical - mean, 0.015 * deviation)


def ultimate(
    high: pl.Expr, low: pl.Expr, close: pl.Expr, *, short: int, middle: int, long: int
) -> pl.Expr:
    """Ultimate oscillator: 100·(4·A(s) + 2·A(m) + A(l)) / 7, A(w) = Σ B / Σ TR over w.

    B is the close less the lower of the low and the close before, TR the true range.

    Source: Williams, The Ultimate Oscillator, 1985
    Unit: percent
    TA-Lib: ULTOSC
    """
    bought = close - smaller(low, close.shift(1))
    span = true_range(high, low, close)

    def share(window: int) -> pl.Expr:
        return divide_by_positive(bought.rolling_sum(window), span.rolling_sum(window))

    return 100.0 / 7.0 * (4.0 * share(short) + 2.0 * share(middle) + share(long))


def awesome(high: pl.Expr, low: pl.Expr, *, short: int, long: int) -> pl.Expr:
    """Awesome oscillator: mean(M, s) - mean(M, l), M = (high + low) / 2.

    Source: Williams, New Trading Dimensions, 1998
    Unit: price
    """
    middle = (high + low) * 0.5
    return sma(middle, window=short) - sma(middle, window=long)


def momentum(values: pl.Expr, *, window: int) -> pl.Expr:
    """Momentum: x - x[-w].

    Source: Achelis, Technical Analysis from A to Z, 2nd ed. 2000
    Unit: price
    TA-Lib: MOM
    """
    return values - values.shift(window)


def rate_of_change(values: pl.Expr, *, window: int) -> pl.Expr:
    """Rate of change: 100·(x / x[-w] - 1).

    Source: Achelis, Technical Analysis from A to Z, 2nd ed. 2000
    Unit: percent
    TA-Lib: ROC
    """
    return 100.0 * (divide(values, values.shift(window)) - 1.0)
