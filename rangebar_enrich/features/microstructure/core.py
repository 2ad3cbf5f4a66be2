"""The pack `microstructure`: which features, over which windows, as columns."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from rangebar_enrich.features._pack import Feature, Pack
from rangebar_enrich.features.microstructure import (
    flow,
    impact,
    pace,
    runs,
    shape,
    spread,
    volatility,
)
from rangebar_enrich.protocol import BarContext

_INPUTS = {
    "opened": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "volume": "volume",
    "bought": "buy_volume",
    "sold": "sell_volume",
    "buy_turnover": "buy_turnover",
    "sell_turnover": "sell_turnover",
    "trades": "individual_trade_count",
    "buys": "buy_trade_count",
    "sells": "sell_trade_count",
    "records": "agg_record_count",
    "vwap": "vwap",
    "duration_us": "duration_us",
}
"""What the building blocks are given, and the builder's column for it."""

_SIDES = ("bought", "sold")
_COUNTS = ("buys", "sells")
_PUSH = (*_SIDES, "close")
_CLOCK = ("trades", "duration_us")
_VOLUME_CLOCK = ("volume", "duration_us")
_PRICES = ("opened", "high", "low", "close")
_BODY = ("opened", "close")


def _now() -> int:
    return 0


def _window(window: int) -> int:
    return window - 1


def _change(window: int) -> int:
    return window


def _two_changes(window: int) -> int:
    return window + 1


_FLOW = (
    Feature("imbalance", flow.imbalance, _SIDES, ((),), _now),
    Feature("imbalance_of_window", flow.imbalance_of_window, _SIDES, ((20,), (50,)), _window),
    Feature("imbalance_zscore", flow.imbalance_zscore, _SIDES, ((50,),), _window),
    Feature("imbalance_autocorrelation", flow.imbalance_autocorrelation, _SIDES, ((50,),), _change),
    Feature("imbalance_at_equal_price", flow.imbalance_at_equal_price, _PUSH, ((50,),), _change),
    Feature("trade_imbalance", flow.imbalance, _COUNTS, ((),), _now),
    Feature("trade_imbalance_of_window", flow.imbalance_of_window, _COUNTS, ((20,),), _window),
    Feature(
        "aggressor_gap", flow.aggressor_gap, (*_SIDES, "buy_turnover", "sell_turnover"), ((),), _now
    ),
    Feature("size_ratio", flow.size_ratio, (*_SIDES, *_COUNTS), ((),), _now),
    Feature("vpin", flow.vpin, _SIDES, ((50,),), _window),
    Feature("vpin_of_volume", flow.vpin_of_volume, _SIDES, ((160,),), _window),
)
_PACE = (
    Feature("log_duration", pace.log_duration, ("duration_us",), ((),), _now),
    Feature("duration_zscore", pace.duration_zscore, ("duration_us",), ((50,),), _window),
    Feature("intensity", pace.intensity, _CLOCK, ((),), _now),
    Feature("intensity_of_window", pace.intensity_of_window, _CLOCK, ((20,),), _window),
    Feature("intensity_zscore", pace.intensity_zscore, _CLOCK, ((50,),), _window),
    Feature("burst_share", pace.burst_share, _CLOCK, ((50,),), _window),
    Feature("burstiness", pace.burstiness, ("duration_us",), ((50,),), _window),
    Feature("volume_pace", pace.volume_pace, _VOLUME_CLOCK, ((20,),), _window),
    Feature(
        "volume_pace_change",
        pace.volume_pace_change,
        _VOLUME_CLOCK,
        ((10, 50),),
        lambda *w: max(w) - 1,
    ),
    Feature("log_trade_size", pace.log_trade_size, ("volume", "trades"), ((),), _now),
    Feature("trade_size_zscore", pace.trade_size_zscore, ("volume", "trades"), ((50,),), _window),
    Feature("aggregation", pace.aggregation, ("trades", "records"), ((),), _now),
)
_IMPACT = (
    Feature("log_return", impact.log_return, ("close",), ((),), lambda: 1),
    Feature("kyle_lambda", impact.kyle_lambda, _PUSH, ((50,),), _change),
    Feature("kyle_r_squared", impact.kyle_r_squared, _PUSH, ((50,),), _change),
    Feature(
        "hasbrouck_slope", impact.hasbrouck_slope, (*_SIDES, "vwap", "close"), ((50,),), _change
    ),
    Feature("amihud", impact.amihud, ("volume", "vwap", "close"), ((50,),), _change),
    Feature("flow_return_correlation", impact.flow_return_correlation, _PUSH, ((50,),), _change),
    Feature("flow_lead", impact.flow_lead, _PUSH, ((50,),), _change),
)
_SPREAD = (
    Feature("roll_spread", spread.roll_spread, ("close",), ((50,),), _two_changes),
    Feature(
        "return_autocorrelation", spread.return_autocorrelation, ("close",), ((50,),), _two_changes
    ),
    Feature("corwin_schultz", spread.corwin_schultz, ("high", "low"), ((50,),), _change),
    Feature("abdi_ranaldo", spread.abdi_ranaldo, ("high", "low", "close"), ((50,),), _change),
)
_VOLATILITY = (
    Feature("realised_volatility", volatility.realised_volatility, ("close",), ((50,),), _change),
    Feature("bipower_volatility", volatility.bipower_volatility, ("close",), ((50,),), _change),
    Feature("jump_share", volatility.jump_share, ("close",), ((50,),), _change),
    Feature("downside_share", volatility.downside_share, ("close",), ((50,),), _change),
    Feature(
        "variance_ratio", volatility.variance_ratio, ("close",), ((50, 5),), lambda w, k: w + k - 1
    ),
    Feature("realised_range", volatility.realised_range, ("high", "low"), ((20,),), _window),
    Feature("parkinson", volatility.parkinson, ("high", "low"), ((50,),), _window),
    Feature("garman_klass", volatility.garman_klass, _PRICES, ((50,),), _window),
    Feature("rogers_satchell", volatility.rogers_satchell, _PRICES, ((50,),), _window),
    Feature("yang_zhang", volatility.yang_zhang, _PRICES, ((50,),), _change),
)
_SHAPE = (
    Feature("vwap_deviation", shape.vwap_deviation, ("vwap", "close"), ((),), _now),
    Feature(
        "vwap_deviation_zscore", shape.vwap_deviation_zscore, ("vwap", "close"), ((50,),), _window
    ),
    Feature("vwap_position", shape.vwap_position, ("vwap", "high", "low"), ((),), _now),
    Feature("detour", shape.detour, _PRICES, ((),), _now),
)
_RUNS = (
    Feature("run_length", runs.run_length, _BODY, ((),), _now),
    Feature("run_entropy", runs.run_entropy, _BODY, ((100,),), lambda w: w + runs.LONGEST - 1),
    Feature("reversal_rate", runs.reversal_rate, _BODY, ((20,), (50,)), _change),
    Feature("flow_run_length", runs.flow_run_length, _SIDES, ((),), _now),
    Feature("flow_run_asymmetry", runs.flow_run_asymmetry, _SIDES, ((50,),), _change),
    Feature("flow_reversal_rate", runs.flow_reversal_rate, _SIDES, ((50,),), _change),
)

CATALOGUE = (*_FLOW, *_PACE, *_IMPACT, *_SPREAD, *_VOLATILITY, *_SHAPE, *_RUNS)
"""Every feature of the pack, with its default windows."""


class Core(Pack):
    """What range bars with trade data know beyond their prices: flow, pace, impact, spreads, runs.

    Reads the columns of the Rust builder: prices, `volume`, `vwap`, `duration_us`, both sides' volume,
    turnover and trade counts. Column names hold the parameters: `microstructure_vpin_50`.

    Args:
        only: Stems of the features to have; all by default.
        parameters: Stem to windows, a column for each: `vpin=[20, 100]`. They take the place of the
            default ones; `[]` leaves the feature out.

    Raises:
        DeclarationError: No such feature, or parameters that do not fit it.
    """

    name = "microstructure"
    version = "1.0.0"
    catalogue = CATALOGUE

    def inputs(self, _context: BarContext, /) -> Mapping[str, pl.Expr]:
        """Return the builder's columns as float64: differences of counts must not wrap around."""
        return {name: pl.col(column).cast(pl.Float64) for name, column in _INPUTS.items()}
