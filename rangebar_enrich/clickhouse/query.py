"""Bars read back: the latest version of each row, chronological, as Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from rangebar_enrich._bars.series import SeriesKey, checked_threshold
from rangebar_enrich.clickhouse.columns import BAR_NAMES
from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.identifiers import Sql, TableName, compose, join, quote
from rangebar_enrich.clickhouse.ingest import checked_mode
from rangebar_enrich.clickhouse.schema import TableSchema
from rangebar_enrich.errors import BarColumnError, message

_SERIES = Sql(
    "symbol = {symbol:String} AND threshold_decimal_bps = {threshold:UInt32}"
    " AND ouroboros_mode = {mode:String}"
)
_FROM = Sql(" AND close_time_ms >= {start:Int64}")
_TO = Sql(" AND close_time_ms <= {end:Int64}")
_AFTER = Sql(" AND close_time_ms > {after:Int64}")
_BY_PARTITION = Sql(" SETTINGS do_not_merge_across_partitions_select_final = 1")
_ROWS = "SELECT $columns FROM $table FINAL WHERE $where ORDER BY close_time_ms$final"
_LAST = "SELECT $columns FROM $table FINAL WHERE $where ORDER BY close_time_ms DESC LIMIT {last:UInt64}$final"
_PAGE = "SELECT $columns FROM $table FINAL WHERE $where ORDER BY close_time_ms LIMIT {last:UInt64}$final"
_COUNT = "SELECT count() FROM $table FINAL WHERE $where$final"
_WRITTEN = """
SELECT count() FROM $table FINAL
WHERE $where AND toUnixTimestamp64Milli(computed_at) = {computed_at:Int64}
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
        start = _FROM if self.start_ms is not None else Sql()
        end = _TO if self.end_ms is not None else Sql()
        return join([_SERIES, start, end], "")

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
    params = {**selection.params, "last": int(last)}
    found = connection.arrow(compose(_LAST, **parts), params)
    backwards = pa.array(range(found.num_rows - 1, -1, -1), pa.int64())
    return found.take(backwards)


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


def all_series(connection: Connection, schema: TableSchema) -> list[StoredSeries]:
    """List the series of the table."""
    statement = compose(_ALL_SERIES, table=schema.table.sql, final=final_clause(schema))
    return [StoredSeries(*row) for row in connection.rows(statement)]


def iter_pages(
    connection: Connection,
    schema: TableSchema,
    selection: Selection,
    columns: Sequence[str],
    *,
    rows: int,
) -> Iterator[pa.Table]:
    """Yield the bars of a selection page by page, each a query of its own, in time order."""
    times = "close_time_ms"
    wanted = [*columns, *([] if times in columns else [times])]
    after: int | None = None
    while True:
        where = selection.where if after is None else join([selection.where, _AFTER], "")
        statement = compose(
            _PAGE,
            columns=join(quote(name) for name in wanted),
            table=schema.table.sql,
            where=where,
            final=final_clause(schema),
        )
        bound = {} if after is None else {"after": after}
        page = connection.arrow(statement, {**selection.params, **bound, "last": rows})
        if page.num_rows:
            after = page.column(times)[-1].as_py()
            yield page.select(list(columns))
        if page.num_rows < rows:
            return
