"""Workload A: thirty everyday features, as a Polars, a pandas and a TA-Lib user writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from rangebar_enrich import BarContext

if TYPE_CHECKING:
    import pandas as pd

WINDOWS = (5, 10, 20, 50, 100)
STEMS = ("mean", "std", "zscore", "return", "ema", "stochastic")


class Indicators:
    """Six indicators over each of `windows`, as a provider of this engine.

    Args:
        name: Name and prefix.
        windows: Window lengths.
        stems: Which of the six.
        keys: Pairs of both instead, in the order of the columns.
    """

    version = "1"

    def __init__(
        self,
        name: str = "bench",
        windows: Iterable[int] = WINDOWS,
        stems: Iterable[str] = STEMS,
        *,
        keys: Iterable[tuple[str, int]] | None = None,
    ) -> None:
        self.name = name
        self._keys = list(keys or ((stem, window) for window in windows for stem in stems))
        self.columns = tuple(f"{name}_{stem}_{window}" for stem, window in self._keys)
        self.min_bars = {
            column: window if stem == "return" else window - 1
            for column, (stem, window) in zip(self.columns, self._keys, strict=True)
        }
        self.calls = 0

    def expressions(self, context: BarContext, /) -> dict[str, pl.Expr]:
        self.calls += 1
        return {
            column: POLARS[stem](window)
            for column, (stem, window) in zip(self.columns, self._keys, strict=True)
        }


_CLOSE, _HIGH, _LOW = pl.col("close"), pl.col("high"), pl.col("low")


def _stochastic(window: int) -> pl.Expr:
    lowest = _LOW.rolling_min(window)
    return 100 * (_CLOSE - lowest) / (_HIGH.rolling_max(window) - lowest)


POLARS: Mapping[str, Callable[[int], pl.Expr]] = {
    "mean": _CLOSE.rolling_mean,
    "std": _CLOSE.rolling_std,
    "zscore": lambda w: (_CLOSE - _CLOSE.rolling_mean(w)) / _CLOSE.rolling_std(w),
    "return": lambda w: _CLOSE / _CLOSE.shift(w) - 1,
    "ema": lambda w: _CLOSE.ewm_mean(span=w, adjust=False, min_samples=w),
    "stochastic": _stochastic,
}


class PluginIndicators(Indicators):
    """The same features as expressions of the plugin `polars_talib`, which Polars cannot see into.

    Raises:
        ImportError: The plugin is not installed.
    """

    def __init__(self) -> None:
        import polars_talib

        super().__init__()
        self._talib = polars_talib

    def expressions(self, context: BarContext, /) -> dict[str, pl.Expr]:
        made = {stem: getattr(self, f"_{stem}") for stem in STEMS}
        return {
            column: made[stem](window)
            for column, (stem, window) in zip(self.columns, self._keys, strict=True)
        }

    def _mean(self, w: int) -> pl.Expr:
        return self._talib.sma(_CLOSE, w)

    def _std(self, w: int) -> pl.Expr:
        return self._talib.stddev(_CLOSE, w) * (w / (w - 1)) ** 0.5

    def _zscore(self, w: int) -> pl.Expr:
        return (_CLOSE - self._mean(w)) / self._std(w)

    def _return(self, w: int) -> pl.Expr:
        return self._talib.rocp(_CLOSE, w)

    def _ema(self, w: int) -> pl.Expr:
        return self._talib.ema(_CLOSE, w)

    def _stochastic(self, w: int) -> pl.Expr:
        lowest, highest = self._talib.min(_LOW, w), self._talib.max(_HIGH, w)
        return 100 * (_CLOSE - lowest) / (highest - lowest)


def flat_expressions(provider: Indicators) -> list[pl.Expr]:
    """Return what one would pass to `with_columns` by hand."""
    named = provider.expressions(BarContext())
    return [expr.alias(name) for name, expr in named.items()]


def enrich_pandas_naive(bars: pd.DataFrame) -> pd.DataFrame:
    """Add the features in place, each written out in full."""
    close, high, low = bars["close"], bars["high"], bars["low"]
    for w in WINDOWS:
        bars[f"bench_mean_{w}"] = close.rolling(w).mean()
        bars[f"bench_std_{w}"] = close.rolling(w).std()
        bars[f"bench_zscore_{w}"] = (close - close.rolling(w).mean()) / close.rolling(w).std()
        bars[f"bench_return_{w}"] = close / close.shift(w) - 1
        bars[f"bench_ema_{w}"] = close.ewm(span=w, adjust=False, min_periods=w).mean()
        bars[f"bench_stochastic_{w}"] = (
            100 * (close - low.rolling(w).min()) / (high.rolling(w).max() - low.rolling(w).min())
        )
    return bars


def enrich_pandas_shared(bars: pd.DataFrame) -> pd.DataFrame:
    """Add the features in place, with what they share computed once."""
    close, high, low = bars["close"], bars["high"], bars["low"]
    for w in WINDOWS:
        rolling = close.rolling(w)
        mean, std = rolling.mean(), rolling.std()
        lowest, highest = low.rolling(w).min(), high.rolling(w).max()
        bars[f"bench_mean_{w}"] = mean
        bars[f"bench_std_{w}"] = std
        bars[f"bench_zscore_{w}"] = (close - mean) / std
        bars[f"bench_return_{w}"] = close / close.shift(w) - 1
        bars[f"bench_ema_{w}"] = close.ewm(span=w, adjust=False, min_periods=w).mean()
        bars[f"bench_stochastic_{w}"] = 100 * (close - lowest) / (highest - lowest)
    return bars


def talib_features(close: np.ndarray, high: np.ndarray, low: np.ndarray) -> dict[str, np.ndarray]:
    """Return the features from TA-Lib; its standard deviation divides by w, ours by w - 1."""
    import talib

    made: dict[str, np.ndarray] = {}
    for w in WINDOWS:
        mean = talib.SMA(close, w)
        std = talib.STDDEV(close, w) * np.sqrt(w / (w - 1))
        lowest, highest = talib.MIN(low, w), talib.MAX(high, w)
        made[f"bench_mean_{w}"] = mean
        made[f"bench_std_{w}"] = std
        made[f"bench_zscore_{w}"] = (close - mean) / std
        made[f"bench_return_{w}"] = talib.ROCP(close, w)
        made[f"bench_ema_{w}"] = talib.EMA(close, w)
        made[f"bench_stochastic_{w}"] = 100 * (close - lowest) / (highest - lowest)
    return made


def scales(bars: pl.DataFrame) -> dict[str, pl.Series]:
    """Return for each feature how far an error of 1 in its price inputs moves it."""
    named: dict[str, pl.Expr] = {}
    for w in WINDOWS:
        spread = _HIGH.rolling_max(w) - _LOW.rolling_min(w)
        named |= dict.fromkeys((f"bench_{stem}_{w}" for stem in ("mean", "std", "ema")), _CLOSE)
        named[f"bench_zscore_{w}"] = _CLOSE / _CLOSE.rolling_std(w)
        named[f"bench_stochastic_{w}"] = 100 * _CLOSE / spread
        named[f"bench_return_{w}"] = pl.lit(1.0)
    return (
        bars.lazy()
        .with_columns(**named)
        .select(list(named))
        .collect(engine="in-memory")
        .to_dict(as_series=True)
    )
