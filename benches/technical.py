"""Workload T: the indicators that TA-Lib has too, by TA-Lib, its plugin, and pandas-ta-like code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    import pandas as pd

STEMS = tuple(
    """
    sma ema wma dema tema rsi stochastic_d stochastic_slow_d stochastic_rsi williams_r cci cmo
    ultimate momentum rate_of_change macd_signal macd_histogram ppo trix aroon_up aroon_down aroon_oscillator
    di_plus di_minus adx true_range atr natr bollinger_upper bollinger_lower donchian_upper donchian_lower obv
    accumulation mfi slope intercept
    """.split()
)
"""Stems of the pack `ta`, each with its default parameters."""

SEEDED_APART = frozenset({"ta_di_plus_14", "ta_di_minus_14", "ta_adx_14"})
"""TA-Lib begins these with one bar less than Wilder, which fades away in 400 bars."""


def talib_technical(bars: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the indicators as one calls TA-Lib by hand, each function once."""
    import talib

    high, low, close, volume = (bars[name] for name in ("high", "low", "close", "volume"))
    _, signal, histogram = talib.MACD(close, 12, 26, 9)
    down, up = talib.AROON(high, low, 25)
    upper, _, lower = talib.BBANDS(close, 20, 2, 2, 0)
    return {
        "ta_sma_20": talib.SMA(close, 20),
        "ta_ema_20": talib.EMA(close, 20),
        "ta_wma_20": talib.WMA(close, 20),
        "ta_dema_20": talib.DEMA(close, 20),
        "ta_tema_20": talib.TEMA(close, 20),
        "ta_rsi_14": talib.RSI(close, 14),
        "ta_stochastic_d_14_3": talib.STOCHF(high, low, close, 14, 3, 0)[1],
        "ta_stochastic_slow_d_14_3_3": talib.STOCH(high, low, close, 14, 3, 0, 3, 0)[1],
        "ta_stochastic_rsi_14_14": talib.STOCHRSI(close, 14, 14, 1, 0)[0],
        "ta_williams_r_14": talib.WILLR(high, low, close, 14),
        "ta_cci_20": talib.CCI(high, low, close, 20),
        "ta_cmo_14": talib.CMO(close, 14),
        "ta_ultimate_7_14_28": talib.ULTOSC(high, low, close, 7, 14, 28),
        "ta_momentum_10": talib.MOM(close, 10),
        "ta_rate_of_change_10": talib.ROC(close, 10),
        "ta_macd_signal_12_26_9": signal,
        "ta_macd_histogram_12_26_9": histogram,
        "ta_ppo_12_26": talib.PPO(close, 12, 26, 1),
        "ta_trix_15": talib.TRIX(close, 15),
        "ta_aroon_up_25": up,
        "ta_aroon_down_25": down,
        "ta_aroon_oscillator_25": talib.AROONOSC(high, low, 25),
        "ta_di_plus_14": talib.PLUS_DI(high, low, close, 14),
        "ta_di_minus_14": talib.MINUS_DI(high, low, close, 14),
        "ta_adx_14": talib.ADX(high, low, close, 14),
        "ta_true_range": talib.TRANGE(high, low, close),
        "ta_atr_14": talib.ATR(high, low, close, 14),
        "ta_natr_14": talib.NATR(high, low, close, 14),
        "ta_bollinger_upper_20_2": upper,
        "ta_bollinger_lower_20_2": lower,
        "ta_donchian_upper_20": talib.MAX(high, 20),
        "ta_donchian_lower_20": talib.MIN(low, 20),
        "ta_obv": talib.OBV(close, volume),
        "ta_accumulation": talib.AD(high, low, close, volume),
        "ta_mfi_14": talib.MFI(high, low, close, volume, 14),
        "ta_slope_14": talib.LINEARREG_SLOPE(close, 14),
        "ta_intercept_14": talib.LINEARREG_INTERCEPT(close, 14),
    }


def plugin_technical() -> dict[str, pl.Expr]:
    """Return the indicators as expressions of the plugin `polars_talib`; it reads bars by name.

    Raises:
        ImportError: The plugin is not installed.
    """
    import polars_talib as plugin

    macd, aroon = plugin.macd().struct, plugin.aroon(timeperiod=25).struct
    bands, close, high, low = plugin.bbands().struct, pl.col("close"), pl.col("high"), pl.col("low")
    plain = {
        f"ta_{stem}_{window}": getattr(plugin, name)(timeperiod=window)
        for stem, name, window in (
            *((name, name, 20) for name in ("sma", "ema", "wma", "dema", "tema", "cci")),
            *((name, name, 14) for name in ("rsi", "cmo", "adx", "atr", "natr", "mfi")),
            ("williams_r", "willr", 14),
            ("momentum", "mom", 10),
            ("rate_of_change", "roc", 10),
            ("trix", "trix", 15),
            ("aroon_oscillator", "aroonosc", 25),
            ("di_plus", "plus_di", 14),
            ("di_minus", "minus_di", 14),
            ("slope", "linearreg_slope", 14),
            ("intercept", "linearreg_intercept", 14),
        )
    }
    return plain | {
        "ta_stochastic_d_14_3": plugin.stochf(fastk_period=14).struct.field("fastd"),
        "ta_stochastic_slow_d_14_3_3": plugin.stoch(fastk_period=14).struct.field("slowd"),
        "ta_stochastic_rsi_14_14": plugin.stochrsi(fastk_period=14, fastd_period=1).struct.field(
            "fastk"
        ),
        "ta_ultimate_7_14_28": plugin.ultosc(),
        "ta_macd_signal_12_26_9": macd.field("macdsignal"),
        "ta_macd_histogram_12_26_9": macd.field("macdhist"),
        "ta_ppo_12_26": plugin.ppo(),
        "ta_aroon_up_25": aroon.field("aroonup"),
        "ta_aroon_down_25": aroon.field("aroondown"),
        "ta_true_range": plugin.trange(),
        "ta_bollinger_upper_20_2": bands.field("upperband"),
        "ta_bollinger_lower_20_2": bands.field("lowerband"),
        "ta_donchian_upper_20": plugin.max(high, 20),
        "ta_donchian_lower_20": plugin.min(low, 20),
        "ta_obv": plugin.obv(close),
        "ta_accumulation": plugin.ad(),
    }


def pandas_technical(bars: pd.DataFrame) -> pd.DataFrame:
    """Add the indicators in place, as pandas-ta computes them without TA-Lib."""
    made = _pandas_averages(bars["close"])
    made |= _pandas_oscillators(bars) | _pandas_trend(bars) | _pandas_ranges(bars)
    made |= _pandas_volume(bars) | _pandas_line(bars["close"], 14)
    for name, values in made.items():
        bars[name] = values
    return bars


def _ema(values: Any, window: int, share: float | None = None) -> Any:
    """Return the exponential mean seeded by the first simple one."""
    seeded = values.copy()
    start = int(values.notna().to_numpy().argmax())
    seeded.iloc[: start + window - 1] = np.nan
    seeded.iloc[start + window - 1] = values.iloc[start : start + window].mean()
    return seeded.ewm(alpha=share or 2 / (window + 1), adjust=False).mean()


def _rma(values: Any, window: int) -> Any:
    """Return Wilder's mean, seeded likewise."""
    return _ema(values, window, 1 / window)


def _pandas_averages(close: Any) -> dict[str, Any]:
    weights = np.arange(1, 21)
    once = _ema(close, 20)
    twice = _ema(once, 20)
    return {
        "ta_sma_20": close.rolling(20).mean(),
        "ta_ema_20": once,
        "ta_wma_20": close.rolling(20).apply(lambda x: x @ weights / weights.sum(), raw=True),
        "ta_dema_20": 2 * once - twice,
        "ta_tema_20": 3 * once - 3 * twice + _ema(twice, 20),
    }


def _pandas_oscillators(bars: Any) -> dict[str, Any]:
    high, low, close = bars["high"], bars["low"], bars["close"]
    change = close.diff()
    rises, falls = _rma(change.clip(lower=0), 14), _rma(-change.clip(upper=0), 14)
    strength = 100 * rises / (rises + falls)
    lowest, highest = low.rolling(14).min(), high.rolling(14).max()
    fast = (100 * (close - lowest) / (highest - lowest)).rolling(3).mean()
    weakest = strength.rolling(14).min()
    typical = (high + low + close) / 3
    average = typical.rolling(20).mean()
    apart = typical.rolling(20).apply(lambda x: np.abs(x - x.mean()).mean(), raw=True)
    before = close.shift(1)
    bottom = np.minimum(low, before)
    bought, span = close - bottom, np.maximum(high, before) - bottom
    shares = [bought.rolling(w).sum() / span.rolling(w).sum() for w in (7, 14, 28)]
    return {
        "ta_rsi_14": strength,
        "ta_stochastic_d_14_3": fast,
        "ta_stochastic_slow_d_14_3_3": fast.rolling(3).mean(),
        "ta_stochastic_rsi_14_14": 100
        * (strength - weakest)
        / (strength.rolling(14).max() - weakest),
        "ta_williams_r_14": -100 * (highest - close) / (highest - lowest),
        "ta_cci_20": (typical - average) / (0.015 * apart),
        "ta_cmo_14": 100 * (rises - falls) / (rises + falls),
        "ta_ultimate_7_14_28": 100 * (4 * shares[0] + 2 * shares[1] + shares[2]) / 7,
        "ta_momentum_10": close.diff(10),
        "ta_rate_of_change_10": 100 * (close / close.shift(10) - 1),
    }


def _pandas_trend(bars: Any) -> dict[str, Any]:
    high, low, close = bars["high"], bars["low"], bars["close"]
    line = _ema(close[14:], 12).reindex(close.index) - _ema(close, 26)
    signal = _ema(line, 9)
    slow, smooth = _ema(close, 26), _ema(_ema(_ema(close, 15), 15), 15)
    up, down = (
        high.rolling(26).apply(lambda x: 100 * (25 - np.argmax(x[::-1])) / 25, raw=True),
        low.rolling(26).apply(lambda x: 100 * (25 - np.argmin(x[::-1])) / 25, raw=True),
    )
    rise, fall = high.diff(), -low.diff()
    span = np.maximum(high, close.shift(1)) - np.minimum(low, close.shift(1))
    plus = 100 * _rma(rise.where((rise > fall) & (rise > 0), 0.0)[1:], 14) / _rma(span, 14)
    minus = 100 * _rma(fall.where((fall > rise) & (fall > 0), 0.0)[1:], 14) / _rma(span, 14)
    return {
        "ta_macd_signal_12_26_9": signal,
        "ta_macd_histogram_12_26_9": line - signal,
        "ta_ppo_12_26": 100 * (_ema(close, 12) - slow) / slow,
        "ta_trix_15": 100 * smooth.pct_change(),
        "ta_aroon_up_25": up,
        "ta_aroon_down_25": down,
        "ta_aroon_oscillator_25": up - down,
        "ta_di_plus_14": plus,
        "ta_di_minus_14": minus,
        "ta_adx_14": _rma(100 * (plus - minus).abs() / (plus + minus), 14),
    }


def _pandas_ranges(bars: Any) -> dict[str, Any]:
    high, low, close = bars["high"], bars["low"], bars["close"]
    span = np.maximum(high, close.shift(1)) - np.minimum(low, close.shift(1))
    average, mean, spread = _rma(span, 14), close.rolling(20).mean(), close.rolling(20).std(ddof=0)
    return {
        "ta_true_range": span,
        "ta_atr_14": average,
        "ta_natr_14": 100 * average / close,
        "ta_bollinger_upper_20_2": mean + 2 * spread,
        "ta_bollinger_lower_20_2": mean - 2 * spread,
        "ta_donchian_upper_20": high.rolling(20).max(),
        "ta_donchian_lower_20": low.rolling(20).min(),
    }


def _pandas_volume(bars: Any) -> dict[str, Any]:
    high, low, close, volume = bars["high"], bars["low"], bars["close"], bars["volume"]
    place = (2 * close - high - low) / (high - low)
    typical = (high + low + close) / 3
    flow, way = typical * volume, typical.diff()
    paid = flow.where(way > 0, 0.0).where(way.notna()).rolling(14).sum()
    got = flow.where(way < 0, 0.0).where(way.notna()).rolling(14).sum()
    return {
        "ta_obv": (np.sign(close.diff()).fillna(1.0) * volume).cumsum(),
        "ta_accumulation": (place * volume).cumsum(),
        "ta_mfi_14": 100 * paid / (paid + got),
    }


def _pandas_line(close: Any, window: int) -> dict[str, Any]:
    place = np.arange(window) - (window - 1) / 2
    slope = close.rolling(window).apply(lambda x: x @ place / (place @ place), raw=True)
    return {
        "ta_slope_14": slope,
        "ta_intercept_14": close.rolling(window).mean() - slope * (window - 1) / 2,
    }


def technical_scales(bars: pl.DataFrame) -> dict[str, pl.Series]:
    """Return for each indicator how far an error of 1 in its inputs moves it; 1 where not named."""
    close, volume = pl.col("close"), pl.col("volume").cum_sum()
    spread = pl.col("high").rolling_max(7) - pl.col("low").rolling_min(7)
    amplified = 100.0 * close / spread
    kinds = [
        (
            close,
            """sma_20 ema_20 wma_20 dema_20 tema_20 momentum_10 macd_signal_12_26_9
            macd_histogram_12_26_9 true_range atr_14 bollinger_upper_20_2 bollinger_lower_20_2
            slope_14 intercept_14""",
        ),
        (
            amplified,
            """stochastic_d_14_3 stochastic_slow_d_14_3_3 stochastic_rsi_14_14 williams_r_14 cci_20
            ultimate_7_14_28""",
        ),
        (volume, "obv accumulation mfi_14"),
    ]
    named = {f"ta_{column}": scale for scale, listed in kinds for column in listed.split()}
    return bars.lazy().select(**named).collect(engine="in-memory").to_dict(as_series=True)
