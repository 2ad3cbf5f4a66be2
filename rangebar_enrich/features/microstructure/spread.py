"""Spreads read from prices, where no quotes are known; as shares of the price."""

from __future__ import annotations

from math import sqrt

import polars as pl

from rangebar_enrich.features._arithmetic import divide, log_of, root_of
from rangebar_enrich.features._windows import correlation, larger, smaller
from rangebar_enrich.features.microstructure.impact import log_return

_ONE = pl.lit(1.0)
_CS = 3.0 - 2.0 * sqrt(2.0)


def roll_spread(close: pl.Expr, *, window: int) -> pl.Expr:
    """Roll's spread: 2·√-cov(r, r[-1]) over w; undefined where the covariance is above 0.

    Source: Roll, A Simple Implicit Measure of the Effective Bid-Ask Spread, 1984
    Unit: share of the price
    """
    change = log_return(close)
    shared = pl.rolling_cov(change, change.shift(1), window_size=window)
    return pl.when(shared <= 0.0).then(2.0 * root_of(-shared))


def return_autocorrelation(close: pl.Expr, *, window: int) -> pl.Expr:
    """Memory of returns: corr(r, r[-1]) over w.

    Source: Roll, A Simple Implicit Measure of the Effective Bid-Ask Spread, 1984
    Unit: correlation
    """
    change = log_return(close)
    return correlation(change, change.shift(1), window, levels=(_ONE, _ONE)).fill_nan(None)


def corwin_schultz(high: pl.Expr, low: pl.Expr, *, window: int) -> pl.Expr:
    """Corwin-Schultz spread: mean(max(2·(eᵃ - 1) / (1 + eᵃ), 0), w), a of two bars.

    a = (√2b - √b) / (3 - 2√2) - √(g / (3 - 2√2)); b is the sum of ln(high / low)² of both bars, g that
    of the range of both together.

    Source: Corwin and Schultz, A Simple Way to Estimate Bid-Ask Spreads from Daily High and Low, 2012
    Unit: share of the price
    """
    alone = log_of(divide(high, low)).pow(2)
    both = log_of(divide(larger(high, high.shift(1)), smaller(low, low.shift(1)))).pow(2)
    pair = alone + alone.shift(1)
    alpha = ((sqrt(2.0) - 1.0) * pair.sqrt() / _CS) - (both / _CS).sqrt()
    return (2.0 * (alpha / 2.0).tanh()).clip(lower_bound=0.0).rolling_mean(window)


def abdi_ranaldo(high: pl.Expr, low: pl.Expr, close: pl.Expr, *, window: int) -> pl.Expr:
    """Abdi-Ranaldo spread: 2·√max(mean((c[-1] - m[-1])·(c[-1] - m), w), 0), c = ln close.

    m is the mean of ln high and ln low.

    Source: Abdi and Ranaldo, A Simple Estimation of Bid-Ask Spreads from Daily Prices, 2017
    Unit: share of the price
    """
    middle = 0.5 * (log_of(high) + log_of(low))
    before = log_of(close).shift(1)
    return 2.0 * root_of(((before - middle.shift(1)) * (before - middle)).rolling_mean(window))
