"""Bars on their way in: any container, under the table's names, types and units.

Nothing is dropped in silence: a column either has a home in the table, is a feature, or is a
violation. A column that has the right type already keeps its buffers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rangebar_enrich._bars.arrow_types import as_plain
from rangebar_enrich._bars.columns import MODE, SERIES_COLUMNS, SYMBOL, THRESHOLD, TIMESTAMP
from rangebar_enrich._bars.containers import read_bars
from rangebar_enrich._bars.series import SeriesKey, distinct, split_series
from rangebar_enrich.clickhouse.cast import cast_column
from rangebar_enrich.clickhouse.columns import (
    BUILDER,
    BY_NAME,
    FIXED_POINT,
    FIXED_POINT_COLUMNS,
    FIXED_POINT_TO_QUOTE,
    MICROSECONDS_TO_MS,
    NEEDED,
    Role,
)
from rangebar_enrich.clickhouse.features import Feature, Features, resolve_features
from rangebar_enrich.clickhouse.schema import VERSION_PREFIX
from rangebar_enrich.clickhouse.violations import Violations
from rangebar_enrich.errors import SeriesConflictError, WriteRefusedError, message

DEFAULT_MODE = "month"
MODES = ("month", "week", "year")


@dataclass(frozen=True, slots=True)
class SeriesRows:
    """Where the bars of one series are.

    Attributes:
        key: Symbol, threshold and ouroboros mode, all known.
        start: First row.
        stop: Row after the last.
    """

    key: SeriesKey
    start: int
    stop: int


READ_KEY = b"rangebar_enrich.read"
"""Schema metadata of a table that was read from the store: what it was read at, as JSON."""


@dataclass(frozen=True, slots=True)
class ReadAt:
    """What a table was read at, so that bars which change later are not reverted with it.

    Attributes:
        table: `database.table`.
        key: The series.
        bar_at: Latest stamp at which one of its bars had changed.
        at_ms: Latest `computed_at` of its rows, ms.
        margin_ms: How far a row that only gets features goes beyond the stored one.
    """

    table: str
    key: SeriesKey
    bar_at: int
    at_ms: int
    margin_ms: int = 1

    def to_metadata(self) -> dict[bytes, bytes]:
        """Return it as schema metadata."""
        note = {"table": self.table, "key": list(self.key), "at": [self.bar_at, self.at_ms]}
        return {READ_KEY: json.dumps(note).encode()}

    @classmethod
    def of(cls, schema: pa.Schema) -> ReadAt | None:
        """Read it from schema metadata, `None` where there is none."""
        raw = (schema.metadata or {}).get(READ_KEY)
        if raw is None:
            return None
        note = json.loads(raw)
        return cls(note["table"], SeriesKey(*note["key"]), *note["at"])


@dataclass(frozen=True, slots=True)
class Incoming:
    """Bars under the table's names and types, series by series.

    Attributes:
        table: Bar columns and features; no key column but `close_time_ms`.
        series: Where each series is.
        features: Features by name.
        violations: What is wrong with names and types; the guards add to it.
        read: What the bars were read at, where they come from a store.
    """

    table: pa.Table
    series: tuple[SeriesRows, ...]
    features: Mapping[str, Feature]
    violations: Violations
    read: ReadAt | None = None


def read_incoming(
    bars: Any,
    *,
    symbol: str | None = None,
    threshold_decimal_bps: int | None = None,
    ouroboros_mode: str | None = None,
    features: Features | None = None,
) -> Incoming:
    """Read what the caller wants to write.

    Args:
        bars: Any container of bars, or an object whose `.table` is an Arrow table, such as the
            result of a run; its `.series` say whose bars they are.
        symbol: Symbol of all bars; default their column or schema metadata.
        threshold_decimal_bps: Threshold of all bars; likewise.
        ouroboros_mode: Mode of all bars; default their column, else `month`.
        features: Feature columns of containers that carry no field metadata.

    Raises:
        SeriesConflictError: An argument contradicts a column.
        WriteRefusedError: The series is not known, or a named feature is not there.
        UnsupportedBarsError: `bars` is no container of bars.
    """
    result = getattr(bars, "table", None)
    if isinstance(result, pa.Table):
        symbol = _of_result(bars, SYMBOL, symbol)
        threshold_decimal_bps = _of_result(bars, THRESHOLD, threshold_decimal_bps)
        bars = result
    adapter = read_bars(bars)
    split = split_series(adapter, symbol=symbol, threshold_decimal_bps=threshold_decimal_bps)
    source = adapter.to_arrow([])
    read = ReadAt.of(source.schema)  # renaming columns would lose it
    seen = {name: own for name, own in adapter.columns.items() if own in source.column_names}
    source = source.select(list(seen.values())).rename_columns(list(seen))
    if split.order is not None:
        source = source.take(pa.array(split.order))
    found = resolve_features(source.schema, features)
    violations = Violations(split.order)
    for name, kind in adapter.unseen.items():
        violations.column("type", name, f"got {kind}, which nobody can read")
    for name in adapter.columns.keys() - seen.keys():
        violations.column("type", name, f"got {adapter.dtypes[name]}, which Arrow cannot hold")
    columns = _table_columns(source, found, violations)
    bounds = zip(split.keys, split.starts[:-1], split.starts[1:], strict=True)
    series = tuple(
        SeriesRows(_complete(key, ouroboros_mode), int(start), int(stop))
        for key, start, stop in bounds
        if stop > start
    )
    return Incoming(pa.table(columns), series, found, violations, read)


def _of_result(result: Any, name: str, argument: Any) -> Any:
    """Return a part of the series' key: what all series of a result say, else the argument."""
    found = distinct([getattr(key, name) for key in getattr(result, "series", ())])
    if found is None:
        return argument
    if argument not in {None, found}:
        msg = message(
            f"Argument '{name}' is {argument!r}, but the result was computed for {found!r}.",
            hint="drop the argument, or run the bars under the series they belong to.",
        )
        raise SeriesConflictError(msg)
    return found


def _complete(key: SeriesKey, mode: str | None) -> SeriesKey:
    if mode is not None and key.ouroboros_mode not in {None, mode}:
        msg = message(
            f"Argument '{MODE}' is {mode!r}, but the column says {key.ouroboros_mode!r}.",
            hint="drop the argument or the column, whichever is wrong.",
        )
        raise SeriesConflictError(msg)
    unknown = [
        name for name, part in zip(SERIES_COLUMNS[:2], key, strict=False) if part in {None, ""}
    ]
    if unknown:
        msg = message(
            f"The bars do not say which series they are: {', '.join(unknown)} unknown.",
            hint="pass symbol= and threshold_decimal_bps= to write().",
        )
        raise WriteRefusedError(msg)
    if int(key.threshold_decimal_bps or 0) >= 1 << 32:
        msg = message(
            f"The threshold {key.threshold_decimal_bps} is beyond UInt32.",
            hint="250 means 0.25 %.",
        )
        raise WriteRefusedError(msg)
    return SeriesKey(
        key.symbol, key.threshold_decimal_bps, checked_mode(mode or key.ouroboros_mode)
    )


def checked_mode(mode: str | None) -> str:
    """Return an ouroboros mode, `month` for `None`.

    Raises:
        WriteRefusedError: It is not one of `MODES`.
    """
    if mode is None:
        return DEFAULT_MODE
    if mode not in MODES:
        msg = message(f"Ouroboros mode {mode!r} is unknown.", hint=f"use {', '.join(MODES)}.")
        raise WriteRefusedError(msg)
    return mode


def _table_columns(
    source: pa.Table, features: Mapping[str, Feature], violations: Violations
) -> dict[str, pa.ChunkedArray]:
    """Return columns under the table's names, and note what has no home or a wrong type."""
    made: dict[str, pa.ChunkedArray] = {}
    for name in source.column_names:
        column = source.column(name)
        if name in SERIES_COLUMNS:
            continue
        if _fits(name, column):
            made[name] = column
            continue
        column = as_plain(column)
        if name in features:
            made[name] = cast_column(name, column, pa.float64(), violations)
        elif name.startswith(VERSION_PREFIX):
            made[name] = cast_column(name, column, pa.string(), violations, nullable=False)
        elif name == TIMESTAMP:
            _add_timestamp(made, source, violations)
        elif _is_of_builder(name, source):
            _add_converted(name, source, made, violations)
        else:
            _add_own(name, column, made, violations)
    _add_open_time(made)
    for name in NEEDED:
        if name not in made and name not in SERIES_COLUMNS:
            violations.column("missing_column", name, f"the table needs '{name}'")
    return made


def _fits(name: str, column: pa.ChunkedArray) -> bool:
    """Return whether a column is the table's own as it stands: nothing to check or to change."""
    target = BY_NAME.get(name)
    return (
        target is not None
        and target.role is not Role.STAMP
        and name not in FIXED_POINT_COLUMNS
        and column.type == target.arrow
        and (target.nullable or not column.null_count)
    )


def _is_of_builder(name: str, source: pa.Table) -> bool:
    """Return whether a column is the builder's, in the builder's units: µs and fixed point."""
    is_raw = "close_time" in source.column_names
    return name in BUILDER and (BUILDER[name].conversion is None or is_raw)


def _unknown(name: str) -> str:
    lower = name.lower()
    if lower != name and (lower in BY_NAME or lower in BUILDER):
        return f"wrong case, the table has '{lower}'"
    return "the table has no such column; name it in features= if it is a feature"


def _add_own(
    name: str, column: pa.ChunkedArray, made: dict[str, pa.ChunkedArray], violations: Violations
) -> None:
    target = BY_NAME.get(name)
    if target is None:
        violations.column("unknown_column", name, _unknown(name))
    elif target.role is Role.STAMP:
        violations.column("stamp_column", name, "the store sets it; drop it from the bars")
    else:
        nullable = target.nullable
        made[name] = cast_column(name, column, target.arrow, violations, nullable=nullable)


def _add_converted(
    name: str, source: pa.Table, made: dict[str, pa.ChunkedArray], violations: Violations
) -> None:
    rule = BUILDER[name]
    if rule.target != name and rule.target in source.column_names:
        violations.column("doubled_column", name, f"'{rule.target}' is there too")
        return
    target = BY_NAME[rule.target]
    nullable = target.nullable
    column = cast_column(
        name, as_plain(source.column(name)), target.arrow, violations, nullable=nullable
    )
    if rule.conversion == MICROSECONDS_TO_MS:
        column = _floor_divide(column, 1000)
    if rule.conversion == FIXED_POINT_TO_QUOTE:
        column = pc.divide(column, FIXED_POINT)
    made[rule.target] = column


def _floor_divide(column: pa.ChunkedArray, by: int) -> pa.ChunkedArray:
    # NOTE: Arrow divides towards zero; times before 1970 are refused by the guards anyway.
    return pc.divide(column, pa.scalar(by, pa.int64()))


def _add_timestamp(
    made: dict[str, pa.ChunkedArray], source: pa.Table, violations: Violations
) -> None:
    """Take a datetime as close time; where there is a close time too, the two must agree."""
    column = as_plain(source.column(TIMESTAMP))
    if not pa.types.is_timestamp(column.type):
        violations.column("type", TIMESTAMP, f"got {column.type}, expected a datetime")
        return
    floored = pc.floor_temporal(column, unit="millisecond")
    times = floored.cast(pa.timestamp("ms", column.type.tz)).cast(pa.int64())
    given = next(
        (name for name in ("close_time", "close_time_ms") if name in source.column_names), None
    )
    if given is None:
        made["close_time_ms"] = times
        return
    other = as_plain(source.column(given))
    if given == "close_time" and pa.types.is_integer(other.type):
        other = _floor_divide(other.cast(pa.int64()), 1000)
    if pa.types.is_integer(other.type):
        differ = np.flatnonzero(
            pc.fill_null(pc.not_equal(times, other), fill_value=True).to_numpy()
        )
        if len(differ):
            violations.rows("time_conflict", TIMESTAMP, differ, f"is not '{given}'")


def _add_open_time(made: dict[str, pa.ChunkedArray]) -> None:
    """Derive a missing open time from the duration, which the builder makes of the two times."""
    if "open_time_ms" in made or not {"close_time_ms", "duration_us"} <= set(made):
        return
    elapsed = _floor_divide(made["duration_us"], 1000)
    made["open_time_ms"] = pc.subtract(made["close_time_ms"], elapsed)
