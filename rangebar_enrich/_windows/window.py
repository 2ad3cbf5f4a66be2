"""What a window is: its statistic, its length, and the types that Polars gives its results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl

Kind = Literal["sum", "mean", "var", "std", "min", "max", "skew", "kurtosis", "cov", "corr"]

_NARROW = (pl.Int8, pl.Int16, pl.UInt8, pl.UInt16)
_INTEGERS = (*_NARROW, pl.Int32, pl.Int64, pl.UInt32, pl.UInt64)
_FLOATS = (pl.Float32, pl.Float64)


@dataclass(frozen=True, slots=True)
class Window:
    """One statistic over the last rows of one column, or of two.

    Attributes:
        kind: The statistic; `cov` and `corr` are of two columns.
        size: Rows of the window, the current one counted; at least 1.
        min_samples: Values that it needs; with fewer it is null. At most `size`.
        ddof: What is taken off the count in `var`, `std` and `cov`.
        bias: Whether `skew` and `kurtosis` are of the sample, not of the population behind it.
        fisher: Whether `kurtosis` is 0 for a normal distribution, not 3.
    """

    kind: Kind
    size: int
    min_samples: int
    ddof: int = 1
    bias: bool = True
    fisher: bool = True

    @property
    def needed(self) -> int:
        """Values below which the result is null: its own, or those that its formula needs."""
        if self.kind in {"var", "std"}:
            return max(self.min_samples, self.ddof + 1)
        if self.kind == "corr":
            return max(self.min_samples, 2)
        if self.bias or self.kind not in {"skew", "kurtosis"}:
            return self.min_samples
        return max(self.min_samples, 3 if self.kind == "skew" else 4)


def result_dtype(kind: Kind, dtype: pl.DataType) -> pl.DataType | None:
    """Return the type of a statistic over a column, `None` where the kernels do not cover it."""
    if dtype in _FLOATS:
        return dtype
    if dtype == pl.Boolean:
        covered = {"sum": pl.UInt32(), "min": None, "max": None, "skew": None, "kurtosis": None}
        return covered.get(kind, pl.Float64())
    if dtype not in _INTEGERS:
        return None
    if kind == "sum":
        return pl.Int64() if dtype in _NARROW else dtype
    return dtype if kind in {"min", "max"} else pl.Float64()
