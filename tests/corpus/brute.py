"""Labels by brute force: recompute on every prefix and suffix of several tables, and compare.

Independent of the package: own tables, own comparison; in `make test-all` every cut instead of a few.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import repeat
from random import Random
from typing import Any

import polars as pl
from hypothesis import settings

_HEIGHT = 30
_STEP = 3 if settings.get_current_profile_name() == "house" else 1  # from one cut to the next
_FAILURES = (Exception, pl.exceptions.PanicException)
_OPEN = datetime(2024, 1, 1, tzinfo=UTC).replace(tzinfo=None)


def tables(height: int = _HEIGHT) -> list[pl.DataFrame]:
    """Return tables of bars: plain, with gaps, with ties, late extremes, a falling one, signed values."""
    return [_table(Random(seed), kind, height) for seed, kind in enumerate(_KINDS)]


def wild_tables(height: int = _HEIGHT) -> list[pl.DataFrame]:
    """Return tables that markets make some day: flat, undefined, infinite, at far price levels.

    Values are few binary digits, so that sums of them are exact: what differs is no rounding.
    """
    return [_wild(_table(Random(seed), "ties", height), kind) for seed, kind in enumerate(_WILD)]


_KINDS = ("plain", "gaps", "ties", "late", "falling", "signed")
_WILD = {
    "flat": (1.0, None),
    "NaN": (1.0, math.nan),
    "infinite": (1.0, math.inf),
    "infinite both ways": (1.0, -math.inf),
    "tiny": (2.0**-27, None),
    "huge": (2.0**14, None),
}


def _wild(frame: pl.DataFrame, kind: str) -> pl.DataFrame:
    level, odd = _WILD[kind]
    row, height = pl.int_range(pl.len()), frame.height
    is_flat = row.is_between(height // 3, 2 * height // 3)
    names = ["open", "high", "low", "close", "a", "b", "volume"]
    made = [(pl.col(name) * 8).round() / 8 * level for name in names]
    if kind == "flat":
        made = [pl.when(is_flat).then(one.get(height // 3)).otherwise(one) for one in made]
    if odd is not None:
        made = [
            pl.when((row * 7 + place) % 6 == 1)
            .then(odd * (-1) ** (row % 2 * (odd < 0)))
            .otherwise(one)
            for place, one in enumerate(made)
        ]
    return frame.with_columns(one.alias(name) for one, name in zip(made, names, strict=True))


def _table(random: Random, kind: str, height: int) -> pl.DataFrame:
    close = [_price(random, kind, i, height) for i in range(height)]
    when = [_OPEN]
    while len(when) < height:
        when.append(when[-1] + timedelta(microseconds=int(10 ** random.uniform(3, 10))))

    def gappy(values: Sequence[Any], share: float = 0.3) -> list[Any]:
        return [None if kind == "gaps" and random.random() < share else value for value in values]

    opened = [close[0], *close[:-1]]
    high = [max(pair) + random.random() for pair in zip(opened, close, strict=True)]
    low = [min(pair) - random.random() for pair in zip(opened, close, strict=True)]
    items = [[random.uniform(-5, 5) for _ in range(3)] for _ in range(height)]
    frame = pl.DataFrame(
        {
            "open": gappy(opened),
            "high": gappy(high),
            "low": gappy(low),
            "close": gappy(close),
            "volume": [
                random.choice([0.0, 1.0, 5.0, 9.5]) * random.random() for _ in range(height)
            ],
            "a": gappy(close),
            "b": gappy([random.choice([0.0, 1.0, 2.0, 3.5]) for _ in range(height)]),
            "n": gappy([random.randint(0, 5) for _ in range(height)]),
            "k": [random.randint(0, 3) for _ in range(height)],
            "flag": gappy([random.random() < 0.5 for _ in range(height)]),
            "s": gappy(
                [random.choice(["a", "b,a", "12", "2024-01-02", "7"]) for _ in range(height)]
            ),
            "when": when,
            "items": items,
        }
    )
    time_us = pl.col("when").dt.timestamp("us")
    return frame.with_columns(
        t=pl.int_range(pl.len()),
        last_trade_id=pl.int_range(pl.len()) * 3 + 10,
        close_time=time_us,
        open_time=time_us - 1,
        timestamp=pl.col("when"),
        pair=pl.struct("a", "b"),
    )


def _price(random: Random, kind: str, row: int, height: int) -> float:
    base = 100 + random.gauss(0, 2)
    if kind == "ties":
        return float(random.randint(98, 101))
    if kind == "late" and row in {height - 4, height - 9}:
        return base * (12 if row == height - 4 else 0.1)
    if kind == "falling":
        return 1000 - 7 * row + random.random()
    return random.gauss(0, 2) if kind == "signed" else base


def column(frame: pl.DataFrame, expr: pl.Expr) -> list[Any] | None:
    """Compute a feature as a column of `frame`, or `None` where that fails."""
    if expr.meta.has_multiple_outputs():
        expr = pl.struct(expr)
    try:
        return (
            frame.lazy().select(pl.all(), __out=expr).collect(engine="in-memory")["__out"].to_list()
        )
    except _FAILURES:
        return None


def height(frame: pl.DataFrame, expr: pl.Expr) -> int | None:
    """Count the rows that a feature alone makes, or `None` where that fails."""
    try:
        return frame.lazy().select(expr).collect(engine="in-memory").height
    except _FAILURES:
        return None


def leaks(expr: pl.Expr, frames: Sequence[pl.DataFrame]) -> bool:
    """Say whether a row changes when later rows come."""
    return any(_leaks_on(frame, expr) for frame in frames)


def _leaks_on(frame: pl.DataFrame, expr: pl.Expr) -> bool:
    full = column(frame, expr)
    if full is None:
        return False
    prefixes = ((cut, column(frame.head(cut), expr)) for cut in range(frame.height - 1, 0, -_STEP))
    scale = scale_of(frame)
    return any(part is not None and not same(part, full[:cut], scale) for cut, part in prefixes)


def needs_more_past(expr: pl.Expr, past: int, frames: Sequence[pl.DataFrame]) -> bool:
    """Say whether a row changes when only `past` of the rows before it are there."""
    return any(
        not same([one], [other], scale_of(frame))
        for frame in frames
        for one, other in _with_past(frame, expr, past)
    )


def _with_past(frame: pl.DataFrame, expr: pl.Expr, past: int) -> Iterator[tuple[Any, Any]]:
    full = column(frame, expr)
    for row in range(past + 1, frame.height, _STEP):
        part = column(frame.slice(row - past), expr)
        if full is not None and part is not None:
            yield part[past], full[row]


def scale_of(frame: pl.DataFrame) -> float:
    """Return the size of the prices of a table."""
    close = frame["close"]
    return max(frame.filter(close.is_finite())["close"].abs().max() or 0.0, 1e-300)


def same(one: Sequence[Any], other: Sequence[Any], scale: float = 100.0) -> bool:
    """Compare values: nulls and NaN in the same places, floats up to rounding of what was read."""
    return len(one) == len(other) and all(map(_same, one, other, repeat(scale)))


def _same(one: Any, other: Any, scale: float) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return same(list(one.values()), list(other.values()), scale)
    if isinstance(one, list) and isinstance(other, list):
        return same(one, other, scale)
    if isinstance(one, float) and isinstance(other, float):
        both_nan = math.isnan(one) and math.isnan(other)
        return both_nan or math.isclose(one, other, rel_tol=1e-7, abs_tol=1e-9 * scale)
    return bool(one == other)
