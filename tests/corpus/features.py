"""A pack of features over every operator family, as providers: what parity is held against.

`SCALES` has, for each feature that Polars does not compute exactly, the scale of what its window
holds: two ways to compute it agree to 1e-9 of that. A feature that is not there agrees to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

close, open_, high, low = pl.col("close"), pl.col("open"), pl.col("high"), pl.col("low")
volume, ofi = pl.col("volume"), pl.col("ofi")
row = pl.int_range(pl.len())
change = close / close.shift(1) - 1
up = close > open_


def _largest(value: pl.Expr, window: int) -> pl.Expr:
    return value.abs().rolling_max(window, min_samples=1)


class Pack:
    """Native features out of a mapping; no column name is longer than it must be."""

    def __init__(
        self,
        name: str,
        exprs: Mapping[str, pl.Expr],
        *,
        min_bars: int = 0,
        **optional: Any,
    ) -> None:
        self.name, self.version, self.min_bars = name, "1.0.0", min_bars
        self._exprs = {f"{name}_{key}": expr for key, expr in exprs.items()}
        self.columns = tuple(self._exprs)
        for attribute, value in optional.items():
            setattr(self, attribute, value)

    def expressions(self, _context: Any) -> Mapping[str, pl.Expr]:
        return self._exprs


class Bands:
    """A legacy provider as they are: rolling windows of pandas, written in place."""

    name, version, min_bars, lookback = "bands", "1.0.0", 20, 20
    columns = ("bands_upper", "bands_width", "bands_above", "bands_seen")

    def enrich(self, bars: Any, _symbol: str, _threshold: int) -> Any:
        mean, std = bars["Close"].rolling(20).mean(), bars["Close"].rolling(20).std()
        bars["bands_upper"] = mean + 2 * std
        bars["bands_width"] = 4 * std / mean
        bars["bands_above"] = (bars["Close"] > mean).astype(float).where(mean.notna())
        bars["bands_seen"] = bars["shift_return"].rolling(8).max()
        return bars


def _steps(series: pl.Series) -> pl.Series:
    values = series.to_numpy()
    return pl.Series(np.concatenate([np.full(3, np.nan), values[3:] - values[:-3]])[: len(values)])


def make_pack() -> list[Any]:
    """Return the providers; a new list of new ones for each call."""
    return [
        Pack(
            "shift",
            {
                "lag": close.shift(3),
                "filled": close.shift(2, fill_value=0.0),
                "diff": close.diff(2),
                "return": close / close.shift(5) - 1,
                "change": close.pct_change(4),
                "log": (close / close.shift(1)).log(),
                "back_and_forth": close.shift(-1).shift(2),
            },
            min_bars=5,
        ),
        Pack(
            "bar",
            {
                "range": (high - low) / close,
                "body": (close - open_).abs() / (high - low),
                "typical": pl.mean_horizontal(high, low, close),
                "highest": pl.max_horizontal(open_, close),
                "is_up": up,
                "clipped": ofi.clip(-0.5, 0.5).round(3),
                "signed": pl.when(up).then(volume).otherwise(-volume),
                "trades": pl.col("individual_trade_count").cast(pl.Float64).sqrt(),
                "nan": (close - close) / (open_ - open_),
                "one": pl.lit(1.0),
            },
        ),
        Pack(
            "window",
            {
                "min": low.rolling_min(14),
                "max": high.rolling_max(14),
                "stochastic": (close - low.rolling_min(14))
                / (high.rolling_max(14) - low.rolling_min(14)),
                "median": close.rolling_median(9),
                "quantile": close.rolling_quantile(0.8, window_size=10, interpolation="linear"),
                "rank": close.rolling_rank(8),
                "argmax": close.arg_max().rolling(row, period="7i"),
                "sum": volume.rolling_sum(6),
                "mean": close.rolling_mean(20),
                "few": close.rolling_mean(10, min_samples=3),
                "weighted": close.rolling_mean(3, weights=[0.2, 0.3, 0.5]),
                "moved": close.rolling_mean(5, center=True).shift(2),
                "std": close.rolling_std(20),
                "var": change.rolling_var(12),
                "zscore": (close - close.rolling_mean(20)) / close.rolling_std(20),
                "skew": change.rolling_skew(15),
                "kurtosis": change.rolling_kurtosis(15),
                "corr": pl.rolling_corr(close, volume, window_size=16),
                "cov": pl.rolling_cov(close, volume, window_size=16),
                "nested": close.diff().rolling_std(4).rolling_mean(3),
                "by_row": close.rolling_mean_by(row, "6i"),
            },
            min_bars=20,
        ),
        Pack(
            "held",
            {
                "ema": close.ewm_mean(span=12),
                "ema_plain": close.ewm_mean(alpha=0.1, adjust=False),
                "ema_nulls": change.ewm_mean(com=4, ignore_nulls=True, min_samples=6),
                "macd": (close.ewm_mean(span=12) - close.ewm_mean(span=26)).ewm_mean(span=9),
                "rsi": 100
                - 100
                / (
                    1
                    + close.diff().clip(lower_bound=0).ewm_mean(alpha=1 / 14)
                    / (-close.diff()).clip(lower_bound=0).ewm_mean(alpha=1 / 14)
                ),
                "sum": volume.cum_sum(),
                "product": (1 + change.fill_null(0.0)).cum_prod(),
                "drawdown": close / high.cum_max() - 1,
                "lowest": low.cum_min(),
                "count": pl.when(up).then(close).cum_count(),
                "obv": pl.when(up).then(volume).otherwise(-volume).cum_sum(),
                "vwap": (close * volume).cum_sum() / volume.cum_sum(),
                "last_up": pl.when(up).then(close).forward_fill(),
                "streak": row - pl.when(~up).then(row).forward_fill(),
                "row": row,
            },
            min_bars=3,
        ),
        Pack(
            "unstable", {"std": change.ewm_std(span=6), "var": close.ewm_var(span=6)}, lookback=300
        ),
        Pack("udf", {"steps": close.map_batches(_steps, return_dtype=pl.Float64)}, lookback=3),
        Pack(
            "next",
            {
                "zscore_mean": pl.col("window_zscore").rolling_mean(5),
                "ema_slope": pl.col("held_ema").diff(4),
                "ema_sum": pl.col("shift_return").cum_sum(),
            },
            min_bars=30,
        ),
        Pack("after", {"bands": pl.col("bands_above").rolling_sum(6)}, min_bars=30),
        Bands(),
    ]


def _against(value: pl.Expr, window: int) -> pl.Expr:
    """Return how large values are beside their deviation, by which what is divided by it errs."""
    return _largest(value, window) / value.rolling_std(window)


SCALES: Mapping[str, pl.Expr] = {
    "window_sum": _largest(volume, 6),
    "window_mean": _largest(close, 20),
    "window_few": _largest(close, 10),
    "window_moved": _largest(close, 5),
    "window_std": _largest(close, 20),
    "window_var": _largest(change, 12) ** 2,
    "window_zscore": _against(close, 20),
    "window_skew": _against(change, 15),
    "window_kurtosis": _against(change, 15),
    "window_corr": _against(close, 16) * _against(volume, 16),
    "window_cov": _largest(close, 16) * _largest(volume, 16),
    "window_nested": _largest(close, 8),
    "window_by_row": _largest(close, 6),
    "unstable_std": _largest(change, 300),
    "unstable_var": _largest(close, 300) ** 2,
    "next_zscore_mean": _against(close, 20).rolling_max(5),
    "bands_upper": _largest(close, 20),
    "bands_width": _largest(close, 20) / close,
}
