"""The bar table's columns, and where each column of the Rust builder goes.

Names and types are those of `_bars.columns`; here stands what only a database needs. It is the
table that users of rangebar have, name for name and type for type; the `OWN` part are nullable
columns for what the builder gives and that table has no home for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

import polars as pl
import pyarrow as pa

from rangebar_enrich._bars import columns as _bars
from rangebar_enrich._bars.columns import (
    AGGREGATION,
    AGGREGATION_F64,
    BAR_COLUMNS,
    BUILDER_COLUMNS,
    MODE,
    OHLCV,
    SERIES_COLUMNS,
    TIME_UNITS,
    TIMESTAMP,
    BarColumn,
)


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
        nullable: Whether the column takes NULL.
        arrow: Arrow type of its values.
    """

    name: str
    type: str
    role: Role
    default: str | None = None

    nullable: bool = field(init=False)
    arrow: pa.DataType = field(init=False)

    def __post_init__(self) -> None:
        """Derive once what every write asks for."""
        inner = self.type.removeprefix("LowCardinality(").removeprefix("Nullable(").rstrip(")")
        object.__setattr__(self, "nullable", "Nullable(" in self.type)
        object.__setattr__(self, "arrow", ARROW_TYPES[inner.split("(")[0]])


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
FACT_TYPE = "Int64"
BAR_AT, FOLLOWS = "_bar_at", "_follows"
"""What rows know of their own history, see `facts`."""
FIXED_POINT_COLUMNS = ("turnover", "buy_turnover", "sell_turnover")
OWN = (*FIXED_POINT_COLUMNS, "buy_trade_count", "sell_trade_count", "data_source")
"""Columns that rangebar's table has not."""

# rangebar's own rule for a cascade: the range was covered many times over within 0.1 s.
_CASCADE = (
    "if((high - low) / open >= threshold_decimal_bps / 10000"
    " AND duration_us > 0 AND duration_us <= 100000, 1, 0)"
)
_DEFAULTS = {
    MODE: "'month'",
    AGGREGATION: "1",
    "is_liquidation_cascade": _CASCADE,
    "cache_key": "''",
    "rangebar_version": "''",
    "computed_at": "now64(3)",
}
_KEY = (*SERIES_COLUMNS, "close_time_ms")
_ROLES = {
    _bars.Role.SERIES: Role.KEY,
    _bars.Role.TIME: Role.PRICE,
    _bars.Role.PRICE: Role.PRICE,
    _bars.Role.STAMP: Role.STAMP,
}
_TYPES: Mapping[pl.DataType, str] = {
    pl.Float64(): "Float64",
    pl.Int64(): "Int64",
    pl.UInt32(): "UInt32",
    pl.UInt8(): "UInt8",
    pl.Datetime("ms", "UTC"): "DateTime64(3)",
}
_RENAMED = {
    "open_time": "open_time_ms",
    "close_time": "close_time_ms",
    "first_trade_id": "first_agg_trade_id",
    "last_trade_id": "last_agg_trade_id",
    AGGREGATION_F64: AGGREGATION,
}
"""Columns of the builder that the table has under another name."""


def _stored(column: BarColumn) -> TableColumn:
    """Return a bar column as the database has it."""
    role = Role.KEY if column.name in _KEY else _ROLES.get(column.role, Role.BAR)
    nullable = column.role in {_bars.Role.LOOKBACK, _bars.Role.INTRA} or column.name in OWN
    inner = _TYPES.get(column.dtype, "String")
    kind = f"Nullable({inner})" if nullable else inner
    if inner == "String" and role is not Role.STAMP:
        kind = f"LowCardinality({kind})"
    ordinary = "NULL" if nullable else "0"
    default = _DEFAULTS.get(column.name, None if role in {Role.KEY, Role.PRICE} else ordinary)
    return TableColumn(column.name, kind, role, default)


COLUMNS: tuple[TableColumn, ...] = tuple(
    _stored(column) for column in BAR_COLUMNS if column.name not in {*_RENAMED, TIMESTAMP}
)
FACTS = tuple(TableColumn(name, FACT_TYPE, Role.STAMP, "0") for name in (BAR_AT, FOLLOWS))

BY_NAME: Mapping[str, TableColumn] = MappingProxyType({column.name: column for column in COLUMNS})
BAR_NAMES = tuple(column.name for column in COLUMNS if column.role is not Role.STAMP)
NEEDED = tuple(column.name for column in COLUMNS if column.role in {Role.KEY, Role.PRICE})
PRICES = OHLCV[:4]

MICROSECONDS_TO_MS = "µs → ms, floored"
FIXED_POINT_TO_QUOTE = "fixed point of 1e16 → quote currency"
FIXED_POINT = 1e16
"""Scale of the builder's turnovers."""


@dataclass(frozen=True, slots=True)
class BuilderColumn:
    """Where a column of the builder goes, and what changes on the way."""

    target: str
    conversion: str | None = None


def _conversion(name: str) -> str | None:
    if name in FIXED_POINT_COLUMNS:
        return FIXED_POINT_TO_QUOTE
    return MICROSECONDS_TO_MS if name in TIME_UNITS else None


BUILDER: Mapping[str, BuilderColumn] = MappingProxyType(
    {name: BuilderColumn(_RENAMED.get(name, name), _conversion(name)) for name in BUILDER_COLUMNS}
)
"""Every column of a batch of `PyRangeBarProcessor`; a test compares it with a real batch."""
