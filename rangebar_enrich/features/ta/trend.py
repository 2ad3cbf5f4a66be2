"""Trend: differences of averages, direction and age of extremes.

Left out: parabolic SAR and SuperTrend. Their next value depends on their last one through a
comparison (the stop follows until it is crossed, then turns around); no operator of Polars that
goes on from a held state does that, and a loop in Python would be neither proven nor held.
"""

from __future__ import annotations

import polars as pl

from rangebar_enrich.features._arithmetic import divide, divide_by_positive
from rangebar_enrich.features.ta.averages import ema, from_value, wilder
from rangebar_enrich.features.ta.oscillators import rate_of_change
from rangebar_enrich.features.ta.volatility import true_range


def macd(values: pl.Expr, *, fast: int, slow: int) -> pl.Expr:
    """Moving average convergence/divergence: ema(x, f) - ema(x, s).

    Both averages begin with the same bar: the fast one is seeded by the last f of the first s values.

    Source: Appel, The Moving Average Convergence-Divergence Trading Method, 1979
    Unit: price
    TA-Lib: MACD
    """
    return ema(from_value(values, slow - fast), window=fast) - ema(values, window=slow)


def macd_signal(values: pl.Expr, *, fast: int, slow: int, signal: int) -> pl.Expr:
    """MACD's signal line: ema(macd, g).

    Source: Appel, The Moving Average Convergence-Divergence Trading Method, 1979
    Unit: price
    TA-Lib: MACD
    """
    return ema(macd(values, fast=fast, slow=slow), window=signal)


def macd_histogram(values: pl.Expr, *, fast: int, slow: int, signal: int) -> pl.Expr:
    """MACD's histogram: macd - signal line.

    Source: Aspray, 1986
    Unit: price
    TA-Lib: MACD
    """
    return macd(values, fast=fast, slow=slow) - macd_signal(
        values, fast=fast, slow=slow, signal=signal
    )


def ppo(values: pl.Expr, *, fast: int, slow: int) -> pl.Expr:
    """Percentage price oscillator: 100·(ema(x, f) / ema(x, s) - 1).

    Unlike in `macd`, the fast average is seeded by the first f values.

    Source: Appel, Technical Analysis: Power Tools for Active Investors, 2005
    Unit: percent
    TA-Lib: PPO with matype=1
    """
    slower = ema(values, window=slow)
    return 100.0 * divide(ema(values, window=fast) - slower, slower)


def ppo_signal(values: pl.Expr, *, fast: int, slow: int, signal: int) -> pl.Expr:
    """PPO's signal line: ema(ppo, g).

    Source: Appel, Technical Analysis: Power Tools for Active Investors, 2005
    Unit: percent
    """
    return ema(ppo(values, fast=fast, slow=slow), window=signal)


def trix(values: pl.Expr, *, window: int) -> pl.Expr:
    """TRIX: 100·(E³ / E³[-1] - 1), E³ = ema three times.

    Source: Hutson, Good TRIX, 1983
    Unit: percent per bar
    TA-Lib: TRIX
    """
    return rate_of_change(
        ema(ema(ema(values, window=window), window=window), window=window), window=1
    )


def tsi(values: pl.Expr, *, slow: int, fast: int) -> pl.Expr:
    """True strength index: 100·ema(ema(Δx, s), f) / ema(ema(|Δx|, s), f).

    Source: Blau, True Strength Index, 1991
    Unit: percent
    """
    change = values - values.shift(1)
    return 100.0 * divide_by_positive(
        ema(ema(change, window=slow), window=fast), ema(ema(change.abs(), window=slow), window=fast)
    )


def aroon_up(high: pl.Expr, *, window: int) -> pl.Expr:
    """Aroon up: 100·(w - bars since the highest high of the last w + 1 bars) / w.

    Of equal extremes the latest counts.

    Source: Chande, A Time Price Oscillator, 1995
    Unit: percent
    TA-Lib: AROON
    """
    return 100.0 - 100.0 / window * _bars_since_max(high, window + 1)


def aroon_down(low: pl.Expr, *, window: int) -> pl.Expr:
    """Aroon down: 100·(w - bars since the lowest low of the last w + 1 bars) / w.

    Source: Chande, A Time Price Oscillator, 1995
    Unit: percent
    TA-Lib: AROON
    """
    return aroon_up(-low, window=window)


def aroon_oscillator(high: pl.Expr, low: pl.Expr, *, window: int) -> pl.Expr:
    """Aroon oscillator: aroon up - aroon down.

    Source: Chande, A Time Price Oscillator, 1995
    Unit: percent
    TA-Lib: AROONOSC
    """
    return aroon_up(high, window=window) - aroon_down(low, window=window)


def di_plus(high: pl.Expr, low: pl.Expr, close: pl.Expr, *, window: int) -> pl.Expr:
    """Plus directional indicator: 100·W(+DM) / W(TR), W Wilder's mean over w.

    +DM is the rise of the high where it is above 0 and above the fall of the low, else 0.

    Source: Wilder, New Concepts in Technical Trading Systems, 1978
    Unit: percent
    TA-Lib: PLUS_DI
    """
    return _directed(_rise(high), _rise(-low), true_range(high, low, close), window)


def di_minus(high: pl.Expr, low: pl.Expr, close: pl.Expr, *, window: int) -> pl.Expr:
    """Minus directional indicator: 100·W(-DM) / W(TR), W Wilder's mean over w.

    -DM is the fall of the low where it is above 0 and above the rise of the high, else 0.

    Source: Wilder, New Concepts in Technical Trading Systems, 1978
    Unit: percent
    TA-Lib: MINUS_DI
    """
    return _directed(_rise(-low), _rise(high), true_range(high, low, close), window)


def adx(high: pl.Expr, low: pl.Expr, close: pl.Expr, *, window: int) -> pl.Expr:
    """Average directional index: W(100·|+DI - -DI| / (+DI + -DI)), W Wilder's mean over w.

    Source: Wilder, New Concepts in Technical Trading Systems, 1978
    Unit: percent
    TA-Lib: ADX
    """
    up, down = di_plus(high, low, close, window=window), di_minus(high, low, close, window=window)
    return wilder(100.0 * divide_by_positive((up - down).abs(), up + down), window=window)


def _rise(values: pl.Expr) -> pl.Expr:
    return values - values.shift(1)


def _directed(mine: pl.Expr, other: pl.Expr, span: pl.Expr, window: int) -> pl.Expr:
    counts = (mine > other) & (mine > 0.0)
    moved = pl.when(counts).then(mine).when(mine.is_not_null() & other.is_not_null()).then(0.0)
    return 100.0 * divide_by_positive(wilder(moved, window=window), wilder(span, window=window))


def _bars_since_max(values: pl.Expr, window: int) -> pl.Expr:
    """Return how many bars ago the largest value of the window was; the latest of equals.

    Built by doubling: of two windows of half the size, or overlapping ones, the newer one has it
    unless the older one's maximum is larger.
    """
    if window == 1:
        return (values * 0.0).abs()
    half = 1 << ((window - 1).bit_length() - 1)
    older = window - half
    ages = _bars_since_max(values, half)
    newest = values.rolling_max(half)
    return (
        pl.when(newest >= newest.shift(older))
        .then(ages)
        .when(newest < newest.shift(older))
        .then(ages.shift(older) + float(older))
    )
