"""Columns that the store sets itself: one value for all rows of a series in one call."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import metadata

import numpy as np
import pyarrow as pa

from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich.clickhouse.columns import BY_NAME
from rangebar_enrich.clickhouse.schema import version_column


def builder_version() -> str:
    """Return the version of the installed builder, or `""` where there is none."""
    try:
        return metadata.version("rangebar")
    except metadata.PackageNotFoundError:
        return ""


def cache_key(key: SeriesKey, first_ms: int, last_ms: int) -> str:
    """Return the key that rangebar's own writer would set: an md5 over series and range."""
    symbol, threshold, mode = key
    text = f"{symbol}_{threshold}_{first_ms}_{last_ms}_{mode}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def series_stamps(
    key: SeriesKey,
    bars: pa.Table,
    *,
    computed_at_ms: int,
    builder: str,
    versions: Mapping[str, str],
) -> dict[str, pa.Scalar]:
    """Return the values that all rows of one series share.

    Args:
        key: The series.
        bars: Its rows, in time order.
        computed_at_ms: When the call was made, ms; the latest one wins.
        builder: `rangebar_version`.
        versions: Version by provider.
    """
    first = bars.column("open_time_ms")[0].as_py()
    last = bars.column("close_time_ms")[-1].as_py()
    values = {
        "symbol": key.symbol,
        "threshold_decimal_bps": key.threshold_decimal_bps,
        "ouroboros_mode": key.ouroboros_mode,
        "cache_key": cache_key(key, first, last),
        "rangebar_version": builder,
        "source_start_ts": first,
        "source_end_ts": last,
        "computed_at": computed_at_ms,
    }
    stamps = {name: pa.scalar(value, BY_NAME[name].arrow) for name, value in values.items()}
    made = {version_column(p): pa.scalar(version) for p, version in versions.items()}
    return {**stamps, **made}


def with_constants(rows: pa.Table, constants: Mapping[str, pa.Scalar]) -> pa.Table:
    """Return the rows plus a column for each constant that they do not have themselves.

    Each is a dictionary of one entry, a byte a row to send; ClickHouse takes it into a column
    of any type.
    """
    codes = pa.array(np.zeros(rows.num_rows, dtype=np.int8))
    for name, value in constants.items():
        if name not in rows.column_names:
            entry = pa.array([value.as_py()], value.type)
            rows = rows.append_column(name, pa.DictionaryArray.from_arrays(codes, entry))
    return rows


def plain(rows: pa.Table) -> pa.Table:
    """Return the same values without dictionaries, in one chunk a column."""
    columns = [
        column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        for column in rows.combine_chunks().columns
    ]
    return pa.table(columns, names=rows.column_names)
