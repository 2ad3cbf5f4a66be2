"""The bar table's columns, and where each column of the Rust builder goes.

The first part is the table that users of rangebar have, name for name and type for type; the
`OWN` part are nullable columns for what the builder gives and that table has no home for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

import pyarrow as pa


class Role(Enum):
    """Who gives a column its values."""

    KEY = "key"
    PRICE = "price"
    BAR = "bar"
    STAMP = "stamp"


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column of the bar table.

    Attributes:
        name: Its name.
        type: ClickHouse type.
        role: `KEY` and `PRICE` are needed, `BAR` optional, `STAMP` set by the store.
        default: SQL of its default, or `None`.
    """

    name: str
    type: str
    role: Role
    default: str | None = None

    @property
    def nullable(self) -> bool:
        """Whether the column takes NULL."""
        return "Nullable(" in self.type

    @property
    def arrow(self) -> pa.DataType:
        """Arrow type of its values."""
        inner = self.type.removeprefix("LowCardinality(").removeprefix("Nullable(").rstrip(")")
        return ARROW_TYPES[inner.split("(")[0]]


ARROW_TYPES: Mapping[str, pa.DataType] = MappingProxyType(
    {
        "String": pa.string(),
        "UInt8": pa.uint8(),
        "UInt32": pa.uint32(),
        "Int64": pa.int64(),
        "Float64": pa.float64(),
        "DateTime64": pa.timestamp("ms", "UTC"),
    }
)

FEATURE_TYPE = "Nullable(Float64)"
_TEXT = "LowCardinality(String)"
# rangebar's own rule for a cascade: the range was covered many times over within 0.1 s.
_CASCADE = (
    "if((high - low) / open >= threshold_decimal_bps / 10000"
    " AND duration_us > 0 AND duration_us <= 100000, 1, 0)"
)
_FLOATS = """
    vwap buy_volume sell_volume ofi vwap_close_deviation price_impact kyle_lambda_proxy
    trade_intensity volume_per_trade aggression_ratio turnover_imbalance
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
_NULLABLE = {"trade_count": "Nullable(UInt32)", "duration_us": "Nullable(Int64)"}


def _bar(name: str, kind: str, default: str | None) -> TableColumn:
    return TableColumn(name, kind, Role.BAR, default)


def _nullable(prefix: str, names: list[str]) -> list[TableColumn]:
    return [_bar(f"{prefix}{name}", _NULLABLE.get(name, FEATURE_TYPE), "NULL") for name in names]


OWN = ("turnover", "buy_turnover", "sell_turnover", "buy_trade_count", "sell_trade_count")
"""Columns that rangebar's table has not, beside `data_source`."""

COLUMNS: tuple[TableColumn, ...] = (
    TableColumn("symbol", _TEXT, Role.KEY),
    TableColumn("threshold_decimal_bps", "UInt32", Role.KEY),
    TableColumn("close_time_ms", "Int64", Role.KEY),
    TableColumn("open_time_ms", "Int64", Role.PRICE),
    *(TableColumn(name, "Float64", Role.PRICE) for name in "open high low close volume".split()),
    TableColumn("ouroboros_mode", _TEXT, Role.KEY, "'month'"),
    *(_bar(name, "Float64", "0") for name in _FLOATS),
    _bar("aggregation_density", "Float64", "1"),
    _bar("individual_trade_count", "UInt32", "0"),
    _bar("agg_record_count", "UInt32", "0"),
    _bar("duration_us", "Int64", "0"),
    *(
        _bar(f"exchange_session_{city}", "UInt8", "0")
        for city in "sydney tokyo london newyork".split()
    ),
    _bar("first_agg_trade_id", "Int64", "0"),
    _bar("last_agg_trade_id", "Int64", "0"),
    *_nullable("lookback_", _LOOKBACK),
    *_nullable("intra_", _INTRA),
    _bar("is_liquidation_cascade", "UInt8", _CASCADE),
    *(_bar(name, "Nullable(UInt32)" if "count" in name else FEATURE_TYPE, "NULL") for name in OWN),
    _bar("data_source", "LowCardinality(Nullable(String))", "NULL"),
    TableColumn("cache_key", "String", Role.STAMP, "''"),
    TableColumn("rangebar_version", "String", Role.STAMP, "''"),
    TableColumn("source_start_ts", "Int64", Role.STAMP, "0"),
    TableColumn("source_end_ts", "Int64", Role.STAMP, "0"),
    TableColumn("computed_at", "DateTime64(3)", Role.STAMP, "now64(3)"),
)

BY_NAME: Mapping[str, TableColumn] = MappingProxyType({column.name: column for column in COLUMNS})
BAR_NAMES = tuple(column.name for column in COLUMNS if column.role is not Role.STAMP)
NEEDED = tuple(column.name for column in COLUMNS if column.role in {Role.KEY, Role.PRICE})
PRICES = ("open", "high", "low", "close")

MICROSECONDS_TO_MS = "µs → ms, floored"
FIXED_POINT_TO_QUOTE = "fixed point of 1e16 → quote currency"
FIXED_POINT = 1e16
"""Scale of the builder's turnovers."""


@dataclass(frozen=True, slots=True)
class BuilderColumn:
    """Where a column of the builder goes, and what changes on the way."""

    target: str
    conversion: str | None = None


_SAME = """
    open high low close volume individual_trade_count agg_record_count data_source buy_volume
    sell_volume buy_trade_count sell_trade_count vwap duration_us ofi vwap_close_deviation
    price_impact kyle_lambda_proxy trade_intensity volume_per_trade aggression_ratio
    turnover_imbalance
""".split()
BUILDER: Mapping[str, BuilderColumn] = MappingProxyType(
    {
        "open_time": BuilderColumn("open_time_ms", MICROSECONDS_TO_MS),
        "close_time": BuilderColumn("close_time_ms", MICROSECONDS_TO_MS),
        **{name: BuilderColumn(name) for name in _SAME},
        **{
            name: BuilderColumn(name, FIXED_POINT_TO_QUOTE)
            for name in ("turnover", "buy_turnover", "sell_turnover")
        },
        "first_trade_id": BuilderColumn("first_agg_trade_id"),
        "last_trade_id": BuilderColumn("last_agg_trade_id"),
        "aggregation_density_f64": BuilderColumn("aggregation_density"),
    }
)
"""Every column of a batch of `PyRangeBarProcessor`; a test compares it with a real batch."""
