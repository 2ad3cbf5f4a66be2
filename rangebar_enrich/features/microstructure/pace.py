"""Pace: how fast trades and volume came; a range bar's time is what it took to move the price."""

from __future__ import annotations

import polars as pl

from rangebar_enrich.features._arithmetic import divide_by_positive, log_of
from rangebar_enrich.features.microstructure.regression import zscore

_PER_SECOND = 1e6
_PER_MS = 1e3


def log_duration(duration_us: pl.Expr) -> pl.Expr:
    """Duration of the bar: ln(1 + milliseconds).

    Source: Engle and Russell, Autoregressive Conditional Duration, 1998
    Unit: logarithm
    """
    return (duration_us / _PER_MS).log1p()


def duration_zscore(duration_us: pl.Expr, *, window: int) -> pl.Expr:
    """Duration in deviations: (D - mean(D, w)) / std(D, w), D = log duration.

    Source: Engle and Russell, Autoregressive Conditional Duration, 1998
    Unit: deviations
    """
    return zscore(log_duration(duration_us), window=window)


def intensity(trades: pl.Expr, duration_us: pl.Expr) -> pl.Expr:
    """Trade intensity of the bar: trades / seconds.

    Source: Engle and Russell, Autoregressive Conditional Duration, 1998
    Unit: trades per second
    """
    return divide_by_positive(trades * _PER_SECOND, duration_us)


def intensity_of_window(trades: pl.Expr, duration_us: pl.Expr, *, window: int) -> pl.Expr:
    """Trade intensity of a window: Σ trades / Σ seconds over w.

    Source: Engle and Russell, Autoregressive Conditional Duration, 1998
    Unit: trades per second
    """
    return intensity(trades.rolling_sum(window), duration_us.rolling_sum(window))


def intensity_zscore(trades: pl.Expr, duration_us: pl.Expr, *, window: int) -> pl.Expr:
    """Trade intensity in deviations: (L - mean(L, w)) / std(L, w), L = ln((1 + trades) / (1 + milliseconds)).

    Source: Engle and Russell, Autoregressive Conditional Duration, 1998
    Unit: deviations
    """
    return zscore(trades.log1p() - log_duration(duration_us), window=window)


def burst_share(trades: pl.Expr, duration_us: pl.Expr, *, window: int) -> pl.Expr:
    """Burst share: part of the last w bars that had more than one trade per millisecond.

    Source: Hasbrouck and Saar, Low-Latency Trading, 2013
    Unit: share
    """
    is_burst = trades > duration_us / _PER_MS
    return is_burst.cast(pl.Float64).rolling_mean(window)


def burstiness(duration_us: pl.Expr, *, window: int) -> pl.Expr:
    """Burstiness: (s - m) / (s + m), s deviation and m mean of the durations over w.

    Source: Goh and Barabási, Burstiness and Memory in Complex Systems, 2008
    Unit: -1 regular, 0 at random, 1 in bursts
    """
    mean, spread = duration_us.rolling_mean(window), duration_us.rolling_std(window)
    return divide_by_positive(spread - mean, spread + mean)


def volume_pace(volume: pl.Expr, duration_us: pl.Expr, *, window: int) -> pl.Expr:
    """Pace of the volume clock: Σ volume / Σ seconds over w.

    Source: Easley, López de Prado and O'Hara, The Volume Clock, 2012
    Unit: volume per second
    """
    return divide_by_positive(
        volume.rolling_sum(window) * _PER_SECOND, duration_us.rolling_sum(window)
    )


def volume_pace_change(volume: pl.Expr, duration_us: pl.Expr, *, short: int, long: int) -> pl.Expr:
    """Change of the volume clock's pace: ln(pace(s) / pace(l)).

    Source: Easley, López de Prado and O'Hara, The Volume Clock, 2012
    Unit: logarithm
    """
    newer, older = (volume_pace(volume, duration_us, window=one) for one in (short, long))
    return log_of(divide_by_positive(newer, older))


def log_trade_size(volume: pl.Expr, trades: pl.Expr) -> pl.Expr:
    """Mean trade size: ln(volume / trades).

    Source: Barclay and Warner, Stealth Trading and Volatility, 1993
    Unit: logarithm of the volume's unit
    """
    return log_of(divide_by_positive(volume, trades))


def trade_size_zscore(volume: pl.Expr, trades: pl.Expr, *, window: int) -> pl.Expr:
    """Mean trade size in deviations: (Z - mean(Z, w)) / std(Z, w), Z = log trade size.

    Source: Barclay and Warner, Stealth Trading and Volatility, 1993
    Unit: deviations
    """
    return zscore(log_trade_size(volume, trades), window=window)


def aggregation(trades: pl.Expr, records: pl.Expr) -> pl.Expr:
    """Fills of one order at one price: trades / aggregate records.

    Source: Binance, Compressed/Aggregate trades list
    Unit: trades per record
    """
    return divide_by_positive(trades, records)
