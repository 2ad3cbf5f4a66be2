"""Bars in the caller's container: read the columns a plan needs, give the same kind back.

Each adapter names its columns canonically (`close`, even where the caller has `Close`), hands
single columns to Polars without copying what Arrow can share, and appends features so that the
caller's own columns keep their buffers, types and metadata.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from rangebar_enrich._bars.columns import OHLCV, TIMESTAMP, bar_dtype, spellings
from rangebar_enrich._bars.feature import FeatureColumn
from rangebar_enrich.errors import BarColumnError, UnsupportedBarsError, message

if TYPE_CHECKING:
    import pandas as pd

_UNREADABLE = (Exception, pl.exceptions.PanicException)
"""What Polars and pyarrow raise for a column of a type that they do not have."""


class BarTable(ABC):
    """The caller's bars, behind canonical names."""

    columns: Mapping[str, str]
    """Canonical column name to the caller's."""

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

    def to_polars(self, names: Collection[str]) -> pl.DataFrame:
        """Return columns under canonical names, price and volume as float64."""
        wanted = [name for name in self.columns if name in names]
        frame = self._raw([self.columns[name] for name in wanted])
        frame.columns = wanted
        wrong = [
            name for name in wanted if name in OHLCV and frame.schema[name] != self.dtypes[name]
        ]
        return frame.with_columns(pl.col(wrong).cast(pl.Float64)) if wrong else frame


def _check_price_columns(dtypes: Mapping[str, pl.DataType]) -> None:
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


def _check_unique(names: Sequence[str]) -> None:
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        msg = message(
            f"{len(doubled)} column name(s) occur more than once:",
            [repr(name) for name in doubled],
            "rename or drop one of each before enrichment.",
        )
        raise BarColumnError(msg)


@lru_cache(maxsize=256)
def _arrow_layout(schema: pa.Schema) -> tuple[dict[str, str], dict[str, pl.DataType]]:
    """Return spellings and dtypes of an Arrow schema; both depend on nothing else."""
    _check_unique(schema.names)
    raw = _readable(schema)
    columns = spellings(raw)
    dtypes = {name: raw[own] for name, own in columns.items()}
    _check_price_columns(dtypes)
    return columns, {name: bar_dtype(name, dtype) for name, dtype in dtypes.items()}


def _readable(schema: pa.Schema) -> Mapping[str, pl.DataType]:
    """Return the columns that Polars can hold; others stay with the caller, unseen."""
    try:
        return pl.Schema(schema)
    except _UNREADABLE:
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
        self.columns, self._dtypes = _arrow_layout(table.schema.remove_metadata())

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
        return _frame_of(self.table.select(list(names)))

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
        self.columns = spellings(frame.columns)

    @property
    def height(self) -> int:
        """Number of bars."""
        return self.frame.height

    @cached_property
    def dtypes(self) -> Mapping[str, pl.DataType]:
        """Canonical column name to dtype."""
        schema = self.frame.schema
        raw = {name: schema[own] for name, own in self.columns.items()}
        _check_price_columns(raw)
        return {name: bar_dtype(name, dtype) for name, dtype in raw.items()}

    @property
    def metadata(self) -> Mapping[bytes, bytes]:
        """Nothing: a Polars frame carries no metadata."""
        return {}

    def _raw(self, names: Sequence[str]) -> pl.DataFrame:
        return self.frame.select(names)

    def with_features(self, features: Sequence[FeatureColumn]) -> pl.DataFrame:
        """Return the frame without older columns of `features`, then `features`."""
        names = [feature.name for feature in features]
        made = _frame_of(pa.Table.from_arrays([one.array for one in features], names=names))
        old = [name for name in names if name in self.frame.columns]
        return (self.frame.drop(old) if old else self.frame).hstack(made)

    def to_arrow(self, features: Sequence[FeatureColumn]) -> pa.Table:
        """Return bars and features as an Arrow table."""
        return ArrowBars(self.frame.to_arrow()).with_features(features)


class PandasBars(BarTable):
    """Bars in a `pd.DataFrame`; a DatetimeIndex stands for the column `timestamp`.

    A column of objects that have no common type stays with the caller, unseen.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        import pandas as pd

        self.frame = frame
        _check_unique([str(name) for name in frame.columns])
        self._objects = _readable_objects(frame)
        names = [
            name
            for name, dtype in frame.dtypes.items()
            if isinstance(name, str) and (dtype.kind != "O" or name in self._objects)
        ]
        self._time_is_index = isinstance(frame.index, pd.DatetimeIndex) and TIMESTAMP not in names
        self.columns = spellings([*names, TIMESTAMP] if self._time_is_index else names)

    @property
    def height(self) -> int:
        """Number of bars."""
        return len(self.frame)

    @cached_property
    def dtypes(self) -> Mapping[str, pl.DataType]:
        """Canonical column name to dtype."""
        schema = self._raw(list(self.columns.values()), rows=0).schema
        raw = {name: schema[own] for name, own in self.columns.items()}
        _check_price_columns(raw)
        return {name: bar_dtype(name, dtype) for name, dtype in raw.items()}

    @property
    def metadata(self) -> Mapping[bytes, bytes]:
        """Nothing: a DataFrame carries no Arrow metadata."""
        return {}

    def _raw(self, names: Sequence[str], rows: int | None = None) -> pl.DataFrame:
        source = self.frame if rows is None else self.frame.iloc[:rows]
        made: list[pl.Series] = []
        for name in names:
            if name == TIMESTAMP and self._time_is_index:
                made.append(pl.Series(name, source.index))
            elif name in self._objects:
                made.append(self._objects[name][: len(source)])
            else:
                made.append(pl.from_pandas(source[name]).alias(name))
        return pl.DataFrame(made)

    def with_features(self, features: Sequence[FeatureColumn]) -> pd.DataFrame:
        """Add or overwrite `features` in the caller's own DataFrame, and return it.

        One without rows comes back untouched, as the older loader does.
        """
        if not self.height:
            return self.frame
        with warnings.catch_warnings():
            # NOTE: pandas advises a new frame from 100 added columns on; callers want this one.
            warnings.filterwarnings("ignore", message="DataFrame is highly fragmented")
            for feature in features:
                # NOTE: null becomes NaN here, which is what users of the older loader test for.
                self.frame[feature.name] = feature.array.to_numpy()
        return self.frame

    def to_arrow(self, features: Sequence[FeatureColumn]) -> pa.Table:
        """Return bars and features as an Arrow table; an index that is time becomes a column."""
        frame = self.frame
        if self._time_is_index:
            frame = frame.rename_axis(index=TIMESTAMP).reset_index()
        table = pa.Table.from_pandas(frame, preserve_index=False)
        return ArrowBars(table).with_features(features)


def _readable_objects(frame: pd.DataFrame) -> dict[str, pl.Series]:
    """Return the columns of Python objects that have a type: only their values tell it."""
    made = {}
    for name, dtype in frame.dtypes.items():
        if dtype.kind == "O" and isinstance(name, str):
            try:
                made[name] = pl.from_pandas(frame[name]).alias(name)
            except _UNREADABLE:
                continue
    return made


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
        BarColumnError: A column name occurs twice, or a price column is not a number.
    """
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
