"""Trend: differences of averages, direction and age of extremes.

Left out: parabolic SAR and SuperTrend. Their next value depends on their last one through a
comparison (the stop follows until it is crossed, then turns around); no operator of Polars that
goes on from a held state does that, and a loop in Python would be neither proven nor held.
"""

from __future__ import annotations

import polars as pl

from rangebar_enrich.features._arithmetic import divide, divide_by_positive
from rangebar_enrich.features.ta.averages import ema, ema_of_ema, values_after, wilder
from rangebar_enrich.features.ta.oscillators import rate_of_change
from rangebar_enrich.features.ta.volatility import true_range


def macd(values: pl.Expr, *, fast: int, slow: int) -> pl.Expr:
    """Moving average convergence/divergence: ema(x, f) - ema(x, s).

    Both averages begin with the same bar: the fast one is seeded by the last f of the first s values.

    Source: Appel, The Moving Average Convergence-Divergence Trading Method, 1979
    Unit: price
    TA-Lib: MACD
    """
    late = values_after(values, slow - fast)
    faster = ema(pl.when(late > 0).then(values), window=fast, count=late)
    return faster - ema(values, window=slow)


def macd_signal(values: pl.Expr, *, fast: int, slow: int, signal: int) -> pl.Expr:
    """MACD's signal line: ema(macd, g).

    Source: Appel, The Moving Average Convergence-Divergence Trading Method, 1979
    Unit: price
    TA-Lib: MACD
    """
    line = macd(values, fast=fast, slow=slow)
    return ema(line, window=signal, count=values_after(values, slow - 1))


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
    line = ppo(values, fast=fast, slow=slow)
    return ema(line, window=signal, count=values_after(values, slow - 1))


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
    moved, travelled = (ema_of_ema(one, windows=[slow, fast]) for one in (change, change.abs()))
    return 100.0 * divide_by_positive(moved, travelled)


def aroon_up(high: pl.Expr, *, window: int) -> pl.Expr:
    """Aroon up: 100·(w - bars since the highest high of the last w + 1 bars) / w.

    Of equal extremes the latest counts.

    Source: Chande, A Time Price Oscillator, 1995
    Unit: percent
    TA-Lib: AROON
    """
    whole = high.rolling_max(window + 1).is_not_null()
    return pl.when(whole).then(100.0 - 100.0 / window * _bars_since_max(high, window + 1))


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
    return _directed(_moves(high, low)[0], true_range(high, low, close), window)


def di_minus(high: pl.Expr, low: pl.Expr, close: pl.Expr, *, window: int) -> pl.Expr:
    """Minus directional indicator: 100·W(-DM) / W(TR), W Wilder's mean over w.

    -DM is the fall of the low where it is above 0 and above the rise of the high, else 0.

    Source: Wilder, New Concepts in Technical Trading Systems, 1978
    Unit: percent
    TA-Lib: MINUS_DI
    """
    return _directed(_moves(high, low)[1], true_range(high, low, close), window)


def adx(high: pl.Expr, low: pl.Expr, *, window: int) -> pl.Expr:
    """Average directional index: W(100·|+DI - -DI| / (+DI + -DI)), W Wilder's mean over w.

    Source: Wilder, New Concepts in Technical Trading Systems, 1978
    Unit: percent
    TA-Lib: ADX
    """
    # NOTE: the true range is in both indicators, and their ratio has none of it.
    up, down = (wilder(one, window=window) for one in _moves(high, low))
    return wilder(100.0 * divide_by_positive((up - down).abs(), up + down), window=window)


def _moves(high: pl.Expr, low: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """Return Wilder's +DM and -DM."""
    up, down = high - high.shift(1), low.shift(1) - low
    return _larger_rise(up, down), _larger_rise(down, up)


def _larger_rise(mine: pl.Expr, other: pl.Expr) -> pl.Expr:
    """Return the move where it is above 0 and above the other one, else 0; null where one is."""
    return ((mine > other) & (mine > 0.0)).cast(pl.Float64) * mine


def _directed(move: pl.Expr, span: pl.Expr, window: int) -> pl.Expr:
    return 100.0 * divide_by_positive(wilder(move, window=window), wilder(span, window=window))


def _bars_since_max(values: pl.Expr, window: int) -> pl.Expr:
    """Return how many bars ago the largest value of the window was; the latest of equals.

    Built by doubling: of two windows of half the size, or overlapping ones, the newer one has it
    unless the older one's maximum is larger. `window` is 2 or more.
    """
    half = 1 << ((window - 1).bit_length() - 1)
    older = window - half
    newest = values.rolling_max(half) if half > 1 else values
    is_newer = newest >= newest.shift(older)
    if window == 2:
        return pl.when(is_newer).then(0.0).otherwise(1.0)
    ages = _bars_since_max(values, half)
    return pl.when(is_newer).then(ages).otherwise(ages.shift(older) + float(older))
