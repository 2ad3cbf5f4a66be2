"""Small generated tables of bars on which look-ahead shows.

A monotone series hides a `cum_max` that looks ahead, a table without gaps a `backward_fill`, one
without ties an unstable rank: so there are several, each odd in its own way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from rangebar_enrich._trial.clocks import is_time

Floats = np.ndarray[Any, np.dtype[np.float64]]
Path = Callable[[np.random.Generator, int], Floats]

FAILURES = (Exception, pl.exceptions.PanicException)
"""What Polars raises; a panic is a BaseException."""

ROWS = 48
"""Rows of a table, unless an expression reads further."""

_START_US = 1_700_000_000_000_000
_WORDS = ("a", "b", "cc", "ddd", "1", "2.5", "2024-01-02")


@dataclass(frozen=True)
class Style:
    """One kind of table: how prices run, how dense bars are in time, how many values are missing."""

    name: str
    path: Path
    gap_us: tuple[float, float] = (4.0, 9.0)
    """Range of the time between two bars, as powers of ten of microseconds."""
    missing: float = 0.0
    """Share of values that are null; never NaN, which spreads through sums that cancel."""


def _walk(rng: np.random.Generator, rows: int) -> Floats:
    return 100 * np.exp(np.cumsum(rng.normal(0, 0.01, rows)))


def _ties(rng: np.random.Generator, rows: int) -> Floats:
    return rng.integers(98, 103, rows).astype(float)


def _late_extremes(rng: np.random.Generator, rows: int) -> Floats:
    path = _walk(rng, rows)
    late = rng.integers(rows * 2 // 3, rows, 2)
    path[late] *= (20.0, 0.05)
    return path


def _first_is_highest(rng: np.random.Generator, rows: int) -> Floats:
    return np.concatenate([[1000.0], rng.uniform(1, 900, rows - 1)]) if rows else np.empty(0)


def _signed(rng: np.random.Generator, rows: int) -> Floats:
    return np.round(rng.normal(0, 2, rows), 1)


def _hill(rng: np.random.Generator, rows: int) -> Floats:
    slope = np.concatenate([np.ones(rows // 2), -np.ones(rows - rows // 2)])
    return 50 + np.cumsum(np.where(rng.random(rows) < 0.3, 0, slope))


def _unit(rng: np.random.Generator, rows: int) -> Floats:
    return rng.random(rows)


STYLES: tuple[Style, ...] = (
    Style("walk", _walk),
    Style("gaps", _walk, missing=0.35),
    Style("ties", _ties, gap_us=(1.0, 5.0)),
    Style("late extremes", _late_extremes, gap_us=(6.0, 8.0)),
    Style("first is highest", _first_is_highest, gap_us=(7.0, 10.5)),
    Style("signed", _signed, gap_us=(0.0, 3.0), missing=0.1),
    Style("hill", _hill, gap_us=(8.0, 11.0)),
    Style("unit", _unit, missing=0.05),
)


def at_level(level: float) -> Style:
    """Return a style whose values lie around `level`, for expressions that compare with it."""
    spread = 0.2 * abs(level) or 1.0
    return Style(f"around {level:g}", lambda rng, rows: level + rng.normal(0, spread, rows))


def make_frame(
    columns: Mapping[str, pl.DataType], style: Style, *, rows: int, seed: int
) -> pl.DataFrame:
    """Generate a table of bars.

    Times increase strictly; high and low enclose open and close; the rest is as its dtype says.

    Args:
        columns: Name to dtype of the columns.
        style: How values run.
        rows: Height of the table.
        seed: The same seed gives the same table.
    """
    rng = np.random.default_rng(seed)
    bars = _prices(rng, style, rows)
    elapsed = np.cumsum(np.ceil(10 ** rng.uniform(*style.gap_us, rows))).astype(np.int64)
    series = [
        _column(name, dtype, _Row(rng, style, rows, bars, _START_US + elapsed))
        for name, dtype in columns.items()
    ]
    return pl.DataFrame(series)


def _prices(rng: np.random.Generator, style: Style, rows: int) -> dict[str, Floats]:
    close = style.path(rng, rows)
    opened = np.concatenate([close[:1], close[:-1]])
    width = np.abs(close) * 0.004 * rng.random(rows)
    volume = np.abs(style.path(rng, rows)) * rng.choice(
        [0.0, 1.0, 3.0, 40.0], rows, p=[0.05, 0.6, 0.3, 0.05]
    )
    return {
        "open": opened,
        "close": close,
        "high": np.maximum(opened, close) + width,
        "low": np.minimum(opened, close) - width,
        "volume": volume,
    }


@dataclass(frozen=True)
class _Row:
    """What the columns of one table share."""

    rng: np.random.Generator
    style: Style
    rows: int
    bars: Mapping[str, Floats]
    times_us: np.ndarray[Any, np.dtype[np.int64]]


def _column(name: str, dtype: pl.DataType, row: _Row) -> pl.Series:
    """Make a column; clocks have no gaps."""
    if is_time(name, {name: dtype}):
        return _times(name, dtype, row)
    try:
        values = _values(name, dtype, row)
    except FAILURES:
        # A dtype that can't be made up still is a column.
        return pl.Series(name, [None] * row.rows, dtype=dtype)
    empty = row.rng.random(row.rows) < row.style.missing
    # Gaps come in runs, so that limits of fills matter.
    empty |= np.roll(empty, 1) & (row.rng.random(row.rows) < 0.5)
    return pl.select(pl.when(pl.Series(~empty)).then(values).alias(name)).to_series()


def _times(name: str, dtype: pl.DataType, row: _Row) -> pl.Series:
    if dtype.is_integer() and "time" not in name.lower():
        # A clock of no known unit: small steps, so that small windows hold several rows.
        return pl.Series(name, np.cumsum(row.rng.integers(1, 4, row.rows))).cast(
            dtype, strict=False
        )
    if dtype == pl.Date:
        return pl.Series(name, np.arange(row.rows, dtype=np.int32)).cast(pl.Date)
    times = pl.Series(name, row.times_us)
    return times.cast(dtype) if dtype.is_integer() else times.cast(pl.Datetime("us")).cast(dtype)


def _values(name: str, dtype: pl.DataType, row: _Row) -> pl.Series:
    if dtype.is_float() or dtype.is_decimal():
        return pl.Series(_floats(name, row)).cast(dtype, strict=False)
    if dtype.is_nested():
        return _nested(dtype, row)
    if isinstance(dtype, pl.Enum):
        return pl.Series(row.rng.choice(dtype.categories.to_list(), row.rows)).cast(dtype)
    if dtype.is_integer() or dtype.is_temporal() or dtype == pl.Boolean:
        return pl.Series(row.rng.integers(*_limits(dtype), row.rows)).cast(dtype)
    words = row.rng.choice(_WORDS, row.rows).tolist()
    return pl.Series(words, dtype=pl.String).cast(dtype, strict=False)


def _limits(dtype: pl.DataType) -> tuple[int, int]:
    """Return small numbers, so that values repeat; negative ones where they can be."""
    if dtype == pl.Boolean:
        return (0, 2)
    return (-2 if dtype.is_signed_integer() else 0, 6)


def _floats(name: str, row: _Row) -> Floats:
    known = row.bars.get(name.lower())
    return row.style.path(row.rng, row.rows) if known is None else known


def _nested(dtype: pl.DataType, row: _Row) -> pl.Series:
    if isinstance(dtype, pl.Struct):
        fields = [_column(field.name, _instance(field.dtype), row) for field in dtype.fields]
        return pl.DataFrame(fields).to_struct()
    inner = _instance(dtype.inner)  # type: ignore[attr-defined]
    width = dtype.size if isinstance(dtype, pl.Array) else 3
    parts: Sequence[pl.Series] = [_column("", inner, row).alias(str(part)) for part in range(width)]
    return pl.DataFrame(parts).select(pl.concat_list(pl.all()).cast(dtype)).to_series()


def _instance(dtype: Any) -> pl.DataType:
    made: pl.DataType = dtype() if isinstance(dtype, type) else dtype
    return made
