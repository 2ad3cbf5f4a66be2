"""Runs: bars that go one way, one after the other."""

from __future__ import annotations

from itertools import pairwise

import polars as pl

from rangebar_enrich.features._arithmetic import divide_by_positive

LONGEST = 5
"""Runs of so many bars and more are one class to `run_entropy`."""


def run_length(opened: pl.Expr, close: pl.Expr) -> pl.Expr:
    """Run of the bar's direction: number of bars up to this one that went its way, below 0 if down.

    Source: Fama, The Behavior of Stock-Market Prices, 1965
    Unit: bars
    """
    return _signed_run((close - opened).sign())


def flow_run_length(bought: pl.Expr, sold: pl.Expr) -> pl.Expr:
    """Run of the order flow: number of bars up to this one with B > S, below 0 with B < S.

    Source: Lillo and Farmer, The Long Memory of the Efficient Market, 2004
    Unit: bars
    """
    return _signed_run((bought - sold).sign())


def flow_run_asymmetry(bought: pl.Expr, sold: pl.Expr, *, window: int) -> pl.Expr:
    """Asymmetry of buying and selling runs: (P - N) / (P + N), P and N their mean lengths over w.

    The mean length is the number of bars of a side, divided by how often a run of it began.

    Source: Wald and Wolfowitz, On a Test Whether Two Samples are from the Same Population, 1940
    Unit: share, -1 to 1
    """
    side = (bought - sold).sign()
    up, down = _mean_run(side, window), _mean_run(-side, window)
    return divide_by_positive(up - down, up + down)


def reversal_rate(opened: pl.Expr, close: pl.Expr, *, window: int) -> pl.Expr:
    """Reversal rate: part of the last w bars that went another way than the bar before.

    Source: Fama, The Behavior of Stock-Market Prices, 1965
    Unit: share
    """
    return _turns((close - opened).sign()).rolling_mean(window)


def flow_reversal_rate(bought: pl.Expr, sold: pl.Expr, *, window: int) -> pl.Expr:
    """Reversal rate of the flow: part of the last w bars whose B - S has another sign than before.

    Source: Lillo and Farmer, The Long Memory of the Efficient Market, 2004
    Unit: share
    """
    return _turns((bought - sold).sign()).rolling_mean(window)


def run_entropy(opened: pl.Expr, close: pl.Expr, *, window: int) -> pl.Expr:
    """Entropy of run lengths: -Σ p·log₂ p over the lengths 1, 2, 3, 4 and more of runs that ended within w.

    Source: Shannon, A Mathematical Theory of Communication, 1948
    Unit: bits
    """
    direction = (close - opened).sign()
    ended = _turns(direction)
    stays = 1.0 - ended
    reached, counts = ended, []
    for length in range(1, LONGEST + 1):
        counts.append(reached.rolling_sum(window))
        reached = reached * stays.shift(length)
    exactly = [*(count - longer for count, longer in pairwise(counts)), counts[-1]]
    shares = [divide_by_positive(count, counts[0]) for count in exactly]
    return -pl.sum_horizontal(map(_surprise, shares), ignore_nulls=False)


def _surprise(share: pl.Expr) -> pl.Expr:
    return pl.when(share > 0.0).then(share * share.log(2.0)).when(share <= 0.0).then(0.0)


def _turns(direction: pl.Expr) -> pl.Expr:
    return (direction != direction.shift(1)).cast(pl.Float64)


def _mean_run(side: pl.Expr, window: int) -> pl.Expr:
    mine = side > 0.0
    begins = mine & (side.shift(1) <= 0.0)
    return divide_by_positive(
        mine.cast(pl.Float64).rolling_sum(window), begins.cast(pl.Float64).rolling_sum(window)
    )


def _signed_run(side: pl.Expr) -> pl.Expr:
    row = pl.int_range(pl.len())
    begins = (side != side.shift(1)).fill_null(value=True)
    start = pl.when(begins).then(row).forward_fill()
    return side * (row - start + 1)
