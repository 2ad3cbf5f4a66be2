"""Volatility: ranges, bands and how jagged the way was."""

from __future__ import annotations

from math import log10

import polars as pl

from rangebar_enrich.features._arithmetic import divide, divide_by_positive
from rangebar_enrich.features._windows import larger, smaller
from rangebar_enrich.features.ta.averages import ema, sma, wilder


def true_range(high: pl.Expr, low: pl.Expr, close: pl.Expr) -> pl.Expr:
    """True range: max(high, close[-1]) - min(low, close[-1]).

    Source: Wilder, New Concepts in Technical Trading Systems, 1978
    Unit: price
    TA-Lib: TRANGE
    """
    before = close.shift(1)
    return larger(high, before) - smaller(low, before)


def atr(high: pl.Expr, low: pl.Expr, close: pl.Expr, *, window: int) -> pl.Expr:
    """Average true range: Wilder's mean of the true range over w.

    Source: Wilder, New Concepts in Technical Trading Systems, 1978
    Unit: price
    TA-Lib: ATR
    """
    return wilder(true_range(high, low, close), window=window)


def natr(high: pl.Expr, low: pl.Expr, close: pl.Expr, *, window: int) -> pl.Expr:
    """Normalised average true range: 100·atr / close.

    Source: Forman, Cross-Market Evaluations with Normalized Average True Range, 2006
    Unit: percent
    TA-Lib: NATR
    """
    return 100.0 * divide(atr(high, low, close, window=window), close)


def bollinger_upper(values: pl.Expr, *, window: int, width: float) -> pl.Expr:
    """Upper Bollinger band: mean(x, w) + k·s, s the deviation, which divides by w.

    Source: Bollinger, Bollinger on Bollinger Bands, 2001
    Unit: price
    TA-Lib: BBANDS
    """
    return sma(values, window=window) + width * values.rolling_std(window, ddof=0)


def bollinger_lower(values: pl.Expr, *, window: int, width: float) -> pl.Expr:
    """Lower Bollinger band: mean(x, w) - k·s.

    Source: Bollinger, Bollinger on Bollinger Bands, 2001
    Unit: price
    TA-Lib: BBANDS
    """
    return sma(values, window=window) - width * values.rolling_std(window, ddof=0)


def bollinger_percent(values: pl.Expr, *, window: int, width: float) -> pl.Expr:
    """Bollinger's %b: (x - lower) / (upper - lower).

    Source: Bollinger, Bollinger on Bollinger Bands, 2001
    Unit: share, 0 at the lower band, 1 at the upper
    TA-Lib: BBANDS
    """
    spread = values.rolling_std(window, ddof=0)
    return 0.5 + 0.5 / width * divide_by_positive(values - sma(values, window=window), spread)


def bollinger_width(values: pl.Expr, *, window: int, width: float) -> pl.Expr:
    """Bollinger's band width: (upper - lower) / mean(x, w).

    Source: Bollinger, Bollinger on Bollinger Bands, 2001
    Unit: share of the price
    TA-Lib: BBANDS
    """
    return divide(2.0 * width * values.rolling_std(window, ddof=0), sma(values, window=window))


def keltner_upper(
    high: pl.Expr, low: pl.Expr, close: pl.Expr, *, average: int, window: int, width: float
) -> pl.Expr:
    """Upper Keltner channel: ema(close, a) + k·atr(w).

    Source: Keltner, How to Make Money in Commodities, 1960, as modernised by Raschke
    Unit: price
    """
    return ema(close, window=average) + width * atr(high, low, close, window=window)


def keltner_lower(
    high: pl.Expr, low: pl.Expr, close: pl.Expr, *, average: int, window: int, width: float
) -> pl.Expr:
    """Lower Keltner channel: ema(close, a) - k·atr(w).

    Source: Keltner, How to Make Money in Commodities, 1960, as modernised by Raschke
    Unit: price
    """
    return ema(close, window=average) - width * atr(high, low, close, window=window)


def donchian_upper(high: pl.Expr, *, window: int) -> pl.Expr:
    """Upper Donchian channel: max(high, w), the current bar counted.

    Source: Donchian, High Finance in Copper, 1960
    Unit: price
    TA-Lib: MAX
    """
    return high.rolling_max(window)


def donchian_lower(low: pl.Expr, *, window: int) -> pl.Expr:
    """Lower Donchian channel: min(low, w), the current bar counted.

    Source: Donchian, High Finance in Copper, 1960
    Unit: price
    TA-Lib: MIN
    """
    return low.rolling_min(window)


def chaikin_volatility(high: pl.Expr, low: pl.Expr, *, window: int, change: int) -> pl.Expr:
    """Chaikin volatility: 100·(E / E[-k] - 1), E = ema(high - low, w).

    Source: Chaikin, in Achelis, Technical Analysis from A to Z, 2nd ed. 2000
    Unit: percent
    """
    width = ema(high - low, window=window)
    return 100.0 * (divide(width, width.shift(change)) - 1.0)


def choppiness(high: pl.Expr, low: pl.Expr, close: pl.Expr, *, window: int) -> pl.Expr:
    """Choppiness index: 100·log10(Σ TR / (max(high, w) - min(low, w))) / log10(w).

    Source: Dreiss, E. W., The Choppiness Index, 1993
    Unit: percent
    """
    travel = true_range(high, low, close).rolling_sum(window)
    span = high.rolling_max(window) - low.rolling_min(window)
    return 100.0 / log10(window) * divide_by_positive(travel, span).log(10.0)


def ulcer(values: pl.Expr, *, window: int) -> pl.Expr:
    """Ulcer index: √mean(D², w), D = 100·(x / max(x, w) - 1).

    Source: Martin and McCann, The Investor's Guide to Fidelity Funds, 1989
    Unit: percent
    """
    fallen = 100.0 * (divide(values, values.rolling_max(window)) - 1.0)
    return (fallen * fallen).rolling_mean(window).sqrt()
