"""Price impact: how far the price moves for what is traded."""

from __future__ import annotations

import polars as pl

from rangebar_enrich.features._arithmetic import divide, divide_by_positive, log_of
from rangebar_enrich.features._windows import correlation
from rangebar_enrich.features.microstructure.flow import imbalance
from rangebar_enrich.features.microstructure.regression import slope_on

_ONE = pl.lit(1.0)


def log_return(close: pl.Expr) -> pl.Expr:
    """Log return: ln(close / close[-1]).

    Source: Osborne, Brownian Motion in the Stock Market, 1959
    Unit: logarithm
    """
    return log_of(divide(close, close.shift(1)))


def kyle_lambda(bought: pl.Expr, sold: pl.Expr, close: pl.Expr, *, window: int) -> pl.Expr:
    """Kyle's lambda: cov(Δclose, Q) / var(Q) over w, Q = B - S.

    Source: Kyle, Continuous Auctions and Insider Trading, 1985
    Unit: price per volume
    """
    return slope_on(close - close.shift(1), bought - sold, window=window)


def kyle_r_squared(bought: pl.Expr, sold: pl.Expr, close: pl.Expr, *, window: int) -> pl.Expr:
    """Share of price changes that the flow explains: corr(r, Q)² over w, r = log return.

    Source: Kyle, Continuous Auctions and Insider Trading, 1985
    Unit: share
    """
    flow = bought - sold
    found = correlation(log_return(close), flow, window, levels=(_ONE, flow.abs()))
    return (found * found).fill_nan(None)


def hasbrouck_slope(
    bought: pl.Expr, sold: pl.Expr, vwap: pl.Expr, close: pl.Expr, *, window: int
) -> pl.Expr:
    """Hasbrouck's impact: cov(r, R) / var(R) over w, R = sign(B - S)·√(|B - S|·vwap).

    Source: Hasbrouck, Trading Costs and Returns for U.S. Equities, 2009
    Unit: return per √quote currency
    """
    flow = bought - sold
    root = flow.sign() * (flow.abs() * vwap).sqrt()
    return slope_on(log_return(close), root, window=window)


def amihud(volume: pl.Expr, vwap: pl.Expr, close: pl.Expr, *, window: int) -> pl.Expr:
    """Amihud's illiquidity: mean(|r| / (volume·vwap), w).

    Source: Amihud, Illiquidity and Stock Returns, 2002
    Unit: return per quote currency
    """
    return divide_by_positive(log_return(close).abs(), volume * vwap).rolling_mean(window)


def flow_return_correlation(
    bought: pl.Expr, sold: pl.Expr, close: pl.Expr, *, window: int
) -> pl.Expr:
    """Flow and return: corr(I, r) over w, I = imbalance.

    Source: Chordia, Roll and Subrahmanyam, Order Imbalance, Liquidity, and Market Returns, 2002
    Unit: correlation
    """
    found = correlation(imbalance(bought, sold), log_return(close), window, levels=(_ONE, _ONE))
    return found.fill_nan(None)


def flow_lead(bought: pl.Expr, sold: pl.Expr, close: pl.Expr, *, window: int) -> pl.Expr:
    """Flow before return: corr(I[-1], r) over w.

    Source: Chordia and Subrahmanyam, Order Imbalance and Individual Stock Returns, 2004
    Unit: correlation
    """
    before = imbalance(bought, sold).shift(1)
    found = correlation(before, log_return(close), window, levels=(_ONE, _ONE))
    return found.fill_nan(None)
