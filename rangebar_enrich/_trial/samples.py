"""Generated tables: seeded, times strictly increasing as the engine guarantees where it matters."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from rangebar_enrich._bars.columns import SERIES_COLUMNS
from rangebar_enrich._provider.declaration import ISOLATED
from rangebar_enrich._trial.clocks import is_time
from rangebar_enrich._trial.columns import Bars, any_clock, any_column, known_column
from rangebar_enrich._trial.shapes import Shape

_IN_A_ROW = 0.5
"""Chance that a row after a hole is one too: holes come in runs, so that limits of fills matter."""


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


def clocks_of(layout: Mapping[str, pl.DataType]) -> frozenset[str]:
    """Return the columns that are clocks by name and dtype."""
    return frozenset(name for name in layout if is_time(name, layout))


def make_bars(
    shape: Shape,
    rows: int,
    seed: int,
    recipe: Recipe,
    *,
    price: float = 100.0,
    volume: float = 1.0,
) -> pl.DataFrame:
    """Return bars of a shape, with the columns of `recipe`; equal seeds give equal bars.

    Args:
        shape: How they run.
        rows: How many.
        seed: Seed of everything random.
        recipe: Which columns they have.
        price: Level of their prices.
        volume: Factor of their volumes.
    """
    bars = Bars(shape, rows, seed, price=price, volume=volume)
    frame = pl.DataFrame([_column(name, bars, recipe) for name in recipe.layout])
    if not shape.missing:
        return frame
    solid = recipe.clocks | set(SERIES_COLUMNS)
    names = [name for name in frame.columns if name not in solid]
    return with_holes(frame, names, seed, share=shape.missing)


def _column(name: str, bars: Bars, recipe: Recipe) -> pl.Series:
    dtype, given = recipe.layout[name], recipe.given
    if name in recipe.fixed:
        return pl.repeat(recipe.fixed[name], bars.rows, eager=True).cast(dtype).alias(name)
    known = known_column(name, bars)
    if known is not None and _fits(known.dtype, dtype):
        return known.cast(dtype, strict=False)
    if name in recipe.clocks:
        return any_clock(name, dtype, bars)
    if given is not None and name in given.columns and given.height:
        drawn = bars.rng(name).integers(0, given.height, bars.rows)
        return given[name].gather(drawn).cast(dtype)
    return any_column(name, dtype, bars)


def _fits(known: pl.DataType, dtype: pl.DataType) -> bool:
    """Say whether a known column may stand for one of another dtype."""
    both = known.is_numeric() and dtype.is_numeric()
    return both or known.base_type() is dtype.base_type()


def with_holes(
    bars: pl.DataFrame,
    names: Collection[str],
    seed: int,
    *,
    share: float = 0.1,
    nan: bool = False,
) -> pl.DataFrame:
    """Return `bars` with holes in some columns: single, in runs, the first and last rows.

    Args:
        bars: One series.
        names: The columns.
        seed: Says where the holes are.
        share: How many there are, of all rows.
        nan: Make every other one NaN, and not null.
    """
    made: list[pl.Expr] = []
    for name in names:
        rng = np.random.default_rng([seed, *name.encode()])
        gone = rng.random(bars.height) < share
        gone |= np.roll(gone, 1) & (rng.random(bars.height) < _IN_A_ROW)
        gone[:2] = gone[-1:] = True
        odd = gone & (rng.random(bars.height) < _IN_A_ROW) & nan
        kept = pl.when(pl.lit(pl.Series(~gone))).then(pl.col(name))
        made.append(
            kept.when(pl.lit(pl.Series(odd))).then(float("nan")).alias(name)
            if nan
            else kept.alias(name)
        )
    try:
        return bars.with_columns(made)
    except ISOLATED:
        return bars  # a dtype that can't be chosen from
