"""Series in a table: which rows belong to which (symbol, threshold, ouroboros mode)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt
import polars as pl

from rangebar_enrich._bars.columns import (
    MICROSECONDS,
    MODE,
    SERIES_COLUMNS,
    SPANS,
    SYMBOL,
    THRESHOLD,
    TIME_UNITS,
    TIMESTAMP,
)
from rangebar_enrich._bars.table import BarTable
from rangebar_enrich.errors import BarColumnError, SeriesConflictError, message

_ROW = "__enrich_row"


class SeriesKey(NamedTuple):
    """What tells one series from another; `None` where the bars do not say."""

    symbol: str | None = None
    threshold_decimal_bps: int | None = None
    ouroboros_mode: str | None = None

    def __str__(self) -> str:
        """Return the parts that are known, such as `BTCUSDT@250`."""
        symbol = self.symbol if self.symbol is not None else "series"
        threshold = "" if self.threshold_decimal_bps is None else f"@{self.threshold_decimal_bps}"
        mode = "" if self.ouroboros_mode is None else f"/{self.ouroboros_mode}"
        return f"{symbol}{threshold}{mode}"


@dataclass(frozen=True)
class SeriesSplit:
    """The series of a table, and the order that puts each one's rows together.

    Attributes:
        keys: One key for each series, in order of first appearance.
        starts: First row of each series after sorting, and the number of rows at the end.
        order: Row of the table for each sorted row, or `None` where the table is sorted already.
    """

    keys: tuple[SeriesKey, ...]
    starts: npt.NDArray[np.int64]
    order: npt.NDArray[np.uint32] | None = None

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Rows of each series."""
        return np.diff(self.starts)

    def sort(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of `frame` series by series."""
        return frame if self.order is None else frame[self.order]

    def unsort(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of a sorted frame in the table's own order."""
        if self.order is None:
            return frame
        back = np.empty_like(self.order)
        back[self.order] = np.arange(len(self.order), dtype=self.order.dtype)
        return frame[back]

    def row_of(self, sorted_row: int) -> int:
        """Return the table's row number of a sorted row."""
        return sorted_row if self.order is None else int(self.order[sorted_row])


def checked_threshold(value: Any, *, what: str = THRESHOLD) -> int | None:
    """Return a threshold as a positive int, or `None`.

    Raises:
        SeriesConflictError: It is neither a whole positive number nor `None`.
    """
    if value is None:
        return None
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = -1
    if isinstance(value, bool) or number <= 0 or number != _as_number(value):
        msg = message(
            f"'{what}' is {value!r}; it must be a whole number of decimal basis points above 0.",
            hint="250 means 0.25 %.",
        )
        raise SeriesConflictError(msg)
    return number


def _as_number(value: Any) -> Any:
    return int(value) if isinstance(value, str | bytes) else value


def _labels(bars: BarTable, symbol: str | None, threshold: int | None) -> dict[str, Any]:
    """Return symbol and threshold of rows that do not say it themselves.

    Raises:
        SeriesConflictError: An argument contradicts the metadata.
    """
    metadata, labels = bars.metadata, {}
    for name, argument in ((SYMBOL, symbol), (THRESHOLD, threshold)):
        raw = metadata.get(name.encode())
        said: Any = None if raw is None else raw.decode()
        if name == THRESHOLD and said is not None:
            said = checked_threshold(said, what=f"metadata {THRESHOLD}")
        # NOTE: where there is a column, it speaks for its rows, and arguments are held against it.
        if name not in bars.columns and argument is not None and said not in {None, argument}:
            msg = message(
                f"Argument '{name}' is {argument!r}, but the metadata says {said!r}.",
                hint="drop the argument, or pass relabel=True where the metadata is wrong.",
            )
            raise SeriesConflictError(msg)
        labels[name] = said if argument is None else argument
    return labels


def _merge(name: str, argument: Any, found: Any) -> Any:
    """Return the value of `name`; an argument that contradicts a column is an error."""
    if argument is not None and found != argument:
        msg = message(
            f"Argument '{name}' is {argument!r}, but the column says {found!r}.",
            hint="drop the argument or the column, whichever is wrong.",
        )
        raise SeriesConflictError(msg)
    return found


def split_series(
    bars: BarTable, *, symbol: str | None = None, threshold_decimal_bps: int | None = None
) -> SeriesSplit:
    """Find the series of `bars`.

    Args:
        bars: The table; it may hold several series, in any order of rows.
        symbol: Symbol of all rows.
        threshold_decimal_bps: Threshold of all rows, in decimal basis points.

    Returns:
        Keys from the arguments, else from columns of those names, else from schema metadata.

    Raises:
        SeriesConflictError: An argument contradicts a column or the metadata, or the threshold is
            no number.
    """
    threshold = checked_threshold(threshold_decimal_bps)
    present = [name for name in SERIES_COLUMNS if name in bars.columns]
    height, fill = bars.height, _labels(bars, symbol, threshold)
    if not present or not height:
        starts = np.array([0, height], dtype=np.int64)
        return SeriesSplit((SeriesKey(fill[SYMBOL], fill[THRESHOLD]),), starts)
    runs, starts, order = _runs(bars.to_polars(present), fill)
    keys = [
        SeriesKey(
            _merge(SYMBOL, symbol, run.get(SYMBOL, fill[SYMBOL])),
            _merge(
                THRESHOLD,
                threshold,
                checked_threshold(run.get(THRESHOLD, fill[THRESHOLD]), what=f"column {THRESHOLD}"),
            ),
            run.get(MODE),
        )
        for run in runs
    ]
    return SeriesSplit(tuple(keys), starts, order)


def _runs(
    frame: pl.DataFrame, fill: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], npt.NDArray[np.int64], npt.NDArray[np.uint32] | None]:
    """Return the distinct keys, where each one's rows start, and the sorting order if needed."""
    names = frame.columns
    gaps = [name for name in fill if name in names and frame[name].null_count()]
    frame = frame.with_columns(
        pl.col(name).fill_null(fill[name]) for name in gaps if fill[name] is not None
    )
    changes = frame.select(pl.any_horizontal(pl.all().ne_missing(pl.all().shift(1)))).to_series()
    edges = changes.fill_null(value=True).arg_true().to_numpy().astype(np.int64)
    if not len(edges) or edges[0] != 0:
        # NOTE: the first row has nothing before it; a null there looks like no change.
        edges = np.concatenate([np.zeros(1, dtype=np.int64), edges])
    heads = frame[edges]
    if not heads.is_duplicated().any():
        return _key_rows(heads), np.append(edges, frame.height), None
    grouped = frame.with_row_index(_ROW).group_by(names, maintain_order=True).agg(pl.col(_ROW))
    order = grouped[_ROW].explode().to_numpy()
    lengths = grouped[_ROW].list.len().to_numpy().astype(np.int64)
    starts = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
    return _key_rows(grouped.drop(_ROW)), starts, order


def _key_rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return keys as plain values; symbols and modes may be dictionary-encoded."""
    text = [name for name in (SYMBOL, MODE) if name in frame.columns]
    return frame.with_columns(pl.col(text).cast(pl.String)).rows(named=True)


def time_column(columns: Collection[str]) -> str | None:
    """Return which of some canonical names is that of the column that orders bars, or `None`."""
    names = [*TIME_UNITS]
    preferred = [*names[:2], TIMESTAMP, *names[2:]]
    return next((name for name in preferred if name in columns), None)


def times_of(bars: BarTable, name: str) -> tuple[npt.NDArray[np.int64], str]:
    """Return a time column as int64, and its unit.

    Raises:
        BarColumnError: It is neither integers nor datetimes, or it has nulls.
    """
    series = bars.to_polars([name]).to_series()
    dtype = series.dtype
    is_number = dtype.is_integer() and name in TIME_UNITS
    if not (is_number or isinstance(dtype, pl.Datetime)):
        expected = "int64 or a datetime" if name in TIME_UNITS else "a datetime"
        msg = message(
            f"Time column '{name}' is {dtype}; expected {expected}.",
            hint="cast it, or rename or drop it if it is not the time of the bars.",
        )
        raise BarColumnError(msg)
    times = series.cast(pl.Int64, strict=False)
    nulls = times.null_count()
    if nulls:
        first = times.is_null().arg_max()
        what = "null(s)" if series.null_count() else "value(s) beyond int64"
        msg = message(
            f"Time column '{name}' has {nulls} {what}, the first in row {first}.",
            hint="give every bar its time, or drop those rows.",
        )
        raise BarColumnError(msg)
    return times.to_numpy(), unit_of(name, dtype)


def unit_of(name: str, dtype: pl.DataType) -> str:
    """Return the unit of a time column: `"ms"`, `"us"` or, of datetimes only, `"ns"`."""
    return (dtype.time_unit if isinstance(dtype, pl.Datetime) else TIME_UNITS[name]) or MICROSECONDS


def refuse_unit(
    name: str, times: npt.NDArray[np.int64], unit: str, row_of: Callable[[int], int]
) -> NoReturn:
    """Refuse times of which some are outside `SPANS`, and say which unit would fit.

    Raises:
        BarColumnError: Always.
    """
    first, last = SPANS[unit]
    rows = np.flatnonzero((times < first) | (times >= last)).tolist()
    row = min(rows, key=row_of)
    value = int(times[row])
    fitting = [other for other, (low, high) in SPANS.items() if low <= value < high]
    told = f"in {fitting[0]} it would be within" if fitting else "no unit brings it there"
    others = [other for other, known in TIME_UNITS.items() if [known] == fitting]
    msg = message(
        f"Time column '{name}' is in {unit}, and {len(rows)} value(s) are outside 1990 to 2100,"
        f" the first in row {row_of(row)}: {value}; {told}.",
        hint=f"rename it to '{_twin(name, others)}'." if others else f"convert it to {unit}.",
    )
    raise BarColumnError(msg)


def _twin(name: str, others: Sequence[str]) -> str:
    """Return the column of the same event among those of another unit."""
    event = name.partition("_")[0]
    return next((other for other in others if other.startswith(event)), others[0])


def distinct(values: Sequence[Any]) -> Any:
    """Return the one value that all of `values` have, else `None`."""
    first = values[0] if values else None
    return first if all(value == first for value in values) else None
