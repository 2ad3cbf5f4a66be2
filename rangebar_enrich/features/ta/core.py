"""The pack `ta`: which indicators, with which parameters, as columns."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt

import polars as pl

from rangebar_enrich._bars.columns import MICROSECONDS, MILLISECONDS, TIME_UNITS, TIMESTAMP
from rangebar_enrich.features._pack import Feature, Pack
from rangebar_enrich.features.ta import (
    averages,
    oscillators,
    statistics,
    trend,
    volatility,
    volume,
)
from rangebar_enrich.protocol import BarContext

_CLOSE = ("close",)
_BAR = ("high", "low", "close")
_FLOW = (*_BAR, "volume")

_DAY = {MICROSECONDS: 86_400_000_000, MILLISECONDS: 86_400_000}


def _window(window: int, *_: float) -> int:
    return window - 1


def _change(window: int, *_: float) -> int:
    return window


_AVERAGES = (
    Feature("sma", averages.sma, _CLOSE, ((20,),), _window),
    Feature("ema", averages.ema, _CLOSE, ((20,),), _window),
    Feature("wma", averages.wma, _CLOSE, ((20,),), _window),
    Feature("dema", averages.dema, _CLOSE, ((20,),), lambda w: 2 * (w - 1)),
    Feature("tema", averages.tema, _CLOSE, ((20,),), lambda w: 3 * (w - 1)),
    Feature("hma", averages.hma, _CLOSE, ((20,),), lambda w: w + isqrt(w) - 2),
    Feature("vwma", averages.vwma, ("close", "volume"), ((20,),), _window),
)
_OSCILLATORS = (
    Feature("rsi", oscillators.rsi, _CLOSE, ((14,),), _change),
    Feature("stochastic_k", oscillators.stochastic_k, _BAR, ((14,),), _window),
    Feature("stochastic_d", oscillators.stochastic_d, _BAR, ((14, 3),), lambda w, s: w + s - 2),
    Feature(
        "stochastic_slow_d",
        oscillators.stochastic_slow_d,
        _BAR,
        ((14, 3, 3),),
        lambda w, s, t: w + s + t - 3,
    ),
    Feature(
        "stochastic_rsi", oscillators.stochastic_rsi, _CLOSE, ((14, 14),), lambda s, w: s + w - 1
    ),
    Feature(
        "stochastic_rsi_d",
        oscillators.stochastic_rsi_d,
        _CLOSE,
        ((14, 14, 3),),
        lambda s, w, t: s + w + t - 2,
    ),
    Feature("williams_r", oscillators.williams_r, _BAR, ((14,),), _window),
    Feature("cci", oscillators.cci, _BAR, ((20,),), lambda w: w - 1),
    Feature("cmo", oscillators.cmo, _CLOSE, ((14,),), _change),
    Feature("ultimate", oscillators.ultimate, _BAR, ((7, 14, 28),), lambda *w: max(w)),
    Feature("awesome", oscillators.awesome, ("high", "low"), ((5, 34),), lambda *w: max(w) - 1),
    Feature("momentum", oscillators.momentum, _CLOSE, ((10,),), _change),
    Feature("rate_of_change", oscillators.rate_of_change, _CLOSE, ((10,),), _change),
)
_TREND = (
    Feature("macd", trend.macd, _CLOSE, ((12, 26),), lambda _f, s: s - 1),
    Feature("macd_signal", trend.macd_signal, _CLOSE, ((12, 26, 9),), lambda _f, s, g: s + g - 2),
    Feature(
        "macd_histogram", trend.macd_histogram, _CLOSE, ((12, 26, 9),), lambda _f, s, g: s + g - 2
    ),
    Feature("ppo", trend.ppo, _CLOSE, ((12, 26),), lambda _f, s: s - 1),
    Feature("ppo_signal", trend.ppo_signal, _CLOSE, ((12, 26, 9),), lambda _f, s, g: s + g - 2),
    Feature("trix", trend.trix, _CLOSE, ((15,),), lambda w: 3 * (w - 1) + 1),
    Feature("tsi", trend.tsi, _CLOSE, ((25, 13),), lambda s, f: s + f - 1),
    Feature("aroon_up", trend.aroon_up, ("high",), ((25,),), _change),
    Feature("aroon_down", trend.aroon_down, ("low",), ((25,),), _change),
    Feature("aroon_oscillator", trend.aroon_oscillator, ("high", "low"), ((25,),), _change),
    Feature("di_plus", trend.di_plus, _BAR, ((14,),), _change),
    Feature("di_minus", trend.di_minus, _BAR, ((14,),), _change),
    Feature("adx", trend.adx, ("high", "low"), ((14,),), lambda w: 2 * w - 1),
)
_VOLATILITY = (
    Feature("true_range", volatility.true_range, _BAR, ((),), lambda: 1),
    Feature("atr", volatility.atr, _BAR, ((14,),), _change),
    Feature("natr", volatility.natr, _BAR, ((14,),), _change),
    Feature("bollinger_upper", volatility.bollinger_upper, _CLOSE, ((20, 2),), _window),
    Feature("bollinger_lower", volatility.bollinger_lower, _CLOSE, ((20, 2),), _window),
    Feature("bollinger_percent", volatility.bollinger_percent, _CLOSE, ((20, 2),), _window),
    Feature("bollinger_width", volatility.bollinger_width, _CLOSE, ((20, 2),), _window),
    Feature(
        "keltner_upper",
        volatility.keltner_upper,
        _BAR,
        ((20, 10, 2),),
        lambda a, w, _k: max(a - 1, w),
    ),
    Feature(
        "keltner_lower",
        volatility.keltner_lower,
        _BAR,
        ((20, 10, 2),),
        lambda a, w, _k: max(a - 1, w),
    ),
    Feature("donchian_upper", volatility.donchian_upper, ("high",), ((20,),), _window),
    Feature("donchian_lower", volatility.donchian_lower, ("low",), ((20,),), _window),
    Feature(
        "chaikin_volatility",
        volatility.chaikin_volatility,
        ("high", "low"),
        ((10, 10),),
        lambda w, k: w + k - 1,
    ),
    Feature("choppiness", volatility.choppiness, _BAR, ((14,),), _change),
    Feature("ulcer", volatility.ulcer, _CLOSE, ((14,),), lambda w: 2 * (w - 1)),
)
_VOLUME = (
    Feature("obv", volume.obv, ("close", "volume"), ((),), lambda: 0),
    Feature("accumulation", volume.accumulation, _FLOW, ((),), lambda: 0),
    Feature("chaikin_money_flow", volume.chaikin_money_flow, _FLOW, ((20,),), _window),
    Feature("mfi", volume.mfi, _FLOW, ((14,),), _change),
    Feature("force_index", volume.force_index, ("close", "volume"), ((13,),), _change),
    Feature(
        "ease_of_movement", volume.ease_of_movement, ("high", "low", "volume"), ((14,),), _change
    ),
    Feature("price_volume_trend", volume.price_volume_trend, ("close", "volume"), ((),), lambda: 1),
    Feature("session_vwap", volume.session_vwap, ("price", "volume", "day"), ((),), lambda: 0),
)
_STATISTICS = (
    Feature("slope", statistics.slope, _CLOSE, ((14,),), _window),
    Feature("intercept", statistics.intercept, _CLOSE, ((14,),), _window),
    Feature("r_squared", statistics.r_squared, _CLOSE, ((14,),), _window),
    Feature("zscore", statistics.zscore, _CLOSE, ((20,),), _window),
    Feature("skew", statistics.skew, _CLOSE, ((20,),), _window),
    Feature("kurtosis", statistics.kurtosis, _CLOSE, ((20,),), _window),
    Feature("hurst", statistics.hurst, _CLOSE, ((32,),), _change),
    Feature("efficiency", statistics.efficiency, _CLOSE, ((10,),), _change),
)

CATALOGUE = (*_AVERAGES, *_OSCILLATORS, *_TREND, *_VOLATILITY, *_VOLUME, *_STATISTICS)
"""Every indicator of the pack, with its default parameters."""


class Core(Pack):
    """The technical-analysis core: the indicators that users of TA-Lib and pandas-ta know.

    Reads `open high low close volume`; for `session_vwap` also a time, without which it is null, and
    the bars' own `vwap` where they have it. Column names hold the parameters: `ta_rsi_14`.

    Args:
        only: Stems of the indicators to have, such as `["rsi", "atr"]`; all by default.
        parameters: Stem to parameters, a column for each: `rsi=[7, 14], macd=[(5, 35)]`. They take
            the place of the default ones; `[]` leaves the indicator out.

    Raises:
        DeclarationError: No such indicator, or parameters that do not fit it.
    """

    name = "ta"
    version = "1.0.0"
    catalogue = CATALOGUE

    def inputs(self, context: BarContext, /) -> Mapping[str, pl.Expr]:
        """Return prices, volume, the price that a bar was traded at, and its UTC day."""
        named = {name: pl.col(name) for name in ("open", *_FLOW)}
        typical = (named["high"] + named["low"] + named["close"]) / 3.0
        price = pl.col("vwap") if "vwap" in context.columns else typical
        return {**named, "price": price, "day": _day(context)}


def _day(context: BarContext) -> pl.Expr:
    """Return the number of the UTC day that a bar closed in; null where bars have no time."""
    for name, unit in TIME_UNITS.items():
        if name in context.columns:
            return pl.col(name) // _DAY[unit]
    if TIMESTAMP in context.columns:
        return pl.col(TIMESTAMP).dt.epoch("us") // _DAY[MICROSECONDS]
    # NOTE: a null for each row; `pl.lit(None)` would be a single one.
    return pl.when(pl.col("close").is_null() & pl.col("close").is_not_null()).then(0)
