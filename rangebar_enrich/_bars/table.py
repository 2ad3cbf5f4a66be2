"""The caller's bars behind canonical names: what every container has in common.

A name that is known to say when, of what or how much a bar is must be readable, or it is an
error: bars whose series or times went unseen would be mixed in silence. Any other column that
Polars cannot hold stays with the caller, and hurts nobody.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from rangebar_enrich._bars.columns import (
    BAR_COLUMNS,
    OHLCV,
    THRESHOLD,
    Role,
    bar_dtype,
    spellings,
)
from rangebar_enrich._bars.feature import FeatureColumn
from rangebar_enrich.errors import BarColumnError, message

UNREADABLE = (Exception, pl.exceptions.PanicException)
"""What Polars and pyarrow raise for a column of a type that they do not have."""

_NEEDED = {
    column.name: column.role
    for column in BAR_COLUMNS
    if column.role in {Role.SERIES, Role.TIME, Role.PRICE}
}
_FLOATS = frozenset({pl.Float16, pl.Float32, pl.Float64})
_EXPECTED = {Role.SERIES: "text", Role.TIME: "int64 or a datetime", Role.PRICE: "float64"}


class BarTable(ABC):
    """The caller's bars, behind canonical names."""

    columns: Mapping[str, str]
    """Canonical column name to the caller's."""

    unseen: Mapping[str, str]
    """The caller's columns that nobody can read, and what they are."""

    @property
    @abstractmethod
    def height(self) -> int:
        """Number of bars."""

    @property
    @abstractmethod
    def dtypes(self) -> Mapping[str, pl.DataType]:
        """Canonical column name to the dtype that expressions see; hashable through its items."""

    @property
    @abstractmethod
    def metadata(self) -> Mapping[bytes, bytes]:
        """Schema metadata, empty where the container has none."""

    @abstractmethod
    def _raw(self, names: Sequence[str]) -> pl.DataFrame:
        """Return the caller's columns, under the caller's names."""

    @abstractmethod
    def with_features(self, features: Sequence[FeatureColumn]) -> Any:
        """Return the caller's container with `features` appended, older columns of them replaced."""

    @abstractmethod
    def to_arrow(self, features: Sequence[FeatureColumn]) -> pa.Table:
        """Return bars and features as an Arrow table."""

    @abstractmethod
    def with_series(self, told: Mapping[str, Any]) -> BarTable:
        """Return the bars with another label: series columns that are there, and metadata."""

    def to_polars(self, names: Collection[str]) -> pl.DataFrame:
        """Return columns under canonical names, price and volume as float64, NaN as null."""
        wanted = [name for name in self.columns if name in names]
        frame = self._raw([self.columns[name] for name in wanted])
        frame.columns = wanted
        wrong = [
            pl.col(name).cast(self.dtypes[name])
            for name in wanted
            if (name in OHLCV or frame.schema[name] == pl.Null)
            and frame.schema[name] != self.dtypes[name]
        ]
        frame = frame.with_columns(wrong) if wrong else frame
        return frame if _FLOATS.isdisjoint(frame.dtypes) else without_nan(frame)


def without_nan(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame with null for every NaN; columns that have none are the very same."""
    odd = [
        series.name
        for series in frame.get_columns()
        if series.dtype in _FLOATS
        and len(series)
        # NOTE: a minimum passes a NaN on, and is the cheapest way to learn that there is none.
        and (
            pc.any(pc.is_nan(pa.chunked_array(series))).as_py()
            if series.null_count() or series.n_chunks() > 1
            else math.isnan(np.minimum.reduce(series.to_numpy()))
        )
    ]
    return frame.with_columns(pl.col(odd).fill_nan(None)) if odd else frame


def seen_columns(names: Sequence[str], unseen: Mapping[str, str]) -> dict[str, str]:
    """Return canonical name to the caller's for the columns that can be read.

    Args:
        names: All of the caller's columns.
        unseen: Those that cannot be read, and what they are.

    Raises:
        BarColumnError: A name occurs twice, or a column that bars need cannot be read.
    """
    check_unique(names)
    own = spellings(names)
    wrong = [
        f"'{name}': got {unseen[column]}, expected {_expected(name)}"
        for name, column in own.items()
        if column in unseen and name in _NEEDED
    ]
    if wrong:
        msg = message(
            f"{len(wrong)} bar column(s) cannot be read:",
            wrong,
            "convert them before enrichment; rename or drop what is not of the bars.",
        )
        raise BarColumnError(msg)
    return {name: column for name, column in own.items() if column not in unseen}


def _expected(name: str) -> str:
    return "whole numbers" if name == THRESHOLD else _EXPECTED[_NEEDED[name]]


def seen_dtypes(
    columns: Mapping[str, str], raw: Mapping[str, pl.DataType]
) -> dict[str, pl.DataType]:
    """Return canonical name to the dtype that expressions see.

    Args:
        columns: Canonical name to the caller's.
        raw: The caller's name to the dtype that is there.

    Raises:
        BarColumnError: A price column is not a number.
    """
    dtypes = {name: raw[own] for name, own in columns.items()}
    wrong = [
        f"'{name}': got {dtypes[name]}, expected float64"
        for name in OHLCV
        if name in dtypes and not dtypes[name].is_numeric() and dtypes[name] != pl.Null
    ]
    if wrong:
        msg = message(
            f"{len(wrong)} bar column(s) are not numbers:",
            wrong,
            "cast them to float64 before enrichment.",
        )
        raise BarColumnError(msg)
    return {name: bar_dtype(name, dtype) for name, dtype in dtypes.items()}


def check_unique(names: Sequence[str]) -> None:
    """Refuse names that occur twice.

    Raises:
        BarColumnError: One does.
    """
    if len(set(names)) == len(names):
        return
    doubled = sorted({name for name in names if names.count(name) > 1})
    msg = message(
        f"{len(doubled)} column name(s) occur more than once:",
        [repr(name) for name in doubled],
        "rename or drop one of each before enrichment.",
    )
    raise BarColumnError(msg)
