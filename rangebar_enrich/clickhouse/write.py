"""One `write` call: guard, migrate, cut, stamp, send.

1. `read_incoming` puts the bars under the table's names (`incoming`).
2. `check_bars` refuses what breaks a rule, before anything is sent (`guards`).
3. Missing columns are added in one ALTER (`migration`).
4. Each series is cut into chunks of one partition (`chunks`), stamped, and inserted under a
   token made of its content (`tokens`), repeated while the failure may heal (`retry`).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from importlib import metadata
from typing import Any

import numpy as np
import pyarrow as pa

from rangebar_enrich.bars.series import SeriesKey
from rangebar_enrich.clickhouse.chunks import chunk_bounds
from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.features import Feature
from rangebar_enrich.clickhouse.guards import check_bars
from rangebar_enrich.clickhouse.incoming import Incoming, SeriesRows
from rangebar_enrich.clickhouse.migration import migrate, version_column
from rangebar_enrich.clickhouse.retry import RetryCount
from rangebar_enrich.clickhouse.schema import TableSchema
from rangebar_enrich.clickhouse.tokens import content_token

INSERT_SETTINGS: Mapping[str, int] = {
    "optimize_on_insert": 0,
    "async_insert": 0,
    "input_format_null_as_default": 0,
    "insert_deduplicate": 1,
}


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What a `write` did.

    Attributes:
        rows: Bars written.
        chunks: Inserts that carried them.
        retries: How often a statement had to be repeated.
        seconds: Wall time of the call.
    """

    rows: int
    chunks: int
    retries: int
    seconds: float


def builder_version() -> str:
    """Return the version of the installed builder, or `""` where there is none."""
    try:
        return metadata.version("rangebar")
    except metadata.PackageNotFoundError:
        return ""


class BarWriter:
    """Writes one batch of bars.

    Args:
        connection: The database.
        schema: The bar table.
        version: `rangebar_version` of the rows.
    """

    def __init__(self, connection: Connection, schema: TableSchema, version: str) -> None:
        self._connection = connection
        self._schema = schema
        self._version = version
        self._count = RetryCount()
        self._chunks = 0

    def write(self, incoming: Incoming) -> WriteResult:
        """Write all series of a checked batch."""
        began = time.perf_counter()
        features = [feature.wanted for feature in incoming.features.values()]
        bar_columns = [
            name for name in incoming.table.column_names if name not in incoming.features
        ]
        self._schema = migrate(self._connection, self._schema, features, bar_columns=bar_columns)
        computed_at = int(time.time() * 1000)
        for series in incoming.series:
            self._write_series(incoming, series, computed_at)
        rows, seconds = incoming.table.num_rows, time.perf_counter() - began
        return WriteResult(rows, self._chunks, self._count.retries, seconds)

    def _write_series(self, incoming: Incoming, series: SeriesRows, computed_at: int) -> None:
        bars = incoming.table.slice(series.start, series.stop - series.start)
        present = present_features(incoming, series.key, bars)
        absent = [name for name in incoming.features if name not in present]
        stamps = self._stamps(series.key, bars, present.values(), computed_at)
        bars = bars.drop_columns(absent)
        zone = UTC if self._schema.partition_is_utc else self._server_zone()
        for start, stop in chunk_bounds(bars.column("close_time_ms").to_numpy(), zone):
            chunk = with_constants(bars.slice(start, stop - start), stamps)
            self._insert(chunk)

    def _server_zone(self) -> tzinfo:
        return self._connection.client.server_tz

    def _insert(self, chunk: pa.Table) -> None:
        table = self._schema.table
        token = content_token(chunk, str(table))
        settings = {**INSERT_SETTINGS, "insert_deduplication_token": token}
        self._connection.insert(str(table.sql), chunk, self._count, **settings)
        self._chunks += 1

    def _stamps(
        self, key: SeriesKey, bars: pa.Table, present: Any, computed_at: int
    ) -> dict[str, pa.Scalar]:
        """Return the values that all rows of a series share."""
        first = bars.column("open_time_ms")[0].as_py()
        last = bars.column("close_time_ms")[-1].as_py()
        symbol, threshold, mode = key
        name = f"{symbol}_{threshold}_{first}_{last}_{mode}"
        stamps: dict[str, pa.Scalar] = {
            "symbol": pa.scalar(symbol),
            "threshold_decimal_bps": pa.scalar(threshold, pa.uint32()),
            "ouroboros_mode": pa.scalar(mode),
            "cache_key": pa.scalar(hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()),
            "rangebar_version": pa.scalar(self._version),
            "source_start_ts": pa.scalar(first, pa.int64()),
            "source_end_ts": pa.scalar(last, pa.int64()),
            "computed_at": pa.scalar(computed_at, pa.timestamp("ms", "UTC")),
        }
        for feature in present:
            if feature.provider is not None:
                stamps[version_column(feature.provider)] = pa.scalar(feature.version or "")
        return {name: value for name, value in stamps.items() if name in self._schema.columns}


def present_features(incoming: Incoming, key: SeriesKey, bars: pa.Table) -> dict[str, Feature]:
    """Return the features whose values of this series are results."""
    return {
        name: feature
        for name, feature in incoming.features.items()
        if feature.is_present(key, bars.column(name))
    }


def with_constants(chunk: pa.Table, constants: Mapping[str, pa.Scalar]) -> pa.Table:
    """Return the rows plus columns of one value each; text as a dictionary of one entry."""
    rows = chunk.num_rows
    for name, value in constants.items():
        chunk = chunk.append_column(name, constant(value, rows))
    return chunk


def constant(value: pa.Scalar, rows: int) -> pa.Array:
    """Return `rows` times `value`."""
    if not pa.types.is_string(value.type):
        return pa.repeat(value, rows)
    codes = pa.array(np.zeros(rows, dtype=np.int8))
    return pa.DictionaryArray.from_arrays(codes, pa.array([value.as_py()], pa.string()))


def write_bars(
    connection: Connection,
    schema: TableSchema,
    incoming: Incoming,
    *,
    version: str | None = None,
    max_width_multiple: float | None = None,
) -> WriteResult:
    """Check and write a batch.

    Raises:
        WriteRefusedError: A rule is broken; nothing was written.
    """
    check_bars(incoming, max_width_multiple=max_width_multiple)
    return BarWriter(connection, schema, builder_version() if version is None else version).write(
        incoming
    )
