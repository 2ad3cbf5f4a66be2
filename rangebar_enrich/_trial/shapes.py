"""How prices, volumes and times of a table run: each shape is odd in its own way.

A monotone series hides a `cum_max` that looks ahead, a table without holes a `backward_fill`, one
without ties an unstable rank, evenly spaced times a bucket that is not over: so there are several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Rng = np.random.Generator
Path = Callable[[Rng, int], Floats]
Gaps = Callable[[Rng, int], Ints]

STEP = 0.0025
"""Share by which a bar of 250 dbps moves."""

_DAY_US, _SLOT_US = 86_400_000_000, 600_000_000
_MONDAY_US = 1_699_833_600_000_000


def _signed(rng: Rng, rows: int) -> Floats:
    return rng.choice([-1.0, 1.0], rows) * STEP * (1.0 + rng.exponential(0.3, rows))


def _walk(rng: Rng, rows: int) -> Floats:
    return 100.0 * np.exp(np.cumsum(_signed(rng, rows)))


def _wide(rng: Rng, rows: int) -> Floats:
    return 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, rows)))


def _ties(rng: Rng, rows: int) -> Floats:
    close: Floats = (100.0 + 0.5 * rng.integers(-2, 3, rows)).astype(np.float64)
    close[rows // 3 : rows // 3 + 8] = 100.0
    return close


def _jumps(rng: Rng, rows: int) -> Floats:
    jumps = np.where(rng.random(rows) < 0.08, rng.normal(0.0, 0.06, rows), 0.0)
    return 100.0 * np.exp(np.cumsum(_signed(rng, rows) + jumps))


def _late_extremes(rng: Rng, rows: int) -> Floats:
    close = _walk(rng, rows)
    late = rows - rows // 5 - 1
    close[late : late + 1] *= 3.0
    close[late + 2 : late + 3] *= 0.3
    return close


def _late_burst(rng: Rng, rows: int) -> Floats:
    volume = _volumes(rng, rows)
    late = rows - rows // 5
    volume[late : late + 1] *= 300.0
    return volume


def _first_highest(rng: Rng, rows: int) -> Floats:
    close = 100.0 * np.exp(-np.abs(np.cumsum(_signed(rng, rows))) - 0.01)
    close[:1] = 130.0
    return close


def _first_most(rng: Rng, rows: int) -> Floats:
    volume = _volumes(rng, rows)
    volume[:1] = volume.max(initial=1.0) * 3.0
    return volume


def _swings(rng: Rng, rows: int) -> Floats:
    row = np.arange(rows)
    wave = np.sin(row / 3.7 + rng.uniform(0.0, 6.3)) + 0.4 * np.sin(row / 1.3)
    return 100.0 * np.exp(0.05 * wave + 0.2 * _signed(rng, rows))


def _rising(rng: Rng, rows: int) -> Floats:
    # NOTE: from well below to well above 100: a level is first reached somewhere on the way.
    return 90.0 * np.exp(np.cumsum(np.abs(_signed(rng, rows)) - 0.2 * STEP))


def _growing_volumes(rng: Rng, rows: int) -> Floats:
    return _volumes(rng, rows) * np.linspace(1.0, 20.0, rows)


def _values_around_0(rng: Rng, rows: int) -> Floats:
    return np.round(rng.normal(0.0, 2.0, rows), 1)


def _hill(rng: Rng, rows: int) -> Floats:
    slope = np.concatenate([np.ones(rows // 2), -np.ones(rows - rows // 2)])
    return 50.0 + np.cumsum(np.where(rng.random(rows) < 0.3, 0.0, slope))


def _unit(rng: Rng, rows: int) -> Floats:
    return rng.random(rows)


def _volumes(rng: Rng, rows: int) -> Floats:
    return np.round(rng.lognormal(2.0, 1.0, rows), 6)


def _few_volumes(rng: Rng, rows: int) -> Floats:
    return rng.choice([1.0, 2.0, 5.0], rows)


def _spread(low: float, high: float) -> Gaps:
    """Draw times between bars between two powers of ten of microseconds."""
    return lambda rng, rows: np.ceil(10.0 ** rng.uniform(low, high, rows)).astype(np.int64)


def _pauses(rng: Rng, rows: int) -> Ints:
    pauses = np.where(rng.random(rows) < 0.1, rng.integers(1, 4, rows) * _DAY_US, 0)
    made: Ints = _spread(6.0, 8.0)(rng, rows) + pauses
    return made


def _still(rng: Rng, rows: int) -> Floats:
    """Draw prices that stand still twice, for a quarter of the rows, after they moved."""
    quarter = np.arange(rows) * 4 // max(rows, 1)
    moves = np.where(quarter % 2 == 0, rng.normal(0.0, STEP, rows), 0.0)
    made: Floats = 100.0 * np.exp(np.cumsum(moves))
    return made


def _still_volumes(rng: Rng, rows: int) -> Floats:
    quarter = np.arange(rows) * 4 // max(rows, 1)
    return np.where(quarter % 2 == 0, _volumes(rng, rows), 3.0)


def _constant_ratio(rng: Rng, rows: int) -> Floats:
    """Draw prices that, after they moved, grow by one share from bar to bar."""
    moves = np.where(np.arange(rows) < rows // 3, rng.normal(0.0, STEP, rows), STEP)
    return np.asarray(np.cumprod(1.0 + moves) * 100.0, np.float64)


def _constant(_rng: Rng, rows: int) -> Floats:
    return np.full(rows, 100.0)


def _all_prices(rng: Rng, rows: int) -> Floats:
    """Draw prices from 1e-6 to 1e6."""
    made: Floats = np.geomspace(1e-6, 1e6, rows) * np.exp(rng.normal(0.0, 0.03, rows))
    return made


def _all_volumes(rng: Rng, rows: int) -> Floats:
    made: Floats = np.geomspace(1e9, 1e-3, rows) * rng.lognormal(0.0, 0.5, rows)
    return made


def _slots(rng: Rng, rows: int) -> Ints:
    """Draw times between bars such that each bar ends in ten minutes of its own."""
    ends = np.arange(rows) * _SLOT_US + rng.integers(1, _SLOT_US, rows)
    return np.diff(ends, prepend=0)


_MINUTES = _spread(6.0, 8.5)


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of table.

    Attributes:
        name: What it is like.
        close: How prices run, around 100 where they are prices.
        volume: How volumes run.
        gaps: Microseconds between bars, at least 1.
        missing: Share of values that are null; never NaN, which spreads through sums that cancel.
        is_clean: Whether every window is full: there is neither a hole nor a flat stretch.
        has_ties: Whether bars have no wicks, so that highs and lows repeat as well.
        starts_us: When it starts; `None` for any time.
        is_market: Whether all columns of the builder fit each other; else each float column that
            is no price has a path of its own.
    """

    name: str
    close: Path
    volume: Path = _volumes
    gaps: Gaps = _MINUTES
    missing: float = 0.0
    is_clean: bool = True
    has_ties: bool = False
    starts_us: int | None = None
    is_market: bool = True


_MARKET = (
    Shape("walk", _walk),
    Shape("ties", _ties, _few_volumes, _spread(3.0, 7.5), is_clean=False, has_ties=True),
    Shape("gaps", _jumps, gaps=_pauses),
    Shape("late extremes", _late_extremes, _late_burst, _spread(8.0, 10.0)),
    Shape("first row highest", _first_highest, _first_most, _spread(3.0, 6.0)),
    Shape("swings", _swings, gaps=_spread(9.5, 11.0)),
    Shape("rising", _rising, _growing_volumes, _spread(7.0, 9.5)),
    Shape("standstill", _still, _still_volumes, is_clean=False, has_ties=True),
    Shape("constant ratio", _constant_ratio, _constant, is_clean=False, has_ties=True),
    Shape("constant", _constant, _constant, is_clean=False, has_ties=True),
)
_ODD = (
    Shape("wide", _wide, gaps=_spread(4.0, 9.0)),
    Shape("holes", _wide, gaps=_spread(4.0, 9.0), missing=0.35),
    Shape("close ties", _ties, _few_volumes, _spread(1.0, 5.0), has_ties=True, is_market=False),
    Shape("late", _late_extremes, _late_burst, _spread(6.0, 8.0), is_market=False),
    Shape("first", _first_highest, _first_most, _spread(7.0, 10.5), is_market=False),
    Shape("signed", _values_around_0, gaps=_spread(0.0, 3.0), missing=0.1, is_market=False),
    Shape("hill", _hill, gaps=_spread(8.0, 11.0), is_market=False),
    Shape("unit", _unit, gaps=_spread(4.0, 9.0), missing=0.05, is_market=False),
)

MARKET: Mapping[str, Shape] = {shape.name: shape for shape in _MARKET}
"""Bars as a market makes them, on which a provider must compute."""

ODD: Mapping[str, Shape] = {shape.name: shape for shape in _ODD}
"""Columns of any kind, on which an expression may be tried that need not be a feature."""


WEEK = Shape("week", _all_prices, _all_volumes, _slots, starts_us=_MONDAY_US)
"""Bars in every ten minutes from a Monday on, at prices and volumes of every magnitude."""
WEEK_ROWS = 1008


def at_level(level: float) -> Shape:
    """Return a shape whose values lie around `level`, for expressions that compare with it."""
    spread = 0.2 * abs(level) or 1.0

    def path(rng: Rng, rows: int) -> Floats:
        return level + rng.normal(0.0, spread, rows)

    return Shape(f"around {level:g}", path, path, _spread(4.0, 9.0), is_market=False)
