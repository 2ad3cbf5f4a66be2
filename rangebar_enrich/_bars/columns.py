"""Column names that the engine knows, and their spellings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import polars as pl

OHLCV = ("open", "high", "low", "close", "volume")
"""Price and volume columns, float64; the capitalised spelling is understood too."""

MICROSECONDS = "us"
MILLISECONDS = "ms"

TIME_UNITS = MappingProxyType(
    {
        "close_time": MICROSECONDS,
        "close_time_ms": MILLISECONDS,
        "open_time": MICROSECONDS,
        "open_time_ms": MILLISECONDS,
    }
)
"""Integer time columns in order of preference, and the unit of their values."""

TIMESTAMP = "timestamp"
"""A datetime column, or the name of a DataFrame's index."""

SYMBOL = "symbol"
THRESHOLD = "threshold_decimal_bps"
MODE = "ouroboros_mode"
SERIES_COLUMNS = (SYMBOL, THRESHOLD, MODE)
"""The columns whose values tell one series from another."""

SCRATCH_PREFIX = "__enrich_"
"""Names of columns that live only inside a plan."""

_MICROSTRUCTURE = """
    turnover buy_turnover sell_turnover vwap buy_volume sell_volume buy_trade_count sell_trade_count
    individual_trade_count agg_record_count duration_us ofi vwap_close_deviation price_impact
    kyle_lambda_proxy trade_intensity volume_per_trade aggression_ratio aggregation_density
    aggregation_density_f64 turnover_imbalance first_trade_id last_trade_id first_agg_trade_id
    last_agg_trade_id data_source is_liquidation_cascade exchange_session_sydney
    exchange_session_tokyo exchange_session_london exchange_session_newyork
""".split()
_LOOKBACK = """
    trade_count ofi duration_us intensity vwap_raw vwap_position count_imbalance kyle_lambda
    burstiness volume_skew volume_kurt price_range kaufman_er garman_klass_vol hurst
    permutation_entropy
""".split()
_INTRA = """
    bull_epoch_density bear_epoch_density bull_excess_gain bear_excess_gain bull_cv bear_cv
    max_drawdown max_runup trade_count ofi duration_us intensity vwap_position count_imbalance
    kyle_lambda burstiness volume_skew volume_kurt kaufman_er garman_klass_vol hurst
    permutation_entropy
""".split()
_BOOKKEEPING = "cache_key rangebar_version source_start_ts source_end_ts computed_at".split()

RESERVED = frozenset(
    [
        *OHLCV,
        *TIME_UNITS,
        TIMESTAMP,
        *SERIES_COLUMNS,
        *_MICROSTRUCTURE,
        *(f"lookback_{name}" for name in _LOOKBACK),
        *(f"intra_{name}" for name in _INTRA),
        *_BOOKKEEPING,
    ]
)
"""Columns of the builder and of the bar table: no provider may declare one."""


BUILDER_COLUMNS: Mapping[str, pl.DataType] = MappingProxyType(
    {
        **dict.fromkeys(("open_time", "close_time"), pl.Int64()),
        **dict.fromkeys(OHLCV, pl.Float64()),
        "turnover": pl.Float64(),
        **dict.fromkeys(("individual_trade_count", "agg_record_count"), pl.UInt32()),
        **dict.fromkeys(("first_trade_id", "last_trade_id"), pl.Int64()),
        "data_source": pl.String(),
        **dict.fromkeys(("buy_volume", "sell_volume"), pl.Float64()),
        **dict.fromkeys(("buy_trade_count", "sell_trade_count"), pl.UInt32()),
        **dict.fromkeys(("vwap", "buy_turnover", "sell_turnover"), pl.Float64()),
        "duration_us": pl.Int64(),
        **dict.fromkeys(
            """
            ofi vwap_close_deviation price_impact kyle_lambda_proxy trade_intensity
            volume_per_trade aggression_ratio aggregation_density_f64 turnover_imbalance
            """.split(),
            pl.Float64(),
        ),
    }
)
"""What the Rust builder emits (`rangebar` 9.1.0), in its order: the layout to plan for unseen bars."""


def spellings(names: Iterable[str]) -> dict[str, str]:
    """Map each canonical column name to the name it has in the caller's table.

    `Close` stands for `close` where the table has no `close`; then it is not a column of its own.
    """
    present = list(names)
    own = {name: name for name in present}
    for name in OHLCV:
        capitalised = name.capitalize()
        if name not in own and capitalised in own:
            own = {name if key == capitalised else key: value for key, value in own.items()}
    return own


def bar_dtype(name: str, dtype: pl.DataType) -> pl.DataType:
    """Return the dtype that expressions see: float64 for price and volume, else what is there."""
    return pl.Float64() if name in OHLCV and dtype.is_numeric() else dtype
