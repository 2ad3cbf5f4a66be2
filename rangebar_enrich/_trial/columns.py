"""Columns of a generated table: those of the builder, which fit each other, and any dtype."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from rangebar_enrich._bars.columns import (
    BAR_DTYPES,
    MODE,
    OHLCV,
    SYMBOL,
    THRESHOLD,
    TIMESTAMP,
)
from rangebar_enrich._provider.declaration import ISOLATED
from rangebar_enrich._trial.shapes import STEP, Floats, Ints, Rng, Shape

_EPOCH_US = 1_700_000_000_000_000
_FIXED_POINT = 1e16  # how the builder scales turnover
_WORDS = ("a", "b", "cc", "ddd", "1", "2.5", "2024-01-02")
_PLACES = ("sydney", "tokyo", "london", "newyork")


class Bars:
    """The columns of one table, made when they are asked for.

    Each column has random numbers of its own, so it is the same whatever else is asked for.

    Args:
        shape: How they run.
        rows: How many.
        seed: The same seed gives the same columns.
        price: Level of prices; shapes that are no market keep their own.
        volume: Factor of volumes.
    """

    def __init__(
        self, shape: Shape, rows: int, seed: int, *, price: float = 100.0, volume: float = 1.0
    ) -> None:
        self.shape, self.rows = shape, rows
        self._seed = [seed, rows, *shape.name.encode()]
        self._price = price / 100.0 if shape.is_market else 1.0
        self._volume = volume if shape.is_market else 1.0

    def rng(self, name: str) -> Rng:
        """Return the random numbers of one column."""
        return np.random.default_rng([*self._seed, *name.encode()])

    def path(self, name: str) -> Floats:
        """Return values that run as prices do, by random numbers of their own."""
        return self.shape.close(self.rng(name), self.rows)

    @cached_property
    def close(self) -> Floats:
        """Closing prices."""
        return self.path("close") * self._price

    @cached_property
    def open(self) -> Floats:
        """Opening prices: each bar opens where the one before it closed."""
        first: Floats = self.close[:1] * (1.0 - STEP)
        return np.concatenate([first, self.close[:-1]])

    def _wick(self, name: str) -> Floats:
        size = 0.0 if self.shape.has_ties else STEP * self.rng(name).exponential(0.2, self.rows)
        return np.abs(self.close) * size

    @cached_property
    def high(self) -> Floats:
        """Highest prices."""
        return np.maximum(self.open, self.close) + self._wick("high")

    @cached_property
    def low(self) -> Floats:
        """Lowest prices."""
        return np.minimum(self.open, self.close) - self._wick("low")

    @cached_property
    def volume(self) -> Floats:
        """Volumes, never negative; in tables that are no market some are 0 and others burst."""
        rng = self.rng("volume")
        volume = np.abs(self.shape.volume(rng, self.rows)) * self._volume
        if not self.shape.is_market:
            volume *= rng.choice([0.0, 1.0, 3.0, 40.0], self.rows, p=[0.05, 0.6, 0.3, 0.05])
        return volume

    @cached_property
    def duration(self) -> Ints:
        """Microseconds of each bar."""
        return self.shape.gaps(self.rng("duration"), self.rows)

    @cached_property
    def close_time(self) -> Ints:
        """Closing times in microseconds, strictly increasing."""
        start = self.shape.starts_us
        if start is None:
            start = _EPOCH_US + int(self.rng("start").integers(0, 10**9)) * 1000
        made: Ints = start + np.cumsum(self.duration)
        return made

    @cached_property
    def bought(self) -> Floats:
        """Volume of buyers."""
        rng = self.rng("share")
        has_ties = self.shape.has_ties
        share = rng.choice([0.25, 0.5, 0.75], self.rows) if has_ties else rng.beta(4, 4, self.rows)
        made: Floats = self.volume * share
        return made

    @cached_property
    def sold(self) -> Floats:
        """Volume of sellers."""
        return self.volume - self.bought

    @cached_property
    def vwap(self) -> Floats:
        """Prices weighted by volume."""
        share = 0.5 if self.shape.has_ties else self.rng("vwap").random(self.rows)
        made: Floats = self.low + (self.high - self.low) * share
        return made

    @cached_property
    def buys(self) -> Ints:
        """Trades of buyers."""
        return self.rng("buys").integers(1, 40, self.rows)

    @cached_property
    def sells(self) -> Ints:
        """Trades of sellers."""
        return self.rng("sells").integers(1, 40, self.rows)

    @cached_property
    def trades(self) -> Ints:
        """All trades."""
        return self.buys + self.sells

    @cached_property
    def aggregates(self) -> Ints:
        """Trades of the exchange's own aggregation."""
        return np.maximum(self.trades // 2, 1)

    @cached_property
    def last_trade_id(self) -> Ints:
        """Ids of the last trade, strictly increasing."""
        return np.cumsum(self.trades)


def _in_ms(times: Ints) -> Ints:
    """Return times in milliseconds, strictly increasing still where bars are closer than that."""
    rows = np.arange(len(times))
    return np.maximum.accumulate(times // 1000 - rows) + rows


def _session(name: str) -> Callable[[Bars], Any]:
    return lambda bars: ((bars.close_time // 14_400_000_000 + len(name)) % 2).astype(np.uint8)


_MAKERS: Mapping[str, Callable[[Bars], Any]] = {
    "open": lambda bars: bars.open,
    "high": lambda bars: bars.high,
    "low": lambda bars: bars.low,
    "close": lambda bars: bars.close,
    "volume": lambda bars: bars.volume,
    "open_time": lambda bars: bars.close_time - bars.duration,
    "close_time": lambda bars: bars.close_time,
    "open_time_ms": lambda bars: _in_ms(bars.close_time - bars.duration),
    "close_time_ms": lambda bars: _in_ms(bars.close_time),
    TIMESTAMP: lambda bars: pl.Series(bars.close_time).cast(pl.Datetime("us", "UTC")),
    "turnover": lambda bars: bars.volume * bars.vwap * _FIXED_POINT,
    "individual_trade_count": lambda bars: bars.trades.astype(np.uint32),
    "agg_record_count": lambda bars: bars.aggregates.astype(np.uint32),
    "first_trade_id": lambda bars: bars.last_trade_id - bars.trades,
    "last_trade_id": lambda bars: bars.last_trade_id,
    "data_source": lambda bars: ["BinanceFuturesUM"] * bars.rows,
    "buy_volume": lambda bars: bars.bought,
    "sell_volume": lambda bars: bars.sold,
    "buy_trade_count": lambda bars: bars.buys.astype(np.uint32),
    "sell_trade_count": lambda bars: bars.sells.astype(np.uint32),
    "vwap": lambda bars: bars.vwap,
    "buy_turnover": lambda bars: bars.bought * bars.vwap * _FIXED_POINT,
    "sell_turnover": lambda bars: bars.sold * bars.vwap * _FIXED_POINT,
    "duration_us": lambda bars: bars.duration,
    "ofi": lambda bars: (bars.bought - bars.sold) / bars.volume,
    "vwap_close_deviation": lambda bars: (bars.close - bars.vwap) / bars.close * 100.0,
    "price_impact": lambda bars: np.abs(bars.close - bars.open) / bars.open / bars.volume,
    "kyle_lambda_proxy": lambda bars: (
        (bars.close - bars.open) / (bars.bought - bars.sold + 1e-6 * bars.volume)
    ),
    "trade_intensity": lambda bars: bars.trades / (bars.duration / 1e6),
    "volume_per_trade": lambda bars: bars.volume / bars.trades,
    "aggression_ratio": lambda bars: bars.buys / bars.sells,
    "aggregation_density_f64": lambda bars: bars.trades / bars.aggregates,
    "aggregation_density": lambda bars: bars.trades / bars.aggregates,
    "turnover_imbalance": lambda bars: (bars.bought - bars.sold) / bars.volume,
    SYMBOL: lambda bars: ["BTCUSDT"] * bars.rows,
    THRESHOLD: lambda bars: np.full(bars.rows, 250, np.int32),
    MODE: lambda bars: ["month"] * bars.rows,
    **{f"exchange_session_{place}": _session(place) for place in _PLACES},
}


def known_column(name: str, bars: Bars) -> pl.Series | None:
    """Return a column that bar tables have, or `None` for another."""
    maker = _MAKERS.get(name.lower())
    if maker is None or not (bars.shape.is_market or name.lower() in OHLCV):
        return None
    return pl.Series(name, maker(bars))


def known_dtype(name: str) -> pl.DataType | None:
    """Return the dtype of a column that bar tables have, or `None` for another."""
    return BAR_DTYPES.get(name)


def any_clock(name: str, dtype: pl.DataType, bars: Bars) -> pl.Series:
    """Return a column of strictly increasing times; without a unit, steps are small."""
    if dtype == pl.Date:
        return pl.Series(name, np.arange(bars.rows, dtype=np.int32)).cast(pl.Date)
    if dtype.is_integer() and "time" not in name.lower():
        steps = bars.rng(name).integers(1, 4, bars.rows)
        return pl.Series(name, np.cumsum(steps)).cast(dtype, strict=False)
    times = pl.Series(name, bars.close_time)
    return times.cast(dtype) if dtype.is_integer() else times.cast(pl.Datetime("us")).cast(dtype)


def any_column(name: str, dtype: pl.DataType, bars: Bars) -> pl.Series:
    """Return a column of which only the dtype is known; one that can't be made up is null."""
    try:
        return _values(name, dtype, bars).alias(name)
    except ISOLATED:
        return pl.Series(name, [None] * bars.rows, dtype=dtype)


def _values(name: str, dtype: pl.DataType, bars: Bars) -> pl.Series:
    rng, rows = bars.rng(name), bars.rows
    if dtype.is_float() or dtype.is_decimal():
        return pl.Series(bars.path(name)).cast(dtype, strict=False)
    if dtype.is_nested():
        return _nested(name, dtype, bars)
    if isinstance(dtype, pl.Enum):
        return pl.Series(rng.choice(dtype.categories.to_list(), rows)).cast(dtype)
    if dtype.is_integer() or dtype.is_temporal() or dtype == pl.Boolean:
        return pl.Series(rng.integers(*_limits(dtype), rows)).cast(dtype)
    words = rng.choice(_WORDS, rows).tolist()
    return pl.Series(words, dtype=pl.String).cast(dtype, strict=False)


def _limits(dtype: pl.DataType) -> tuple[int, int]:
    """Return small numbers, so that values repeat; negative ones where they can be."""
    if dtype == pl.Boolean:
        return (0, 2)
    return (-2 if dtype.is_signed_integer() else 0, 6)


def _nested(name: str, dtype: pl.DataType, bars: Bars) -> pl.Series:
    if isinstance(dtype, pl.Struct):
        fields = {field.name: _instance(field.dtype) for field in dtype.fields}
        parts = [any_column(f"{name} {one}", inner, bars) for one, inner in fields.items()]
        return pl.DataFrame(
            [part.alias(one) for part, one in zip(parts, fields, strict=True)]
        ).to_struct()
    inner = _instance(dtype.inner)  # type: ignore[attr-defined]
    width = dtype.size if isinstance(dtype, pl.Array) else 3
    items: Sequence[pl.Series] = [any_column(f"{name} {i}", inner, bars) for i in range(width)]
    return pl.DataFrame(items).select(pl.concat_list(pl.all()).cast(dtype)).to_series()


def _instance(dtype: Any) -> pl.DataType:
    made: pl.DataType = dtype() if isinstance(dtype, type) else dtype
    return made
