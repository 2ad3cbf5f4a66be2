"""Order flow: who was in a hurry, buyers or sellers.

A trade is a purchase where the buyer took liquidity, as the bar builder tells them apart.
"""

from __future__ import annotations

import polars as pl

from rangebar_enrich.features._arithmetic import divide, divide_by_positive, log_of
from rangebar_enrich.features._windows import correlation
from rangebar_enrich.features.microstructure.regression import line_at_zero, zscore

_ONE = pl.lit(1.0)
_LADDER = (16, 8, 4, 2, 1)
_TARGET = 4


def imbalance(bought: pl.Expr, sold: pl.Expr) -> pl.Expr:
    """Order-flow imbalance of the bar: (B - S) / (B + S).

    Source: Chordia, Roll and Subrahmanyam, Order Imbalance, Liquidity, and Market Returns, 2002
    Unit: share, -1 to 1
    """
    return divide_by_positive(bought - sold, bought + sold)


def imbalance_of_window(bought: pl.Expr, sold: pl.Expr, *, window: int) -> pl.Expr:
    """Order-flow imbalance of a window: Σ (B - S) / Σ (B + S) over w.

    Source: Chordia, Roll and Subrahmanyam, Order Imbalance, Liquidity, and Market Returns, 2002
    Unit: share, -1 to 1
    """
    return divide_by_positive(
        (bought - sold).rolling_sum(window), (bought + sold).rolling_sum(window)
    )


def imbalance_zscore(bought: pl.Expr, sold: pl.Expr, *, window: int) -> pl.Expr:
    """Order-flow imbalance in deviations: (I - mean(I, w)) / std(I, w), I = imbalance.

    Source: Chordia, Roll and Subrahmanyam, Order Imbalance, Liquidity, and Market Returns, 2002
    Unit: deviations
    """
    return zscore(imbalance(bought, sold), window=window)


def imbalance_autocorrelation(bought: pl.Expr, sold: pl.Expr, *, window: int) -> pl.Expr:
    """Memory of the order flow: corr(I, I[-1]) over w.

    Source: Lillo and Farmer, The Long Memory of the Efficient Market, 2004
    Unit: correlation
    """
    value = imbalance(bought, sold)
    found = correlation(value, value.shift(1), window, levels=(_ONE, _ONE))
    return found.fill_nan(None)


def imbalance_at_equal_price(
    bought: pl.Expr, sold: pl.Expr, close: pl.Expr, *, window: int
) -> pl.Expr:
    """Imbalance at an equal price: a of the least-squares line I = a + b·r over w, r = ln(close / close[-1]).

    It is how far buyers or sellers push although the price stays where it is.

    Source: Hasbrouck, Measuring the Information Content of Stock Trades, 1991
    Unit: share, -1 to 1
    """
    change = log_of(divide(close, close.shift(1)))
    return line_at_zero(imbalance(bought, sold), change, window=window)


def aggressor_gap(
    bought: pl.Expr, sold: pl.Expr, buy_turnover: pl.Expr, sell_turnover: pl.Expr
) -> pl.Expr:
    """Price gap between the aggressors: (buy turnover / B) / (sell turnover / S) - 1.

    What buyers in a hurry paid above what sellers in a hurry got.

    Source: Lee and Ready, Inferring Trade Direction from Intraday Data, 1991
    Unit: share of the price
    """
    return divide(divide(buy_turnover, bought), divide(sell_turnover, sold)) - 1.0


def size_ratio(bought: pl.Expr, sold: pl.Expr, buys: pl.Expr, sells: pl.Expr) -> pl.Expr:
    """Size of purchases beside that of sales: ln((B / buys) / (S / sells)).

    Source: Barclay and Warner, Stealth Trading and Volatility, 1993
    Unit: logarithm
    """
    return log_of(divide(divide(bought, buys), divide(sold, sells)))


def vpin(bought: pl.Expr, sold: pl.Expr, *, window: int) -> pl.Expr:
    """Probability of informed trading, by volume: Σ |B - S| / Σ (B + S) over w bars.

    Every bar is a bucket and counts by its volume.

    Source: Easley, López de Prado and O'Hara, Flow Toxicity and Liquidity, 2012
    Unit: share
    """
    return divide_by_positive(
        (bought - sold).abs().rolling_sum(window), (bought + sold).rolling_sum(window)
    )


def vpin_of_volume(bought: pl.Expr, sold: pl.Expr, *, window: int) -> pl.Expr:
    """VPIN of equal volume: Σ |B - S| / Σ (B + S) over the last w / 16, w / 8, … or w bars.

    Of these windows the shortest that holds the volume that w / 4 bars hold on average: a burst of
    large bars fills it soon. w itself always does.

    Source: Easley, López de Prado and O'Hara, Flow Toxicity and Liquidity, 2012
    Unit: share
    """
    volume, tilt = bought + sold, (bought - sold).abs()
    wanted = volume.rolling_sum(window) / _TARGET
    found: pl.Expr = vpin(bought, sold, window=window)
    for part in reversed(_LADDER[:-1]):
        held = volume.rolling_sum(window // part)
        share = divide_by_positive(tilt.rolling_sum(window // part), held)
        found = pl.when(held >= wanted).then(share).otherwise(found)
    return pl.when(wanted.is_not_null()).then(found)
