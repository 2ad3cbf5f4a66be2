"""Momentum features for range bars."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from rangebar_enrich import BarContext

__all__ = ["Momentum"]

_WINDOW = 20


class Momentum:
    """Return, z-score and streak of the close over the last 20 bars.

    `momentum_return_20` is close over the close 20 bars ago, less 1. `momentum_zscore_20` is the
    close's distance from the mean of its last 20 values, in their sample standard deviations.
    `momentum_up_share_20` is the share of the last 20 bars that closed above their open.
    """

    name = "momentum"
    version = "1.0.0"
    columns = ("momentum_return_20", "momentum_zscore_20", "momentum_up_share_20")
    min_bars = _WINDOW

    def expressions(self, _context: BarContext, /) -> Iterator[pl.Expr]:
        """Yield one expression for each of `columns`."""
        close = pl.col("close")
        spread = close.rolling_std(_WINDOW)
        rose = (close > pl.col("open")).cast(pl.Float64)
        yield (close / close.shift(_WINDOW) - 1.0).alias("momentum_return_20")
        yield ((close - close.rolling_mean(_WINDOW)) / spread).alias("momentum_zscore_20")
        yield rose.rolling_mean(_WINDOW).alias("momentum_up_share_20")
