"""Bars in the caller's container: read the columns a plan needs, give the same kind back.

Each adapter names its columns canonically (`close`, even where the caller has `Close`), hands
single columns to Polars without copying what Arrow can share, and appends features so that the
caller's own columns keep their buffers, types and metadata.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

import polars as pl
import pyarrow as pa

from rangebar_enrich._bars.arrow_types import as_plain, plain_type
from rangebar_enrich._bars.feature import FeatureColumn
from rangebar_enrich._bars.pandas_columns import PandasColumns, add_columns
from rangebar_enrich._bars.table import UNREADABLE, BarTable, seen_columns, seen_dtypes
from rangebar_enrich.errors import SeriesConflictError, UnsupportedBarsError, message

logger = logging.getLogger(__name__)

_Layout = tuple[dict[str, str], dict[str, str], dict[str, pl.DataType], frozenset[str]]


@lru_cache(maxsize=256)
def _arrow_layout(schema: pa.Schema) -> _Layout:
    """Return names, unseen columns, dtypes, and what is to be decoded; no value has a say in it."""
    plain = {field.name: plain_type(field.type) for field in schema}
    raw = _readable(pa.schema([item for item in plain.items() if item[1] is not None]))
    unseen = {field.name: str(field.type) for field in schema if field.name not in raw}
    columns = seen_columns(schema.names, unseen)
    coded = frozenset(field.name for field in schema if plain[field.name] != field.type)
    return columns, unseen, seen_dtypes(columns, raw), coded


def _readable(schema: pa.Schema) -> Mapping[str, pl.DataType]:
    """Return the columns that Polars can hold; others stay with the caller, unseen."""
    try:
        return pl.Schema(schema)
    except UNREADABLE:
        if len(schema) == 1:
            return {}
    parts = [_readable(pa.schema([field])) for field in schema]
    return {name: dtype for part in parts for name, dtype in part.items()}


def _frame_of(table: pa.Table) -> pl.DataFrame:
    # NOTE: chunks are shared as they are; joining them would copy every column.
    frame = pl.from_arrow(table, rechunk=False)
    return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()


class ArrowBars(BarTable):
    """Bars in a `pa.Table`."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        # NOTE: metadata has no say in it, and with it a schema of pyarrow 18 cannot be hashed.
        layout = _arrow_layout(table.schema.remove_metadata())
        self.columns, self.unseen, self._dtypes, self._coded = layout

    @property
    def height(self) -> int:
        """Number of bars."""
        return int(self.table.num_rows)

    @property
    def dtypes(self) -> Mapping[str, pl.DataType]:
        """Canonical column name to dtype."""
        return self._dtypes

    @property
    def metadata(self) -> Mapping[bytes, bytes]:
        """Schema metadata."""
        return self.table.schema.metadata or {}

    def _raw(self, names: Sequence[str]) -> pl.DataFrame:
        table = self.table.select(list(names))
        for name in self._coded.intersection(names) if self._coded else ():
            place = table.schema.get_field_index(name)
            table = table.set_column(place, name, as_plain(table.column(place)))
        return _frame_of(table)

    def with_series(self, told: Mapping[str, Any]) -> ArrowBars:
        """Return the bars with another label, in columns and in the metadata."""
        table = self.table
        for name, value in told.items():
            if name in self.columns:
                own = self.columns[name]
                field = pa.field(own, pa.scalar(value).type, metadata=table.field(own).metadata)
                column = pa.repeat(pa.scalar(value), table.num_rows)
                table = table.set_column(table.schema.get_field_index(own), field, column)
        made = {name.encode(): str(value).encode() for name, value in told.items()}
        return ArrowBars(table.replace_schema_metadata({**self.metadata, **made}))

    def with_features(self, features: Sequence[FeatureColumn]) -> pa.Table:
        """Return a table of the caller's very columns and, at the end, `features`."""
        made = {feature.name for feature in features}
        schema = self.table.schema
        fields, arrays = list(schema), self.table.columns
        if not made.isdisjoint(schema.names):
            kept = [i for i, name in enumerate(schema.names) if name not in made]
            fields, arrays = [fields[i] for i in kept], [arrays[i] for i in kept]
        fields += [feature.field for feature in features]
        arrays += [feature.array for feature in features]
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=schema.metadata))

    def to_arrow(self, features: Sequence[FeatureColumn]) -> pa.Table:
        """Return bars and features as an Arrow table."""
        return self.with_features(features)


class PolarsBars(BarTable):
    """Bars in a `pl.DataFrame`."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame
        self.unseen = {}
        # NOTE: Python objects may be anything; legacy providers are shown them all the same.
        objects = {name: str(dtype) for name, dtype in frame.schema.items() if dtype == pl.Object}
        self.columns = seen_columns(frame.columns, objects) | {name: name for name in objects}

    @property
    def height(self) -> int:
        """Number of bars."""
        return self.frame.height

    @cached_property
    def dtypes(self) -> Mapping[str, pl.DataType]:
        """Canonical column name to dtype."""
        return seen_dtypes(self.columns, self.frame.schema)

    @property
    def metadata(self) -> Mapping[bytes, bytes]:
        """Nothing: a Polars frame carries no metadata."""
        return {}

    def _raw(self, names: Sequence[str]) -> pl.DataFrame:
        return self.frame.select(names)

    def with_series(self, told: Mapping[str, Any]) -> PolarsBars:
        """Return the bars with another label in the columns that are there."""
        there = [name for name in told if name in self.columns]
        return PolarsBars(self.frame.with_columns(pl.lit(told[name]).alias(name) for name in there))

    def with_features(self, features: Sequence[FeatureColumn]) -> pl.DataFrame:
        """Return the frame without older columns of `features`, then `features`."""
        names = [feature.name for feature in features]
        made = _frame_of(pa.Table.from_arrays([one.array for one in features], names=names))
        old = [name for name in names if name in self.frame.columns]
        return (self.frame.drop(old) if old else self.frame).hstack(made)

    def to_arrow(self, features: Sequence[FeatureColumn]) -> pa.Table:
        """Return bars and features as an Arrow table, without what Arrow has no type for."""
        homeless = [
            name
            for name, dtype in self.frame.schema.items()
            if dtype in {pl.Object, pl.Int128, pl.UInt128}
        ]
        _tell_left_out(homeless)
        frame = self.frame.drop(homeless) if homeless else self.frame
        return ArrowBars(frame.to_arrow()).with_features(features)


class PandasBars(BarTable):
    """Bars in a `pd.DataFrame`; index levels with known names are columns.

    A DatetimeIndex stands for the column `timestamp`, whatever its name. A column of objects that
    have no common type stays with the caller, unseen.
    """

    def __init__(self, frame: Any, labels: Mapping[str, Any] | None = None) -> None:
        self.frame, self._labels = frame, labels or {}
        frame = frame.assign(**labels) if labels else frame
        self._source = PandasColumns(frame)
        self.unseen = self._source.unseen
        self.columns = seen_columns(self._source.names, self.unseen)

    @property
    def height(self) -> int:
        """Number of bars."""
        return len(self.frame)

    @cached_property
    def dtypes(self) -> Mapping[str, pl.DataType]:
        """Canonical column name to dtype."""
        return seen_dtypes(self.columns, self._source.dtypes)

    @property
    def metadata(self) -> Mapping[bytes, bytes]:
        """Nothing: a DataFrame carries no Arrow metadata."""
        return {}

    def _raw(self, names: Sequence[str]) -> pl.DataFrame:
        return pl.DataFrame([self._source.series(name) for name in names])

    def with_series(self, told: Mapping[str, Any]) -> PandasBars:
        """Return the bars with another label in the columns that are there.

        Raises:
            SeriesConflictError: A label stands in the index.
        """
        levels = [repr(name) for name in told if name in self._source.levels]
        if levels:
            head = f"Index level(s) {', '.join(levels)} cannot be relabelled."
            hint = "make columns of them first, with bars.reset_index()."
            raise SeriesConflictError(message(head, hint=hint))
        return PandasBars(self.frame, {one: told[one] for one in told if one in self.columns})

    def with_features(self, features: Sequence[FeatureColumn]) -> Any:
        """Add or overwrite `features` in the caller's own DataFrame, and return it.

        One without rows comes back untouched, as the older loader does.
        """
        if self.height:
            for name, value in self._labels.items():
                self.frame[name] = value
            add_columns(self.frame, {one.name: one.array for one in features})
        return self.frame

    def to_arrow(self, features: Sequence[FeatureColumn]) -> pa.Table:
        """Return bars and features as an Arrow table, without what Arrow has no type for.

        Index levels that are read become columns.
        """
        table, homeless = self._source.to_arrow()
        _tell_left_out(homeless)
        return ArrowBars(table).with_features(features)


def _tell_left_out(names: Sequence[str]) -> None:
    if names:
        told = ", ".join(repr(name) for name in names)
        logger.warning("column(s) %s left out: Arrow has no type for them", told)


def _as_pandas(bars: Any) -> BarTable | None:
    if not type(bars).__module__.startswith("pandas"):
        return None
    import pandas as pd

    return PandasBars(bars) if isinstance(bars, pd.DataFrame) else None


def _as_arrow_table(bars: Any) -> pa.Table | None:
    """Return a table that shares the buffers of any Arrow-like object."""
    if isinstance(bars, pa.Table):
        return bars
    if isinstance(bars, pa.RecordBatch):
        return pa.Table.from_batches([bars])
    if isinstance(bars, pa.RecordBatchReader):
        return bars.read_all()
    if hasattr(bars, "__arrow_c_stream__") or hasattr(bars, "__arrow_c_array__"):
        return pa.table(bars)
    return None


def read_bars(bars: Any) -> BarTable:
    """Wrap what the caller holds.

    Args:
        bars: `pa.Table`, `pa.RecordBatch`, `pa.RecordBatchReader`, anything with
            `__arrow_c_stream__` or `__arrow_c_array__`, `pl.DataFrame` or `pd.DataFrame`.

    Returns:
        The adapter for its kind; no data is copied. A reader is read to its end.

    Raises:
        UnsupportedBarsError: It is none of these.
        BarColumnError: A column name occurs twice, a price column is not a number, or a column
            that says when or of what a bar is cannot be read.
    """
    if isinstance(bars, BarTable):
        return bars
    if isinstance(bars, pl.DataFrame):
        return PolarsBars(bars)
    pandas = _as_pandas(bars)
    if pandas is not None:
        return pandas
    table = _as_arrow_table(bars)
    if table is not None:
        return ArrowBars(table)
    msg = message(
        f"Bars of type '{type(bars).__module__}.{type(bars).__qualname__}' cannot be read.",
        hint="pass an Arrow table, batch or reader, a Polars or pandas DataFrame, or a LazyFrame.",
    )
    raise UnsupportedBarsError(msg)
