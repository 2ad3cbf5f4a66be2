"""Columns of a pandas DataFrame, index levels among them, as Polars and Arrow see them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from rangebar_enrich._bars.columns import OHLCV, RESERVED, TIMESTAMP
from rangebar_enrich._bars.table import UNREADABLE, check_unique
from rangebar_enrich.errors import BarColumnError, message

if TYPE_CHECKING:
    import pandas as pd

_KNOWN = RESERVED | {name.capitalize() for name in OHLCV}


class PandasColumns:
    """What can be read of a DataFrame.

    Args:
        frame: The caller's; it is not changed.

    Raises:
        BarColumnError: An index level tells rows apart, and its name is not known.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        check_unique([str(name) for name in frame.columns])
        self.frame = frame
        self.levels = _levels(frame)
        own = [name for name in frame.columns if isinstance(name, str)]
        self.names = [*own, *self.levels]
        self.dtypes: dict[str, pl.DataType] = {}
        self.unseen: dict[str, str] = {}
        self._objects: dict[str, pl.Series] = {}
        for name in self.names:
            self._look(name)

    def _look(self, name: str) -> None:
        """Find out how a column can be read; of objects only the values tell."""
        column = self._column(name)
        try:
            if _is_objects(column.dtype):
                self._objects[name] = _of_objects(name, column)
                self.dtypes[name] = self._objects[name].dtype
            else:
                self.dtypes[name] = _dtype_of(column)
        except UNREADABLE:
            self.unseen[name] = _what(column)

    def _column(self, name: str) -> pd.Series[Any]:
        if name in self.levels:
            level = self.frame.index.get_level_values(self.levels[name])
            return level.to_series().reset_index(drop=True)
        return self.frame[name]

    def series(self, name: str) -> pl.Series:
        """Return a column, shared where it can be."""
        if name in self._objects:
            return self._objects[name]
        return _converted(name, self._column(name))

    def to_arrow(self) -> tuple[pa.Table, list[str]]:
        """Return an Arrow table, index levels first, and the names of what it has no type for."""
        frame = self.frame
        if not self.levels:
            try:
                return pa.Table.from_pandas(frame, preserve_index=False), []
            except UNREADABLE:
                pass
        made: dict[str, Any] = {name: self.series(name).to_arrow() for name in self.levels}
        homeless = []
        for name in frame.columns:
            try:
                made[str(name)] = self._to_arrow(name)
            except UNREADABLE:
                homeless.append(str(name))
        return pa.table(made), homeless

    def _to_arrow(self, name: Any) -> Any:
        try:
            return pa.Array.from_pandas(self.frame[name])
        except UNREADABLE:
            if name in self.unseen or not isinstance(name, str):
                raise
            return self.series(name).to_arrow()


def add_columns(frame: pd.DataFrame, made: Mapping[str, pa.ChunkedArray]) -> None:
    """Add or overwrite columns of the caller's own DataFrame."""
    with warnings.catch_warnings():
        # NOTE: pandas advises a new frame from 100 added columns on; callers want this one.
        warnings.filterwarnings("ignore", message="DataFrame is highly fragmented")
        for name, array in made.items():
            # NOTE: null becomes NaN here, which is what users of the older loader test for.
            frame[name] = array.to_numpy()


def _levels(frame: pd.DataFrame) -> dict[str, int]:
    """Return the index levels that are columns of the bars, and where they stand.

    Raises:
        BarColumnError: A level of several tells rows apart, and its name is not known.
    """
    import pandas as pd

    index, columns = frame.index, set(frame.columns)
    found, strange = {}, []
    for place, name in enumerate(index.names):
        level = index.get_level_values(place) if index.nlevels > 1 else index
        if name in _KNOWN:
            if name not in columns:
                found[str(name)] = place
        elif isinstance(level, pd.DatetimeIndex):
            if TIMESTAMP not in columns and TIMESTAMP not in index.names:
                found[TIMESTAMP] = place
        elif index.nlevels > 1 and 1 < level.nunique(dropna=False) < len(level):
            strange.append(f"{name!r}: level {place} of the index")
    if strange:
        msg = message(
            f"{len(strange)} index level(s) tell rows apart and are not known:",
            strange,
            "name the level 'symbol' where it is one, or drop it with"
            " bars.reset_index(level=..., drop=True).",
        )
        raise BarColumnError(msg)
    return found


def _is_objects(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind == "O"


def _dtype_of(column: pd.Series[Any]) -> pl.DataType:
    if isinstance(column.dtype, np.dtype):
        return _dtype_of_numpy(column.dtype)
    return _converted("", column.iloc[:0]).dtype


@lru_cache(maxsize=64)
def _dtype_of_numpy(dtype: np.dtype[Any]) -> pl.DataType:
    import pandas as pd

    return pl.from_pandas(pd.Series(dtype=dtype)).dtype


def _converted(name: str, column: Any) -> pl.Series:
    import pandas as pd

    if isinstance(column.dtype, pd.SparseDtype):
        column = column.sparse.to_dense()
    made: pl.Series = pl.from_pandas(column)
    return made.alias(name)


def _of_objects(name: str, column: pd.Series[Any]) -> pl.Series:
    """Return Python objects as a column of the one type that they have."""
    if column.isna().all():
        return pl.Series(name, [None] * len(column), dtype=pl.Null)
    values = [one.value if isinstance(one, Enum) else one for one in column]
    _check_times(values)
    changed = any(one is not old for one, old in zip(values, column, strict=True))
    return _converted(name, type(column)(values, dtype=object) if changed else column)


def _check_times(values: list[Any]) -> None:
    """Refuse datetimes beside other things: Polars takes numbers, and any time zone, for its own."""
    clocks = {
        (one.tzinfo is not None) if isinstance(one, datetime) else "none"
        for one in values
        if one is not None and one == one  # noqa: PLR0124 NaT and NaN are no values
    }
    if len(clocks) > 1 and clocks != {"none"}:
        msg = "datetimes with and without a time zone, or beside what is none"
        raise TypeError(msg)


def _what(column: pd.Series[Any]) -> str:
    """Return what a column is, for an error text."""
    if not _is_objects(column.dtype):
        return str(column.dtype)
    kinds = sorted({type(one).__name__ for one in column.dropna()})
    return f"objects ({', '.join(kinds[:4])}{', …' if len(kinds) > 4 else ''})"
