"""Moving averages; each has the unit of what it averages and counts windows in bars.

Recursive ones are seeded as their authors did: nothing until `window` values have been seen, then
their simple mean, then the recursion. It is counted in values, not in rows, so an average of an
average is seeded by its own first values, and a bar without a value neither counts nor moves it.

Left out: Kaufman's adaptive average (KAMA). The share that it moves by differs from bar to bar, and
no operator of Polars that goes on from a held state has such a share.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

import polars as pl

from rangebar_enrich.features._arithmetic import divide


def seeded(values: pl.Expr, *, window: int, share: float, count: pl.Expr | None = None) -> pl.Expr:
    """Exponential mean seeded by a simple one: m = m[-1] + share·(x - m[-1]).

    The first value is the simple mean of the first `window` values. `count` says how many values
    there have been, where that is known without looking at them: their expression may be long.

    Source: Wilder, New Concepts in Technical Trading Systems, 1978
    Unit: as the input
    """
    seen = values.cum_count() if count is None else count
    start = pl.when(seen == window).then(values.cum_sum() / window)
    fed = pl.when(seen > window).then(values).otherwise(start)
    return fed.ewm_mean(alpha=share, adjust=False, ignore_nulls=True)


def values_after(values: pl.Expr, skipped: int) -> pl.Expr:
    """Return how many values there have been after the first `skipped`, less than 0 before."""
    return values.cum_count().cast(pl.Int64) - skipped


def sma(values: pl.Expr, *, window: int) -> pl.Expr:
    """Simple moving average: mean(x, w).

    Source: Achelis, Technical Analysis from A to Z, 2nd ed. 2000
    Unit: price
    TA-Lib: SMA
    """
    return values.rolling_mean(window)


def ema(values: pl.Expr, *, window: int, count: pl.Expr | None = None) -> pl.Expr:
    """Exponential moving average: m = m[-1] + 2 / (w + 1)·(x - m[-1]), seeded by mean(x, w).

    Source: Haurlan, Measuring Trend Values, 1968
    Unit: price
    TA-Lib: EMA
    """
    return seeded(values, window=window, share=2.0 / (window + 1.0), count=count)


def ema_of_ema(values: pl.Expr, *, windows: Sequence[int]) -> pl.Expr:
    """Return the exponential average over each window of that over the window before."""
    made, skipped = values, 0
    for window in windows:
        made = ema(made, window=window, count=values_after(values, skipped))
        skipped += window - 1
    return made


def wilder(values: pl.Expr, *, window: int) -> pl.Expr:
    """Wilder's moving average: m = m[-1] + (x - m[-1]) / w, seeded by mean(x, w).

    Source: Wilder, New Concepts in Technical Trading Systems, 1978
    Unit: as the input
    """
    return seeded(values, window=window, share=1.0 / window)


def wma(values: pl.Expr, *, window: int) -> pl.Expr:
    """Weighted moving average: Σ k·x(k) / Σ k over k = 1 (oldest) … w.

    Source: Achelis, Technical Analysis from A to Z, 2nd ed. 2000
    Unit: price
    TA-Lib: WMA
    """
    weights = [float(place) for place in range(1, window + 1)]
    # NOTE: a weighted window over a column with nulls panics in Polars; NaN it carries through.
    whole = values.fill_null(float("nan"))
    return whole.rolling_mean(window, weights=weights).fill_nan(None)


def dema(values: pl.Expr, *, window: int) -> pl.Expr:
    """Double exponential moving average: 2·E - ema(E, w), E = ema(x, w).

    Source: Mulloy, Smoothing Data with Faster Moving Averages, 1994
    Unit: price
    TA-Lib: DEMA
    """
    once, twice = (ema_of_ema(values, windows=[window] * times) for times in (1, 2))
    return 2.0 * once - twice


def tema(values: pl.Expr, *, window: int) -> pl.Expr:
    """Triple exponential moving average: 3·E - 3·E² + E³, Eⁿ = ema n times.

    Source: Mulloy, Smoothing Data with Faster Moving Averages, 1994
    Unit: price
    TA-Lib: TEMA
    """
    once, twice, thrice = (ema_of_ema(values, windows=[window] * times) for times in (1, 2, 3))
    return 3.0 * once - 3.0 * twice + thrice


def hma(values: pl.Expr, *, window: int) -> pl.Expr:
    """Hull moving average: wma(2·wma(x, w / 2) - wma(x, w), √w), both whole numbers.

    Source: Hull, The Hull Moving Average, alanhull.com, 2005
    Unit: price
    """
    lead = 2.0 * wma(values, window=window // 2) - wma(values, window=window)
    return wma(lead, window=isqrt(window))


def vwma(values: pl.Expr, volume: pl.Expr, *, window: int) -> pl.Expr:
    """Volume-weighted moving average: Σ x·volume / Σ volume over w.

    Source: Dormeier, Buff Up Your Moving Averages, 2001
    Unit: price
    """
    return divide((values * volume).rolling_sum(window), volume.rolling_sum(window))
