"""Bars read back: the latest version of each row, chronological, as Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from rangebar_enrich._bars.series import SeriesKey, checked_threshold
from rangebar_enrich.clickhouse.columns import BAR_NAMES
from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.identifiers import Sql, TableName, compose, join, quote
from rangebar_enrich.clickhouse.ingest import checked_mode
from rangebar_enrich.clickhouse.schema import TableSchema
from rangebar_enrich.errors import BarColumnError, QueryError, message

_SERIES = Sql(
    "symbol = {symbol:String} AND threshold_decimal_bps = {threshold:UInt32}"
    " AND ouroboros_mode = {mode:String}"
)
_FROM = Sql(" AND close_time_ms >= {start:Int64}")
_TO = Sql(" AND close_time_ms <= {end:Int64}")
_BY_PARTITION = Sql(" SETTINGS do_not_merge_across_partitions_select_final = 1")
_ROWS = "SELECT $columns FROM $table FINAL WHERE $where ORDER BY close_time_ms$final"
_LAST = "SELECT $columns FROM $table FINAL WHERE $where ORDER BY close_time_ms DESC LIMIT {last:UInt64}$final"
_MARKS = """
SELECT part_name, close_time_ms, rows_in_granule FROM mergeTreeIndex({database:String}, {table:String})
WHERE $where ORDER BY close_time_ms
"""
_NTH = """
SELECT close_time_ms FROM $table WHERE $where ORDER BY close_time_ms LIMIT 1 OFFSET {n:UInt64}
"""
QUERY_ROWS = 131_072
"""Fewest stored rows of a page's query: sixteen granules, so that what two share is little."""
_COUNT = "SELECT count() FROM $table FINAL WHERE $where$final"
_WRITTEN = """
SELECT count() FROM $table FINAL
WHERE $where AND toUnixTimestamp64Milli(computed_at) = {computed_at:Int64}
"""
_LATEST = """
SELECT max(_bar_at), maxIf(toUnixTimestamp64Milli(computed_at), _bar_at = 0)
FROM $table WHERE $where
"""
_ALL_SERIES = """
SELECT symbol, threshold_decimal_bps, ouroboros_mode, count(), min(close_time_ms), max(close_time_ms)
FROM $table FINAL GROUP BY symbol, threshold_decimal_bps, ouroboros_mode
ORDER BY symbol, threshold_decimal_bps, ouroboros_mode$final
"""


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """A series in the table.

    Attributes:
        symbol: Trading symbol.
        threshold_decimal_bps: Threshold in decimal basis points.
        ouroboros_mode: `month`, `week` or `year`.
        rows: Number of bars.
        first_ms: Close time of the first, ms.
        last_ms: Close time of the last, ms.
    """

    symbol: str
    threshold_decimal_bps: int
    ouroboros_mode: str
    rows: int
    first_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Which bars of one series are meant; both ends are inclusive.

    Attributes:
        key: The series.
        start_ms: First close time, ms, or `None`.
        end_ms: Last close time, ms, or `None`.
    """

    key: SeriesKey
    start_ms: int | None = None
    end_ms: int | None = None

    @property
    def where(self) -> Sql:
        """Condition with binds."""
        return join([_SERIES, *self._bounds], "")

    @property
    def range(self) -> Sql:
        """Condition on the time alone, with binds."""
        return join([Sql("1"), *self._bounds], "")

    @property
    def _bounds(self) -> list[Sql]:
        start = _FROM if self.start_ms is not None else Sql()
        return [start, _TO if self.end_ms is not None else Sql()]

    def from_ms(self, start_ms: int) -> Selection:
        """Return the part of it from a time on."""
        return replace(self, start_ms=max(start_ms, self.start_ms or start_ms))

    @property
    def params(self) -> dict[str, object]:
        """Values of the binds."""
        symbol, threshold, mode = self.key
        bound: dict[str, object] = {"symbol": symbol, "threshold": threshold, "mode": mode}
        if self.start_ms is not None:
            bound["start"] = int(self.start_ms)
        if self.end_ms is not None:
            bound["end"] = int(self.end_ms)
        return bound


def select_series(
    symbol: str,
    threshold_decimal_bps: int,
    ouroboros_mode: str,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> Selection:
    """Return a checked selection.

    Raises:
        SeriesConflictError: The threshold is no positive whole number.
        WriteRefusedError: The mode is unknown.
    """
    threshold = checked_threshold(threshold_decimal_bps)
    key = SeriesKey(symbol, threshold, checked_mode(ouroboros_mode))
    return Selection(key, start_ms, end_ms)


def chosen_columns(
    schema: TableSchema,
    columns: Sequence[str] | None,
    plugin_features: bool | Sequence[str],  # noqa: FBT001 - the public API's own three-way choice
) -> list[str]:
    """Return the columns to read: bar columns, then features.

    Raises:
        BarColumnError: A named column is not in the table.
    """
    wanted = (
        [name for name in BAR_NAMES if name in schema.columns] if columns is None else [*columns]
    )
    if plugin_features is True:
        wanted += [name for name in schema.features if name not in wanted]
    elif plugin_features:
        named = [plugin_features] if isinstance(plugin_features, str) else plugin_features
        wanted += [name for name in named if name not in wanted]
    missing = [repr(name) for name in wanted if name not in schema.columns]
    if missing:
        msg = message(
            f"{len(missing)} column(s) are not in table '{schema.table}':",
            missing,
            "store.schema() names the columns that are there.",
        )
        raise BarColumnError(msg)
    if not wanted:
        msg = message("No column to read.", hint="name at least one in columns=.")
        raise BarColumnError(msg)
    return list(dict.fromkeys(wanted))


def read_bars_of(
    connection: Connection,
    schema: TableSchema,
    selection: Selection,
    columns: Sequence[str],
    *,
    last: int | None = None,
) -> pa.Table:
    """Read bars of one series as one Arrow table."""
    parts = {
        "columns": join(quote(name) for name in columns),
        "table": schema.table.sql,
        "where": selection.where,
        "final": final_clause(schema),
    }
    if last is None:
        return connection.arrow(compose(_ROWS, **parts), selection.params)
    if last < 0:
        msg = message(f"last={last} is negative.", hint="ask for the last n bars, n ≥ 0.")
        raise BarColumnError(msg)
    found = _last_bars(connection, schema, selection, parts, last)
    backwards = pa.array(range(found.num_rows - 1, -1, -1), pa.int64())
    return found.take(backwards)


def _last_bars(
    connection: Connection,
    schema: TableSchema,
    selection: Selection,
    parts: Mapping[str, Sql],
    last: int,
) -> pa.Table:
    """Read the last bars, latest first, and not much more than those."""
    near = selection
    if last:
        start = Marks.read(connection, schema, selection).last(last)
        near = selection if start is None else selection.from_ms(start)
    for chosen in (near, selection):
        wanted = {**parts, "where": chosen.where}
        params = {**chosen.params, "last": int(last)}
        found = connection.arrow(compose(_LAST, **wanted), params)
        if found.num_rows >= last or chosen is selection or near is selection:
            break
    return found


def final_clause(schema: TableSchema) -> Sql:
    """Months cut in UTC are a function of the key: no key is in two partitions."""
    return _BY_PARTITION if schema.partition_is_utc else Sql()


def count_bars(connection: Connection, schema: TableSchema, selection: Selection) -> int:
    """Count the bars of a selection."""
    parts = {"table": schema.table.sql, "where": selection.where, "final": final_clause(schema)}
    return int(connection.rows(compose(_COUNT, **parts), selection.params)[0][0])


def count_written(
    connection: Connection, table: TableName, selection: Selection, computed_at_ms: int
) -> int:
    """Count the bars of a selection whose latest version is of one `write` call."""
    statement = compose(_WRITTEN, table=table.sql, where=selection.where)
    params = {**selection.params, "computed_at": computed_at_ms}
    return int(connection.rows(statement, params)[0][0])


def latest_change(
    connection: Connection, schema: TableSchema, selection: Selection
) -> tuple[int, int]:
    """Return the latest stamp of a changed bar, and `computed_at` of bars that nobody knows."""
    statement = compose(_LATEST, table=schema.table.sql, where=selection.where)
    bar_at, at_ms = connection.rows(statement, selection.params)[0]
    return int(bar_at), int(at_ms)


def all_series(connection: Connection, schema: TableSchema) -> list[StoredSeries]:
    """List the series of the table."""
    statement = compose(_ALL_SERIES, table=schema.table.sql, final=final_clause(schema))
    return [StoredSeries(*row) for row in connection.rows(statement)]


@dataclass(frozen=True, slots=True)
class Marks:
    """Where granules of a series begin, from the table's sparse index: a few numbers.

    Attributes:
        parts: Times and row counts of the granules of each part; empty where there is no such
            index to be read (a Distributed table, a view, an older server).
    """

    parts: Mapping[str, tuple[list[int], list[int]]]

    @classmethod
    def read(cls, connection: Connection, schema: TableSchema, selection: Selection) -> Marks:
        """Read the marks of a selection's series."""
        statement = compose(_MARKS, where=Selection(selection.key).where)
        params = {**selection.params, "database": schema.table.database}
        try:
            rows = connection.rows(statement, {**params, "table": schema.table.table})
        except QueryError:
            return cls({})
        parts: dict[str, tuple[list[int], list[int]]] = {}
        for part, time_ms, count in rows:
            times, counts = parts.setdefault(part, ([], []))
            times.append(time_ms)
            counts.append(count)
        end = selection.end_ms
        if end is not None:
            parts = {name: _up_to(end, *part) for name, part in parts.items()}
        return cls(parts)

    def last(self, count: int) -> int | None:
        """Return a time from which on there are at least `count` bars, late if it can be.

        It is just behind the first bar of a granule, so that the granule before is not read.
        """
        starts = []
        for times, counts in self.parts.values():
            behind = 0
            for time_ms, rows in zip(reversed(times), reversed(counts), strict=True):
                behind += rows
                if behind > count:
                    starts.append(time_ms + 1)
                    break
        return max(starts, default=None)

    def page_ends(self, rows: int) -> list[int]:
        """Return times that cut the series into pages of about so many stored rows."""
        steps = sorted(
            (time_ms, count)
            for times, counts in self.parts.values()
            for time_ms, count in zip(times[1:], counts, strict=False)
        )
        ends, behind = [], 0
        for time_ms, count in steps:
            behind += count
            if behind >= rows:
                ends.append(time_ms)
                behind = 0
        return ends


def _up_to(end: int, times: list[int], counts: list[int]) -> tuple[list[int], list[int]]:
    """Return the granules that begin by `end`; how many rows of the last count, nobody knows."""
    inside = sum(time_ms <= end for time_ms in times)
    return times[:inside], [*counts[: max(inside - 1, 0)], *([0] if inside else [])]


def iter_pages(
    connection: Connection,
    schema: TableSchema,
    selection: Selection,
    columns: Sequence[str],
    *,
    rows: int,
) -> Iterator[pa.Table]:
    """Yield the bars of a selection page by page, in time order, `rows` a page but the last.

    Queries are cut at the table's own granules, so that all together read little more than one.
    """
    kept: list[pa.Table] = []
    for bounded in _ranges(connection, schema, selection, rows):
        kept.append(read_bars_of(connection, schema, bounded, columns))
        found = pa.concat_tables(kept)
        whole = found.num_rows - found.num_rows % rows
        for first in range(0, whole, rows):
            yield found.slice(first, rows)
        kept = [found.slice(whole)] if whole < found.num_rows else []
    if kept:
        yield pa.concat_tables(kept).combine_chunks()


def _ranges(
    connection: Connection, schema: TableSchema, selection: Selection, rows: int
) -> Iterator[Selection]:
    """Yield the selection in ranges of at least as many stored rows as a query is worth."""
    marks = Marks.read(connection, schema, selection)
    if not marks.parts:
        yield from _counted_ranges(connection, schema, selection, max(rows, QUERY_ROWS))
        return
    start, end = selection.start_ms, selection.end_ms
    for stop in marks.page_ends(max(rows, QUERY_ROWS)):
        if (start is None or stop > start) and (end is None or stop <= end):
            yield replace(selection, start_ms=start, end_ms=stop - 1)
            start = stop
    yield replace(selection, start_ms=start)


def _counted_ranges(
    connection: Connection, schema: TableSchema, selection: Selection, rows: int
) -> Iterator[Selection]:
    """Yield the same where no index can be read: times are counted first, a column more."""
    start = selection.start_ms
    while True:
        rest = replace(selection, start_ms=start)
        statement = compose(_NTH, table=schema.table.sql, where=rest.where)
        found = connection.rows(statement, {**rest.params, "n": rows})
        if not found:
            yield rest
            return
        yield replace(rest, end_ms=found[0][0] - 1)
        start = found[0][0]
