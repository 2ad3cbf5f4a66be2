"""`ewm_mean` that goes on where it stopped, with the bits of one that never did.

With the factor `q = 1 - alpha`, Polars keeps a mean and the weight of what it has seen. A row
multiplies the weight by `q`; a value `x` that comes with the weight `n` (1, or `alpha` with
`adjust=False`) then moves the mean by `(x - mean) * (n / (weight + n))`, and the weight becomes
`weight + 1` (or 1). A null only multiplies the weight, and with `ignore_nulls=True` not even that.

That is a loop, and a loop in Python is right for few rows only. For many rows Polars' own operator
is restarted behind the held mean, as soon as the weights have settled: from there on each value
moves the mean by the same share.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl

# Below, one restart of Polars' operator costs more than the loop.
_FEW_ROWS = 1_000

# What Polars computes in, by dtype of the input; all else is cast to Float64.
_NUMBERS: dict[Any, Callable[[Any], Any]] = {
    pl.Float16: np.float16,
    pl.Float32: np.float32,
    pl.Float64: float,
}


class Decayed(NamedTuple):
    """What an `ewm_mean` remembers once it has seen a value.

    Attributes:
        mean: The weighted mean so far, also where `min_samples` hides it.
        weight: Sum of the weights after the last row, nulls included.
        seen: Number of values so far.
    """

    mean: float
    weight: float
    seen: int


@dataclass(frozen=True, slots=True)
class Decay:
    """One `ewm_mean`, by its options.

    Attributes:
        alpha: Weight of a new value.
        adjust: Whether weights are divided by their sum.
        ignore_nulls: Whether a null leaves the weights as they are.
        min_samples: Number of values before the first result.
    """

    alpha: float
    adjust: bool
    ignore_nulls: bool
    min_samples: int

    def advance(self, held: Decayed | None, values: pl.Series) -> tuple[pl.Series, Decayed | None]:
        """Return the results for new rows, and what to go on from; `None` before any value."""
        if values.dtype not in _NUMBERS:
            values = values.cast(pl.Float64)
        scale = _Scale.of(self, values.dtype)
        with np.errstate(all="ignore"):
            means, after = self._means(scale, held, values)
        return self._hide(means, held.seen if held else 0), after

    def _means(
        self, scale: _Scale, held: Decayed | None, values: pl.Series
    ) -> tuple[pl.Series, Decayed | None]:
        if held is None:
            return self._begin(scale, values)
        walked = len(values) if len(values) <= _FEW_ROWS else self._unsettled(scale, held, values)
        head, held = self._walk(scale, held, values.head(walked))
        if walked == len(values):
            return head, held
        tail, held = self._restart(scale, held, values.slice(walked))
        return pl.concat([head, tail]), held

    def _begin(self, scale: _Scale, values: pl.Series) -> tuple[pl.Series, Decayed | None]:
        """Run Polars' operator from the start of the series."""
        means = values.ewm_mean(
            alpha=self.alpha, adjust=self.adjust, ignore_nulls=self.ignore_nulls, min_samples=1
        )
        count = len(means) - means.null_count()
        if not count:
            return means, None
        seen = _seen(means)
        first = int(seen.argmax())
        weight = scale.weight_after(scale.one, seen[first + 1 :])
        return means, Decayed(_last(means), float(weight), count)

    def _walk(self, scale: _Scale, held: Decayed, values: pl.Series) -> tuple[pl.Series, Decayed]:
        """Go through the rows one by one, operation by operation as Polars does."""
        number, keep, new = scale.number, scale.keep, scale.new
        mean, weight, count = number(held.mean), number(held.weight), held.seen
        means: list[Any] = []
        for value in values.to_list():
            if value is None:
                means.append(None)
                if not self.ignore_nulls:
                    weight *= keep
                continue
            weight *= keep
            mean += (value - mean) * (new / (weight + new))
            weight = weight + new if self.adjust else scale.one
            count += 1
            means.append(float(mean))
        series = pl.Series(values.name, means, dtype=values.dtype)
        return series, Decayed(float(mean), float(weight), count)

    def _unsettled(self, scale: _Scale, held: Decayed, values: pl.Series) -> int:
        """Return how many rows must be walked before a restart gives the same bits."""
        if values.null_count() and self.adjust and not self.ignore_nulls:
            return len(values)
        weight, steps = scale.repeat(scale.with_value, scale.number(held.weight), len(values))
        places = np.flatnonzero(_seen(values))
        if steps > len(places) or not scale.is_settled(weight):
            return len(values)
        return int(places[steps - 1]) + 1 if steps else 0

    def _restart(
        self, scale: _Scale, held: Decayed, values: pl.Series
    ) -> tuple[pl.Series, Decayed]:
        """Let Polars go on from the mean, with the share that a settled value has."""
        share = float(scale.one / scale.number(held.weight)) if self.adjust else self.alpha
        start = pl.Series(values.name, [held.mean], dtype=values.dtype)
        means = pl.concat([start, values]).ewm_mean(
            alpha=share, adjust=False, ignore_nulls=self.ignore_nulls, min_samples=1
        )
        seen = _seen(means)[1:]
        weight = scale.weight_after(scale.number(held.weight), seen)
        count = held.seen + int(seen.sum())
        return means.slice(1), Decayed(_last(means), float(weight), count)

    def _hide(self, means: pl.Series, count: int) -> pl.Series:
        """Set results to null until there have been `min_samples` values."""
        if count + 1 >= self.min_samples or not len(means):
            return means
        places = np.flatnonzero(_seen(means))
        wanted = self.min_samples - count
        hidden = int(places[wanted - 1]) if wanted <= len(places) else len(means)
        return pl.concat([means.clear(hidden), means.slice(hidden)])


@dataclass(frozen=True, slots=True)
class _Scale:
    """The constants of a decay in the precision that Polars computes in."""

    decay: Decay
    number: Callable[[Any], Any]
    one: Any
    keep: Any
    new: Any

    @classmethod
    def of(cls, decay: Decay, dtype: pl.DataType) -> _Scale:
        number = _NUMBERS[dtype]
        one, alpha = number(1), number(decay.alpha)
        return cls(decay, number, one, one - alpha, one if decay.adjust else alpha)

    def with_value(self, weight: Any) -> Any:
        """Return the weight after a row with a value."""
        return weight * self.keep + self.new if self.decay.adjust else self.one

    def with_null(self, weight: Any) -> Any:
        """Return the weight after a row without one."""
        return weight if self.decay.ignore_nulls else weight * self.keep

    def weight_after(self, weight: Any, seen: np.ndarray[Any, np.dtype[np.bool_]]) -> Any:
        """Return the weight after rows of which `seen` says whether they have a value.

        Exact, and a loop only over rows that change it: long runs settle.
        """
        if not len(seen):
            return weight
        bounds = [0, *(np.flatnonzero(seen[1:] != seen[:-1]) + 1).tolist(), len(seen)]
        if not self.decay.adjust:
            # Each value sets the weight to 1, so the last run of either kind decides.
            bounds = bounds[-3:]
        for start, end in itertools.pairwise(bounds):
            step = self.with_value if seen[start] else self.with_null
            weight, _ = self.repeat(step, weight, end - start)
        return weight

    def is_settled(self, weight: Any) -> bool:
        """Say whether values no longer change the weight, and Polars can be restarted at it."""
        share = self.one / weight
        restarts = bool((self.one - share) + share == 1)
        return bool(self.with_value(weight) == weight) and (restarts or not self.decay.adjust)

    @staticmethod
    def repeat(step: Callable[[Any], Any], weight: Any, times: int) -> tuple[Any, int]:
        """Apply `step`, at most `times`, until the weight settles; return how often it moved."""
        for done in range(times):
            after = step(weight)
            if after == weight:
                return weight, done
            weight = after
        return weight, times


def _seen(values: pl.Series) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return values.is_not_null().to_numpy()


def _last(means: pl.Series) -> float:
    last = means[-1]
    return float(means.drop_nulls()[-1] if last is None else last)
