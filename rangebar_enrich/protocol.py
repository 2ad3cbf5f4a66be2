"""What a provider promises: the contract between its author and the engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import polars as pl

if TYPE_CHECKING:
    import pandas as pd

ENTRY_POINT_GROUP = "rangebar.feature_providers"
"""Entry-point group under which providers of both kinds register."""

WarmUp = int | Mapping[str, int]
"""`min_bars`: one number of rows, or one for each column."""


@dataclass(frozen=True, slots=True)
class BarContext:
    """What a provider may know of the bars when it writes its expressions.

    Attributes:
        symbol: Trading symbol, or `None`.
        threshold_decimal_bps: Bar threshold in decimal basis points, or `None`.
        columns: Name to Polars dtype of every column that expressions may read.
    """

    symbol: str | None = None
    threshold_decimal_bps: int | None = None
    columns: Mapping[str, pl.DataType] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make `columns` read-only: one context is shown to every provider."""
        object.__setattr__(self, "columns", MappingProxyType(dict(self.columns)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle through the constructor: a mapping proxy does not pickle."""
        return (type(self), (self.symbol, self.threshold_decimal_bps, dict(self.columns)))


@runtime_checkable
class FeatureProvider(Protocol):
    """Describes columns to add to closed range bars; computes nothing itself.

    Two attributes are optional. `lookback: int` is the number of earlier bars that fix a value,
    for expressions from which it cannot be derived. `requires: tuple[str, ...]` names columns
    that another provider makes. `isinstance` looks for the attributes only; the engine checks
    what they hold.
    """

    @property
    def name(self) -> str:
        """Unique name, `[a-z][a-z0-9_]*`; the prefix of every column."""

    @property
    def version(self) -> str:
        """Version of the formulas: values made by another version may differ."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Output columns, in the order in which they are stored."""

    @property
    def min_bars(self) -> WarmUp:
        """Warm-up: rows at the start of a series that are null, for all columns or for each."""

    def expressions(self, context: BarContext, /) -> Iterable[pl.Expr] | Mapping[str, pl.Expr]:
        """Return one expression for each of `columns`, aliased, or a mapping from column to it."""


@runtime_checkable
class PandasFeatureProvider(Protocol):
    """The older contract: adds its columns to a DataFrame in place and returns it."""

    @property
    def name(self) -> str:
        """Unique name, the prefix of every column."""

    @property
    def version(self) -> str:
        """Version of the formulas."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Output columns."""

    @property
    def min_bars(self) -> int:
        """Warm-up rows."""

    def enrich(
        self, bars: pd.DataFrame, symbol: str, threshold_decimal_bps: int, /
    ) -> pd.DataFrame:
        """Add `columns` to `bars` in place and return it."""
