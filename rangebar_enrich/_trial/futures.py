"""Other futures for a series: the same bars up to a cut, none or different ones after it."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import polars as pl

from rangebar_enrich._bars.columns import SERIES_COLUMNS, TIME_UNITS

_WILD = 30.0  # far enough to be a new extreme, near enough to keep rounding noise small
FUTURES = ("other", "wild", "blank")
"""How bars after a cut are replaced: by others alike, by extremes, by nulls."""

_TICKS = {"us": 1000, "ms": 1, "ns": 1_000_000}  # ticks in a millisecond
_EARLY = 6


def draw_cuts(rng: np.random.Generator, rows: int, wanted: int) -> list[int]:
    """Return cuts at random: evenly spaced ones would fall on the edges of buckets.

    One is at 1 and one among the first bars: what is found first there may not have come yet. One is
    among the last tenth.
    """
    drawn = rng.choice(np.arange(1, rows), min(wanted, rows - 1), replace=False)
    early, late = rng.integers(1, min(rows, _EARLY)), rng.integers(rows - (rows + 9) // 10, rows)
    return sorted({1, int(early), max(int(late), 1), *drawn.tolist()})


def change_rows(
    bars: pl.DataFrame, rows: npt.NDArray[np.int64], clocks: Collection[str]
) -> pl.DataFrame:
    """Return `bars` in which some rows are others, at the same times: half as large again.

    Args:
        bars: One series.
        rows: Numbers of the rows.
        clocks: Columns that increase strictly.
    """
    chosen = np.zeros(bars.height, dtype=bool)
    chosen[rows] = True
    is_other = pl.lit(pl.Series(chosen))
    changed = []
    for name, dtype in bars.schema.items():
        if name in clocks or name in SERIES_COLUMNS or not dtype.is_numeric():
            continue
        other = pl.col(name) * 1.5 if dtype.is_float() else pl.col(name) + 1
        changed.append(
            pl.when(is_other).then(other.cast(dtype)).otherwise(pl.col(name)).alias(name)
        )
    return bars.with_columns(changed)


def replace_future(
    bars: pl.DataFrame, cut: int, rng: np.random.Generator, mode: str, clocks: Collection[str]
) -> pl.DataFrame:
    """Return `bars` whose rows from `cut` on are others; times keep increasing strictly.

    Args:
        bars: One series.
        cut: First row that is replaced, at least 1.
        rng: Draws the new rows from all of the series.
        mode: One of `FUTURES`.
        clocks: Columns that increase strictly.
    """
    rows = bars.height - cut
    factor = pl.Series(_factors(rng, rows, mode))
    steps = rng.integers(1, 4, rows)
    delay_ms = 1 + rng.exponential(10.0 ** rng.uniform(2, 8), rows).astype(np.int64)
    changed: list[pl.Expr | pl.Series] = []
    for name, dtype in bars.schema.items():
        if name in clocks:
            ticks = _ticks(name, dtype)
            ahead = np.cumsum(steps if ticks is None else delay_ms * ticks)
            future = int(bars[name].cast(pl.Int64)[cut - 1]) + ahead
            changed.append(pl.Series(name, future).cast(dtype))
        elif name in SERIES_COLUMNS:
            changed.append(bars[name].slice(cut))
        elif dtype.is_float() and mode == "blank":
            changed.append(pl.lit(None, dtype=dtype).alias(name))
        elif dtype.is_float():
            changed.append((pl.col(name) * pl.lit(factor)).cast(dtype).alias(name))
    later = bars[rng.integers(0, bars.height, rows)].with_columns(changed)
    return pl.concat([bars.head(cut), later], rechunk=True)


def _factors(rng: np.random.Generator, rows: int, mode: str) -> npt.NDArray[np.float64]:
    if mode == "wild":
        return rng.choice([_WILD, 1.0 / _WILD], rows)
    # NOTE: every other row keeps its values, so that it ties with a bar before the cut; the first
    # never does, or it could be the very bar that it replaces.
    changed = rng.random(rows) < 0.5
    changed[:1] = True
    return np.where(changed, rng.uniform(0.8, 1.25, rows), 1.0)


def _ticks(name: str, dtype: pl.DataType) -> int | None:
    """Return the ticks of a clock in a millisecond, or `None` for one without a unit."""
    if isinstance(dtype, pl.Datetime):
        return _TICKS[dtype.time_unit]
    if name in TIME_UNITS:
        return _TICKS[TIME_UNITS[name]]
    return 1 if "time" in name.lower() and dtype.is_integer() else None
