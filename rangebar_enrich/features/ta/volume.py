"""Volume: who pushed, and how much it took."""

from __future__ import annotations

import polars as pl

from rangebar_enrich.features._arithmetic import divide, divide_by_positive
from rangebar_enrich.features._windows import NOISE
from rangebar_enrich.features.ta.averages import ema, sma

_UNITS = float(2**70)
"""Sums of a session are kept in whole 2^-70: exact, and no trace of the sessions before."""


def obv(close: pl.Expr, volume: pl.Expr) -> pl.Expr:
    """On-balance volume: Σ sign(Δclose)·volume from the first bar, whose volume counts in full.

    Source: Granville, Granville's New Key to Stock Market Profits, 1963
    Unit: volume
    TA-Lib: OBV
    """
    is_first = (close.cum_count() == 1) & close.is_not_null()
    signed = (close - close.shift(1)).sign() * volume
    return pl.when(is_first).then(volume).otherwise(signed).cum_sum()


def close_location(high: pl.Expr, low: pl.Expr, close: pl.Expr) -> pl.Expr:
    """Close location: ((close - low) - (high - close)) / (high - low), 0 in a bar without range.

    Source: Chaikin, in Achelis, Technical Analysis from A to Z, 2nd ed. 2000
    Unit: share, -1 to 1
    """
    span = high - low
    place = (close - low) - (high - close)
    return pl.when(span != 0.0).then(place / span).when(span == 0.0).then(0.0)


def accumulation(high: pl.Expr, low: pl.Expr, close: pl.Expr, volume: pl.Expr) -> pl.Expr:
    """Accumulation/distribution line: Σ close location·volume from the first bar.

    Source: Chaikin, in Achelis, Technical Analysis from A to Z, 2nd ed. 2000
    Unit: volume
    TA-Lib: AD
    """
    return (close_location(high, low, close) * volume).cum_sum()


def chaikin_money_flow(
    high: pl.Expr, low: pl.Expr, close: pl.Expr, volume: pl.Expr, *, window: int
) -> pl.Expr:
    """Chaikin money flow: Σ close location·volume / Σ volume over w.

    Source: Chaikin, in Achelis, Technical Analysis from A to Z, 2nd ed. 2000
    Unit: share, -1 to 1
    """
    pushed = (close_location(high, low, close) * volume).rolling_sum(window)
    return divide_by_positive(pushed, volume.rolling_sum(window))


def mfi(high: pl.Expr, low: pl.Expr, close: pl.Expr, volume: pl.Expr, *, window: int) -> pl.Expr:
    """Money flow index: 100·Σ P / (Σ P + Σ N) over w, T·volume where T rose (P) or fell (N).

    T = (high + low + close) / 3. Equal prices make equal sums only up to rounding, so a change of less
    than 1e-12 of T is none; to TA-Lib it is one, and moves the bar's whole flow to a side.

    Source: Quong and Soudack, Volume-Weighted RSI: Money Flow, 1989
    Unit: percent
    TA-Lib: MFI
    """
    typical = (high + low + close) / 3.0
    change = typical - typical.shift(1)
    moved = pl.when(change.abs() > NOISE * typical.abs()).then(change.sign())
    flow = moved.when(change.is_not_null()).then(0.0) * typical * volume
    share = divide_by_positive(flow.rolling_sum(window), flow.abs().rolling_sum(window))
    return 50.0 + 50.0 * share


def force_index(close: pl.Expr, volume: pl.Expr, *, window: int) -> pl.Expr:
    """Force index: ema(Δclose·volume, w).

    Source: Elder, Trading for a Living, 1993
    Unit: price·volume
    """
    return ema((close - close.shift(1)) * volume, window=window)


def ease_of_movement(high: pl.Expr, low: pl.Expr, volume: pl.Expr, *, window: int) -> pl.Expr:
    """Ease of movement: mean(ΔM·(high - low) / volume, w), M = (high + low) / 2.

    Source: Arms, Volume Cycles in the Stock Market, 1983
    Unit: price² per volume
    """
    middle = (high + low) * 0.5
    return sma(divide((middle - middle.shift(1)) * (high - low), volume), window=window)


def price_volume_trend(close: pl.Expr, volume: pl.Expr) -> pl.Expr:
    """Price-volume trend: Σ (close / close[-1] - 1)·volume from the second bar.

    Source: Achelis, Technical Analysis from A to Z, 2nd ed. 2000
    Unit: volume
    """
    return ((divide(close, close.shift(1)) - 1.0) * volume).cum_sum()


def session_vwap(price: pl.Expr, volume: pl.Expr, day: pl.Expr) -> pl.Expr:
    """Volume-weighted average price of the session: Σ price·volume / Σ volume since the day began.

    `price` is the bar's own vwap where it has one, else (high + low + close) / 3; a bar belongs to the
    UTC day that it closed in.

    Source: Berkowitz, Logue and Noser, The Total Cost of Transactions on the NYSE, 1988
    Unit: price
    """
    begins = (day != day.shift(1)).fill_null(value=True)
    traded, shares = _since(price * volume, begins), _since(volume, begins)
    return divide_by_positive(traded, pl.when(day.is_not_null()).then(shares))


def _since(values: pl.Expr, begins: pl.Expr) -> pl.Expr:
    """Return the sum since the last row that begins a session.

    It is the difference of two sums from the first row. As whole numbers they are exact, so that
    nothing of earlier sessions stays, and wrap around unharmed.
    """
    whole = (values * _UNITS).cast(pl.Int128, strict=False).fill_null(0)
    total = whole.cum_sum()
    before = pl.when(begins).then(total - whole).forward_fill()
    return pl.when(values.is_not_null()).then((total - before).cast(pl.Float64) / _UNITS)
