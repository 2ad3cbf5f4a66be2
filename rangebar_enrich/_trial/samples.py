"""Seeded bars that bring faults to light: ties, gaps, late extremes, nulls, days and milliseconds.

Every series has strictly increasing times, as the engine guarantees wherever time matters, and
all columns of the Rust builder. Prices stay near 100, so that their scale is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from rangebar_enrich._bars.columns import MODE, SYMBOL, THRESHOLD, TIMESTAMP

Floats = npt.NDArray[np.float64]
Rng = np.random.Generator

_EPOCH_MS = 1_700_000_000_000
_STEP = 0.0025  # a bar of 250 dbps
_FIXED_POINT = 1e16  # how the builder scales turnover


@dataclass(frozen=True, slots=True)
class Sample:
    """One generated or given series.

    Attributes:
        name: What it is like.
        bars: Its bars, canonical names, times strictly increasing.
        is_clean: Whether it has neither null nor NaN and no flat stretch: every window of it is full.
    """

    name: str
    bars: pl.DataFrame
    is_clean: bool = True


@dataclass(frozen=True, slots=True)
class _Path:
    """Prices, volumes and durations of a series."""

    close: Floats
    volume: Floats
    duration_ms: npt.NDArray[np.int64]
    is_tied: bool = False


def _durations(rng: Rng, rows: int, scale_ms: float) -> npt.NDArray[np.int64]:
    return np.maximum(rng.exponential(scale_ms, rows).astype(np.int64), 1)


def _signed(rng: Rng, rows: int) -> Floats:
    signs = rng.choice([-1.0, 1.0], rows)
    return signs * _STEP * (1.0 + rng.exponential(0.3, rows))


def _volumes(rng: Rng, rows: int) -> Floats:
    return np.round(rng.lognormal(2.0, 1.0, rows), 6)


def _walk(rng: Rng, rows: int) -> _Path:
    close = 100.0 * np.exp(np.cumsum(_signed(rng, rows)))
    return _Path(close, _volumes(rng, rows), _durations(rng, rows, 120_000))


def _ties(rng: Rng, rows: int) -> _Path:
    close: Floats = (100.0 + 0.5 * rng.integers(-2, 3, rows)).astype(np.float64)
    close[rows // 3 : rows // 3 + 8] = 100.0
    volume = rng.choice([1.0, 2.0, 5.0], rows)
    return _Path(close, volume, _durations(rng, rows, 10_000), is_tied=True)


def _gaps(rng: Rng, rows: int) -> _Path:
    jumps = np.where(rng.random(rows) < 0.08, rng.normal(0.0, 0.06, rows), 0.0)
    close = 100.0 * np.exp(np.cumsum(_signed(rng, rows) + jumps))
    pauses = np.where(rng.random(rows) < 0.1, rng.integers(1, 4, rows) * 86_400_000, 0)
    return _Path(close, _volumes(rng, rows), _durations(rng, rows, 40_000) + pauses)


def _late_extremes(rng: Rng, rows: int) -> _Path:
    path = _walk(rng, rows)
    late = rows - rows // 5
    close, volume = path.close.copy(), path.volume.copy()
    close[late] *= 1.6
    close[late + 2] *= 0.5
    volume[late + 1] *= 300.0
    return _Path(close, volume, _durations(rng, rows, 3_600_000))


def _first_highest(rng: Rng, rows: int) -> _Path:
    close = 100.0 * np.exp(-np.abs(np.cumsum(_signed(rng, rows))) - 0.01)
    close[0] = 130.0
    volume = _volumes(rng, rows)
    volume[0] = volume.max() * 3.0
    return _Path(close, volume, _durations(rng, rows, 300))


def _swings(rng: Rng, rows: int) -> _Path:
    wave = np.sin(np.arange(rows) / 3.7 + rng.uniform(0.0, 6.3)) + 0.4 * np.sin(
        np.arange(rows) / 1.3
    )
    close = 100.0 * np.exp(0.05 * wave + 0.2 * _signed(rng, rows))
    return _Path(close, _volumes(rng, rows), _durations(rng, rows, 43_200_000))


def _rising(rng: Rng, rows: int) -> _Path:
    # NOTE: from well below to well above 100: a level is first reached somewhere on the way.
    close = 90.0 * np.exp(np.cumsum(np.abs(_signed(rng, rows)) - 0.2 * _STEP))
    volume = _volumes(rng, rows) * np.linspace(1.0, 20.0, rows)
    return _Path(close, volume, _durations(rng, rows, 900_000))


_SHAPES: Mapping[str, Callable[[Rng, int], _Path]] = {
    "walk": _walk,
    "ties": _ties,
    "gaps": _gaps,
    "late extremes": _late_extremes,
    "first row highest": _first_highest,
    "swings": _swings,
    "rising": _rising,
}
_UNCLEAN = frozenset({"ties"})


def _builder_frame(rng: Rng, path: _Path) -> pl.DataFrame:
    rows = len(path.close)
    close, volume = path.close, path.volume
    opened = np.concatenate([close[:1] * (1.0 - _STEP), close[:-1]])
    wicks = np.zeros((2, rows)) if path.is_tied else _STEP * rng.exponential(0.2, (2, rows))
    high = np.maximum(opened, close) * (1.0 + wicks[0])
    low = np.minimum(opened, close) * (1.0 - wicks[1])
    share = rng.choice([0.25, 0.5, 0.75], rows) if path.is_tied else rng.beta(4.0, 4.0, rows)
    vwap = 0.5 * (high + low) if path.is_tied else low + (high - low) * rng.random(rows)
    bought, sold = volume * share, volume * (1.0 - share)
    buys, sells = rng.integers(1, 40, rows), rng.integers(1, 40, rows)
    trades = buys + sells
    seconds = path.duration_ms / 1e3
    times = _EPOCH_MS + int(rng.integers(0, 10**9)) + np.cumsum(path.duration_ms)
    ids = np.cumsum(trades)
    return pl.DataFrame(
        {
            "open_time": (times - path.duration_ms) * 1000,
            "close_time": times * 1000,
            "open": opened,
            "high": high,
            "low": low,
            "close": close,
            "volume": volume,
            "turnover": volume * vwap * _FIXED_POINT,
            "individual_trade_count": trades.astype(np.uint32),
            "agg_record_count": np.maximum(trades // 2, 1).astype(np.uint32),
            "first_trade_id": ids - trades,
            "last_trade_id": ids,
            "data_source": ["BinanceFuturesUM"] * rows,
            "buy_volume": bought,
            "sell_volume": sold,
            "buy_trade_count": buys.astype(np.uint32),
            "sell_trade_count": sells.astype(np.uint32),
            "vwap": vwap,
            "buy_turnover": bought * vwap * _FIXED_POINT,
            "sell_turnover": sold * vwap * _FIXED_POINT,
            "duration_us": path.duration_ms * 1000,
            "ofi": (bought - sold) / volume,
            "vwap_close_deviation": (close - vwap) / close * 100.0,
            "price_impact": np.abs(close - opened) / opened / volume,
            "kyle_lambda_proxy": (close - opened) / (bought - sold + 1e-6 * volume),
            "trade_intensity": trades / seconds,
            "volume_per_trade": volume / trades,
            "aggression_ratio": buys / sells,
            "aggregation_density_f64": trades / np.maximum(trades // 2, 1),
            "turnover_imbalance": (bought - sold) / volume,
        }
    )


def _special(name: str) -> pl.Expr | None:
    """Return a column that bar tables have and the builder does not emit."""
    close_time = pl.col("close_time")
    fixed = {SYMBOL: pl.lit("BTCUSDT"), THRESHOLD: pl.lit(250), MODE: pl.lit("month")}
    if name in fixed:
        return fixed[name]
    if name in {"close_time_ms", "open_time_ms"}:
        return pl.col(name.removesuffix("_ms")) // 1000
    if name == TIMESTAMP:
        return close_time.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if name.startswith("exchange_session_"):
        return (close_time.cast(pl.Datetime("us")).dt.hour() // 4) % 2 == len(name) % 2
    if name == "aggregation_density":
        return pl.col("aggregation_density_f64")
    return None


def _made_up(rng: Rng, dtype: pl.DataType, rows: int, *, is_clock: bool) -> pl.Series:
    """Return values of a column of which only the dtype is known; but for clocks, they tie."""
    if is_clock:
        start, steps = (_EPOCH_MS * 1000, 10**9) if dtype.is_temporal() else (0, 4)
        return pl.Series(start + np.cumsum(rng.integers(1, steps, rows)))
    values: Any = [None] * rows
    if dtype == pl.Boolean:
        values = rng.random(rows) < 0.5
    elif dtype.is_integer():
        values = rng.integers(0, 7, rows)
    elif dtype.is_float() or dtype.is_decimal():
        values = np.round(np.where(rng.random(rows) < 0.2, 1.0, rng.normal(0.0, 1.0, rows)), 6)
    elif dtype.is_temporal():
        values = _EPOCH_MS * 1000 + rng.integers(1, 10**12, rows)
    elif dtype == pl.String:
        values = rng.choice(["a", "b", "c"], rows).tolist()
    return pl.Series(values)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Which columns generated bars have.

    Attributes:
        layout: Column to dtype.
        clocks: Columns that increase strictly.
        given: The author's bars: a column that nobody else knows is drawn from there.
        fixed: Columns of one value, such as the symbol.
    """

    layout: Mapping[str, pl.DataType]
    clocks: frozenset[str] = frozenset()
    given: pl.DataFrame | None = field(default=None, repr=False)
    fixed: Mapping[str, Any] = field(default_factory=dict)


def builder_bars(shape: str, rows: int, seed: int) -> pl.DataFrame:
    """Return bars of a shape with the columns of the Rust builder; equal seeds give equal bars."""
    rng = np.random.default_rng([seed, rows, *shape.encode()])
    return _builder_frame(rng, _SHAPES[shape](rng, rows))


def known_dtype(name: str) -> pl.DataType | None:
    """Return the dtype of a column that bar tables have and the builder does not emit."""
    special = _special(name)
    if special is None:
        return None
    return builder_bars("walk", 1, 0).select(special.alias(name)).schema[name]


def make_bars(shape: str, rows: int, seed: int, recipe: Recipe) -> pl.DataFrame:
    """Return bars of a shape, with the columns of `recipe`; equal seeds give equal bars."""
    bars = builder_bars(shape, rows, seed)
    rng = np.random.default_rng([seed, rows, *shape.encode(), 1])
    given = recipe.given
    columns = []
    for name, dtype in recipe.layout.items():
        special = _special(name)
        if name in recipe.fixed:
            column = pl.repeat(recipe.fixed[name], rows, eager=True)
        elif name in bars.columns:
            column = bars[name]
        elif special is not None:
            column = bars.with_columns(special.alias(name))[name]
        elif name in recipe.clocks:
            column = _made_up(rng, dtype, rows, is_clock=True)
        elif given is not None and name in given.columns and given.height:
            column = given[name].gather(rng.integers(0, given.height, rows))
        else:
            column = _made_up(rng, dtype, rows, is_clock=False)
        columns.append(column.cast(dtype).alias(name))
    return pl.DataFrame(columns)


def with_holes(bars: pl.DataFrame, seed: int, *, nan: bool = False) -> pl.DataFrame:
    """Return `bars` with holes in every float column: single, in runs, first and last.

    Args:
        bars: One series.
        seed: Says where they are.
        nan: Make every other one NaN, and not null.
    """
    rng = np.random.default_rng([seed, 7])
    made = []
    for name, dtype in bars.schema.items():
        if dtype.is_float():
            gone = rng.random(bars.height) < 0.1
            start = int(rng.integers(0, max(bars.height - 6, 1)))
            gone[start : start + 5] = True
            gone[:2] = gone[-1:] = True
            odd = gone & (rng.random(bars.height) < 0.5) & nan
            kept = pl.when(pl.lit(pl.Series(~gone))).then(pl.col(name))
            made.append(kept.when(pl.lit(pl.Series(odd))).then(float("nan")).alias(name))
    return bars.with_columns(made)


def make_samples(rows: int, long_rows: int, seed: int, recipe: Recipe) -> list[Sample]:
    """Return a short series of every shape, one with nulls, and a long one."""
    samples = [
        Sample(shape, make_bars(shape, rows, seed, recipe), shape not in _UNCLEAN)
        for shape in _SHAPES
    ]
    holed = with_holes(make_bars("walk", rows, seed + 1, recipe), seed)
    samples.append(Sample("nulls", holed, is_clean=False))
    samples.append(Sample("long", make_bars("walk", long_rows, seed + 2, recipe)))
    return samples
