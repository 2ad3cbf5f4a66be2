"""Shape: where within its range a bar traded, and how much of it led nowhere."""

from __future__ import annotations

import polars as pl

from rangebar_enrich.features._arithmetic import divide, divide_by_positive
from rangebar_enrich.features.microstructure.regression import zscore


def vwap_deviation(vwap: pl.Expr, close: pl.Expr) -> pl.Expr:
    """Distance of the close from the bar's vwap: close / vwap - 1.

    Source: Berkowitz, Logue and Noser, The Total Cost of Transactions on the NYSE, 1988
    Unit: share of the price
    """
    return divide(close, vwap) - 1.0


def vwap_deviation_zscore(vwap: pl.Expr, close: pl.Expr, *, window: int) -> pl.Expr:
    """Distance from the vwap in deviations: (V - mean(V, w)) / std(V, w), V = vwap deviation.

    Source: Berkowitz, Logue and Noser, The Total Cost of Transactions on the NYSE, 1988
    Unit: deviations
    """
    return zscore(vwap_deviation(vwap, close), window=window)


def vwap_position(vwap: pl.Expr, high: pl.Expr, low: pl.Expr) -> pl.Expr:
    """Place of the vwap in the bar: (vwap - low) / (high - low).

    Source: Steidlmayer and Koy, Markets and Market Logic, 1986
    Unit: share, 0 at the low, 1 at the high
    """
    return divide_by_positive(vwap - low, high - low)


def detour(opened: pl.Expr, high: pl.Expr, low: pl.Expr, close: pl.Expr) -> pl.Expr:
    """Detour of the bar: (high - low) / |close - open| - 1.

    A range bar goes straight to where it closes, or tries the other side first.

    Source: Nison, Japanese Candlestick Charting Techniques, 1991
    Unit: share of the way
    """
    return divide_by_positive(high - low, (close - opened).abs()) - 1.0
