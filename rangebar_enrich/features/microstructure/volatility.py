"""Volatility from returns and from the four prices of a bar, per bar unless said otherwise."""

from __future__ import annotations

from math import log, pi

import polars as pl

from rangebar_enrich.features._arithmetic import divide, divide_by_positive, log_of, root_of
from rangebar_enrich.features.microstructure.impact import log_return

_PARKINSON = 1.0 / (4.0 * log(2.0))
_GARMAN_KLASS = 2.0 * log(2.0) - 1.0


def realised_volatility(close: pl.Expr, *, window: int) -> pl.Expr:
    """Realised volatility: √Σ r² over w, r = log return.

    Source: Andersen and Bollerslev, Answering the Skeptics, 1998
    Unit: logarithm, over the window
    """
    return root_of(log_return(close).pow(2).rolling_sum(window))


def bipower_volatility(close: pl.Expr, *, window: int) -> pl.Expr:
    """Bipower volatility: √(π / 2·w / (w - 1)·Σ |r|·|r[-1]|) over the w - 1 pairs within w.

    Source: Barndorff-Nielsen and Shephard, Power and Bipower Variation, 2004
    Unit: logarithm, over the window
    """
    return root_of(_bipower(close, window))


def jump_share(close: pl.Expr, *, window: int) -> pl.Expr:
    """Share of jumps: max(1 - bipower variation / realised variance, 0).

    Source: Barndorff-Nielsen and Shephard, Power and Bipower Variation, 2004
    Unit: share
    """
    realised = log_return(close).pow(2).rolling_sum(window)
    return (1.0 - divide_by_positive(_bipower(close, window), realised)).clip(lower_bound=0.0)


def downside_share(close: pl.Expr, *, window: int) -> pl.Expr:
    """Share of falls: Σ r² where r < 0 / Σ r² over w.

    Source: Barndorff-Nielsen, Kinnebrock and Shephard, Measuring Downside Risk, 2010
    Unit: share
    """
    change = log_return(close)
    fallen = change.clip(upper_bound=0.0).pow(2).rolling_sum(window)
    return divide_by_positive(fallen, change.pow(2).rolling_sum(window))


def variance_ratio(close: pl.Expr, *, window: int, step: int) -> pl.Expr:
    """Variance ratio: var(ln(close / close[-k]), w) / (k·var(r, w)).

    Source: Lo and MacKinlay, Stock Market Prices Do Not Follow Random Walks, 1988
    Unit: 1 for a random walk, less where bars reverse
    """
    far = log_of(divide(close, close.shift(step)))
    return divide_by_positive(far.rolling_var(window), step * log_return(close).rolling_var(window))


def realised_range(high: pl.Expr, low: pl.Expr, *, window: int) -> pl.Expr:
    """Realised range: √(Σ ln(high / low)² / (4·ln 2)) over w.

    Source: Christensen and Podolskij, Realized Range-Based Estimation of Integrated Variance, 2007
    Unit: logarithm, over the window
    """
    return root_of(_PARKINSON * _span(high, low).rolling_sum(window))


def parkinson(high: pl.Expr, low: pl.Expr, *, window: int) -> pl.Expr:
    """Parkinson's volatility: √(mean(ln(high / low)², w) / (4·ln 2)).

    Source: Parkinson, The Extreme Value Method for Estimating the Variance, 1980
    Unit: logarithm per bar
    """
    return root_of(_PARKINSON * _span(high, low).rolling_mean(window))


def garman_klass(
    opened: pl.Expr, high: pl.Expr, low: pl.Expr, close: pl.Expr, *, window: int
) -> pl.Expr:
    """Garman-Klass volatility: √mean(ln(high / low)² / 2 - (2·ln 2 - 1)·ln(close / open)², w).

    Source: Garman and Klass, On the Estimation of Security Price Volatilities, 1980
    Unit: logarithm per bar
    """
    body = log_of(divide(close, opened)).pow(2)
    return root_of((0.5 * _span(high, low) - _GARMAN_KLASS * body).rolling_mean(window))


def rogers_satchell(
    opened: pl.Expr, high: pl.Expr, low: pl.Expr, close: pl.Expr, *, window: int
) -> pl.Expr:
    """Rogers-Satchell volatility: √mean(ln(h / o)·ln(h / c) + ln(l / o)·ln(l / c), w).

    Source: Rogers and Satchell, Estimating Variance from High, Low and Closing Prices, 1991
    Unit: logarithm per bar
    """
    return root_of(_drift_free(opened, high, low, close).rolling_mean(window))


def yang_zhang(
    opened: pl.Expr, high: pl.Expr, low: pl.Expr, close: pl.Expr, *, window: int
) -> pl.Expr:
    """Yang-Zhang volatility: √(var(ln(o / c[-1])) + k·var(ln(c / o)) + (1 - k)·RS²) over w.

    RS² is that of Rogers and Satchell, k = 0.34 / (1.34 + (w + 1) / (w - 1)).

    Source: Yang and Zhang, Drift-Independent Volatility Estimation, 2000
    Unit: logarithm per bar
    """
    share = 0.34 / (1.34 + (window + 1.0) / (window - 1.0))
    jump = log_of(divide(opened, close.shift(1))).rolling_var(window)
    body = log_of(divide(close, opened)).rolling_var(window)
    inner = _drift_free(opened, high, low, close).rolling_mean(window)
    return root_of(jump + share * body + (1.0 - share) * inner)


def _span(high: pl.Expr, low: pl.Expr) -> pl.Expr:
    return log_of(divide(high, low)).pow(2)


def _drift_free(opened: pl.Expr, high: pl.Expr, low: pl.Expr, close: pl.Expr) -> pl.Expr:
    up = log_of(divide(high, opened)) * log_of(divide(high, close))
    down = log_of(divide(low, opened)) * log_of(divide(low, close))
    return up + down


def _bipower(close: pl.Expr, window: int) -> pl.Expr:
    size = log_return(close).abs()
    pairs = (size * size.shift(1)).rolling_sum(window - 1)
    return (pi / 2.0) * (window / (window - 1.0)) * pairs
