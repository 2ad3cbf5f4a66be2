"""The series on which a provider is tried."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import polars as pl

from rangebar_enrich._trial.samples import Recipe, Sample, make_bars, with_holes
from rangebar_enrich._trial.shapes import MARKET, WEEK, WEEK_ROWS

_SHORTEST, _SHORT = 64, 320
_MOST_GIVEN = 2000
_BEYOND_ROWS = 6_000
_LEVELS = ((2e-6, 1e6), (0.7, 1e-4), (4e4, 1e3), (2e6, 1e5))
"""Levels of prices, and factors of volumes, beside those of the author's own bars."""


@dataclass(frozen=True)
class Tables:
    """Generated series, and the author's own.

    Attributes:
        recipe: Which columns they have.
        seed: Seed of everything random.
        span: The longest window that is known of, in bars.
        most_rows: The most rows that the provider is given at once.
    """

    recipe: Recipe
    seed: int
    span: int
    most_rows: int

    @property
    def rows(self) -> int:
        """Rows of a short series."""
        return min(max(2 * self.span + 32, _SHORTEST), _SHORT)

    def bars(self, shape: str, rows: int, *, seed: int) -> pl.DataFrame:
        """Return bars of a shape, at the level of the author's own."""
        price, volume = self._level
        return make_bars(MARKET[shape], rows, seed, self.recipe, price=price, volume=volume)

    @cached_property
    def _level(self) -> tuple[float, float]:
        """Return the price of the author's bars and their volume beside a usual one."""
        return self._median("close") or 100.0, (self._median("volume") or 7.0) / 7.0

    def _median(self, name: str) -> float | None:
        given = self.recipe.given
        if given is None or name not in given.columns or not given.schema[name].is_numeric():
            return None
        middle = given[name].cast(pl.Float64).fill_nan(None).abs().median()
        return middle if isinstance(middle, float) and 0.0 < middle < float("inf") else None

    def with_holes(self, bars: pl.DataFrame, *, nan: bool = False) -> pl.DataFrame:
        """Return bars in which every column of floats has holes."""
        names = [name for name, dtype in bars.schema.items() if dtype.is_float()]
        return with_holes(bars, names, self.seed, nan=nan)

    @cached_property
    def samples(self) -> list[Sample]:
        """Short series of every shape and level, a long one, and the author's own last."""
        rows, seed = self.rows, self.seed
        made = [
            Sample(name, self.bars(name, rows, seed=seed), shape.is_clean)
            for name, shape in MARKET.items()
        ]
        holed = self.with_holes(self.bars("walk", rows, seed=seed + 1))
        made.append(Sample("nulls", holed, is_clean=False))
        made += [
            Sample(f"prices near {price:g}", self._walk(rows, price, volume))
            for price, volume in _LEVELS
        ]
        long_rows = min(max(_BEYOND_ROWS, 4 * self.span), self.most_rows)
        made.append(Sample("long", self.bars("walk", long_rows, seed=seed + 2)))
        given = self.recipe.given
        if given is not None and given.height > 1:
            own = self.like_recipe(given.tail(_MOST_GIVEN))
            made.append(Sample("given bars", own, is_clean=False))
        return made

    def _walk(self, rows: int, price: float, volume: float) -> pl.DataFrame:
        seed = self.seed + 4
        return make_bars(MARKET["walk"], rows, seed, self.recipe, price=price, volume=volume)

    def sample(self, name: str) -> Sample:
        """Return the sample of a name."""
        return next(one for one in self.samples if one.name == name)

    @cached_property
    def week(self) -> Sample:
        """Bars in every ten minutes of a week, at prices and volumes of every magnitude."""
        return Sample("week", make_bars(WEEK, WEEK_ROWS, self.seed, self.recipe))

    def like_recipe(self, given: pl.DataFrame) -> pl.DataFrame:
        """Return the author's bars with the columns of the recipe, those of others made up."""
        made = self.bars("walk", given.height, seed=self.seed + 5)
        return made.with_columns(
            given[name].cast(dtype) for name, dtype in made.schema.items() if name in given.columns
        )
