"""The one table of bar columns: names, types and roles; all other lists are derived from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

import polars as pl


class Role(Enum):
    """What a column tells of a bar."""

    SERIES = "series"
    TIME = "time"
    PRICE = "price"
    BAR = "bar"
    LOOKBACK = "lookback"
    INTRA = "intra"
    STAMP = "stamp"


@dataclass(frozen=True, slots=True)
class BarColumn:
    """A column that bars may have.

    Attributes:
        name: Its name, in lower case.
        dtype: Type of its values, as the builder or the bar table has them.
        role: What it tells. `LOOKBACK`: of the trades before the bar; `INTRA`: of those in it;
            `STAMP`: of the row, not of the bar.
    """

    name: str
    dtype: pl.DataType
    role: Role


MICROSECONDS = "us"
MILLISECONDS = "ms"

SPANS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        unit: (631_152_000 * count, 4_102_444_800 * count)
        for unit, count in (("s", 1), (MILLISECONDS, 10**3), (MICROSECONDS, 10**6), ("ns", 10**9))
    }
)
"""From 1990 up to 2100 in each unit: a time outside is in another unit than it is taken for."""

TIMESTAMP = "timestamp"
"""A datetime column, or the name of a DataFrame's index."""

SYMBOL = "symbol"
THRESHOLD = "threshold_decimal_bps"
MODE = "ouroboros_mode"
AGGREGATION = "aggregation_density"
AGGREGATION_F64 = "aggregation_density_f64"

SCRATCH_PREFIX = "__enrich_"
"""Names of columns that live only inside a plan."""


_FLOAT, _INT, _COUNT = pl.Float64(), pl.Int64(), pl.UInt32()
_FLAG, _TEXT = pl.UInt8(), pl.String()
_NO_FLOAT = {"trade_count": _COUNT, "duration_us": _INT}


def _of(role: Role, dtype: pl.DataType, names: str, prefix: str = "") -> list[BarColumn]:
    return [BarColumn(f"{prefix}{name}", dtype, role) for name in names.split()]


def _of_trades(role: Role, names: str) -> list[BarColumn]:
    """Return the columns that the builder makes of the trades before a bar, or in it."""
    return [
        BarColumn(f"{role.value}_{name}", _NO_FLOAT.get(name, _FLOAT), role)
        for name in names.split()
    ]


BAR_COLUMNS: tuple[BarColumn, ...] = (
    *_of(Role.SERIES, _TEXT, SYMBOL),
    *_of(Role.SERIES, _COUNT, THRESHOLD),
    *_of(Role.TIME, _INT, "close_time close_time_ms open_time open_time_ms"),
    *_of(Role.TIME, pl.Datetime("us", "UTC"), TIMESTAMP),
    *_of(Role.PRICE, _FLOAT, "open high low close volume"),
    *_of(Role.SERIES, _TEXT, MODE),
    *_of(
        Role.BAR,
        _FLOAT,
        f"""
        vwap buy_volume sell_volume ofi vwap_close_deviation price_impact kyle_lambda_proxy
        trade_intensity volume_per_trade aggression_ratio turnover_imbalance
        {AGGREGATION} {AGGREGATION_F64}
        """,
    ),
    *_of(Role.BAR, _COUNT, "individual_trade_count agg_record_count"),
    *_of(Role.BAR, _INT, "duration_us"),
    *_of(Role.BAR, _FLAG, "sydney tokyo london newyork", "exchange_session_"),
    *_of(Role.BAR, _INT, "first_agg_trade_id last_agg_trade_id first_trade_id last_trade_id"),
    *_of_trades(
        Role.LOOKBACK,
        """
        trade_count ofi duration_us intensity vwap_raw vwap_position count_imbalance kyle_lambda
        burstiness volume_skew volume_kurt price_range kaufman_er garman_klass_vol hurst
        permutation_entropy
        """,
    ),
    *_of_trades(
        Role.INTRA,
        """
        bull_epoch_density bear_epoch_density bull_excess_gain bear_excess_gain bull_cv bear_cv
        max_drawdown max_runup trade_count ofi duration_us intensity vwap_position
        count_imbalance kyle_lambda burstiness volume_skew volume_kurt kaufman_er
        garman_klass_vol hurst permutation_entropy
        """,
    ),
    *_of(Role.BAR, _FLAG, "is_liquidation_cascade"),
    *_of(Role.BAR, _FLOAT, "turnover buy_turnover sell_turnover"),
    *_of(Role.BAR, _COUNT, "buy_trade_count sell_trade_count"),
    *_of(Role.BAR, _TEXT, "data_source"),
    *_of(Role.STAMP, _TEXT, "cache_key rangebar_version"),
    *_of(Role.STAMP, _INT, "source_start_ts source_end_ts"),
    *_of(Role.STAMP, pl.Datetime("ms", "UTC"), "computed_at"),
)
"""Every column that the builder or the bar table has, and the datetime that pandas users have."""

BAR_DTYPES: Mapping[str, pl.DataType] = MappingProxyType(
    {column.name: column.dtype for column in BAR_COLUMNS}
)
"""Each of them with its type."""


def names_of(*roles: Role) -> tuple[str, ...]:
    """Return the names of the columns that have one of `roles`, in the order of the table."""
    return tuple(column.name for column in BAR_COLUMNS if column.role in roles)


OHLCV = names_of(Role.PRICE)
"""Price and volume columns, float64; the capitalised spelling is understood too."""

SERIES_COLUMNS = names_of(Role.SERIES)
"""The columns whose values tell one series from another: symbol, threshold, mode."""

TIME_UNITS: Mapping[str, str] = MappingProxyType(
    {
        name: MILLISECONDS if name.endswith("_ms") else MICROSECONDS
        for name in names_of(Role.TIME)
        if name != TIMESTAMP
    }
)
"""Integer time columns in order of preference, and the unit of their values."""

RESERVED = frozenset(BAR_DTYPES)
"""Columns of the builder and of the bar table: no provider may declare one."""

_BUILDER = f"""
    open_time close_time open high low close volume turnover individual_trade_count
    agg_record_count first_trade_id last_trade_id data_source buy_volume sell_volume
    buy_trade_count sell_trade_count vwap buy_turnover sell_turnover duration_us ofi
    vwap_close_deviation price_impact kyle_lambda_proxy trade_intensity volume_per_trade
    aggression_ratio {AGGREGATION_F64} turnover_imbalance
""".split()

BUILDER_COLUMNS: Mapping[str, pl.DataType] = MappingProxyType(
    {name: BAR_DTYPES[name] for name in _BUILDER}
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
    """Return the dtype that expressions see.

    Float64 for price and volume, and for a column without any value where a number is known to
    belong; else what is there.
    """
    if dtype == pl.Null and name in BAR_DTYPES and BAR_DTYPES[name].is_numeric():
        return pl.Float64()
    return pl.Float64() if name in OHLCV and dtype.is_numeric() else dtype
