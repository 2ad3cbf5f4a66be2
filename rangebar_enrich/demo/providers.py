"""Providers that the demo runs: two native ones, and one of the older contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import polars as pl

from rangebar_enrich.protocol import ENTRY_POINT_GROUP, BarContext

if TYPE_CHECKING:
    import pandas as pd

_INSTALLED_LEGACY = "laguerre"  # entry point of the PyPI package atr-adaptive-laguerre


class TrendProvider:
    """How far, how unusually and how straight the last 20 bars went."""

    name = "trend"
    version = "1.0.0"
    columns = ("trend_return_20", "trend_zscore_20", "trend_efficiency_20")
    min_bars = 20

    def expressions(self, _context: BarContext, /) -> Iterator[pl.Expr]:
        """Yield return, z-score of the close, and Kaufman's efficiency ratio."""
        close = pl.col("close")
        path = close.diff().abs().rolling_sum(20)
        yield (close / close.shift(20) - 1.0).alias("trend_return_20")
        spread = close.rolling_std(20)
        yield ((close - close.rolling_mean(20)) / spread).alias("trend_zscore_20")
        yield ((close - close.shift(20)).abs() / path).alias("trend_efficiency_20")


class FlowProvider:
    """Who traded, and how fast, against the bars before."""

    name = "flow"
    version = "1.0.0"
    columns = ("flow_imbalance_10", "flow_pace_50")
    min_bars: Mapping[str, int] = {"flow_imbalance_10": 9, "flow_pace_50": 49}

    def expressions(self, _context: BarContext, /) -> dict[str, pl.Expr]:
        """Map the share of net bought volume, and the log of bar duration over its mean."""
        bought = pl.col("buy_volume").rolling_sum(10)
        sold = pl.col("sell_volume").rolling_sum(10)
        seconds = pl.col("duration_us") / 1e6 + 1e-3
        return {
            "flow_imbalance_10": (bought - sold) / (bought + sold),
            "flow_pace_50": (seconds / seconds.rolling_mean(50)).log(),
        }


class SpanProvider:
    """A provider of the older contract: it writes into the pandas frame it is given."""

    name = "span"
    version = "1.0.0"
    columns = ("span_mean_14", "span_close_position_14")
    min_bars = 13

    def enrich(
        self, bars: pd.DataFrame, _symbol: str, _threshold_decimal_bps: int, /
    ) -> pd.DataFrame:
        """Add mean bar height over close, and where the close lies in the last 14 bars."""
        top, bottom = bars["High"].rolling(14).max(), bars["Low"].rolling(14).min()
        bars["span_mean_14"] = (bars["High"] - bars["Low"]).rolling(14).mean() / bars["Close"]
        bars["span_close_position_14"] = (bars["Close"] - bottom) / (top - bottom)
        bars.loc[bars.index[: self.min_bars], list(self.columns)] = float("nan")
        return bars


def demo_providers() -> list[Any]:
    """Return two native providers and a legacy one: the laguerre plugin where it is installed."""
    found = tuple(entry_points(group=ENTRY_POINT_GROUP, name=_INSTALLED_LEGACY))
    legacy = found[0].load()() if found else SpanProvider()
    return [TrendProvider(), FlowProvider(), legacy]
