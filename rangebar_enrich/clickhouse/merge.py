"""Stored values that a batch does not bring, carried over into the rows that replace them.

ReplacingMergeTree keeps whole rows: a row that is inserted without a feature wipes it. So what
the batch lacks is read from the stored rows and written again with the new ones. A row whose
prices or volume changed keeps its features too, but their version is marked stale: they were
computed from other bars.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rangebar_enrich._bars.columns import OHLCV
from rangebar_enrich.clickhouse.columns import BY_NAME, Role
from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.identifiers import Sql, compose, join, quote
from rangebar_enrich.clickhouse.query import Selection, final_clause
from rangebar_enrich.clickhouse.schema import StoredColumn, TableSchema, version_column
from rangebar_enrich.errors import WriteRefusedError, message

STALE = " (stale)"
"""Ends the version of features whose bar was replaced by another one since."""

_CASCADE = "is_liquidation_cascade"
_COUNT = """
SELECT count(), max(toUnixTimestamp64Milli(computed_at)),
    (SELECT any(ouroboros_mode) FROM (
        SELECT ouroboros_mode FROM $table WHERE symbol = {symbol:String}
        AND threshold_decimal_bps = {threshold:UInt32} AND ouroboros_mode != {mode:String} LIMIT 1
    ))
FROM $table WHERE $where
"""
_PROBE = "SELECT $counts FROM $table FINAL WHERE $where$final"
_READ = "SELECT $columns FROM $table FINAL WHERE $where ORDER BY close_time_ms$final"
_TAKES = re.compile(
    r"(LowCardinality\()?(Nullable\()?"
    r"(U?Int(8|16|32|64)|Float(32|64)|Bool|String|DateTime64\(\d+(, '[^']*')?\)|Decimal\(\d+, \d+\))\)*"
)
"""Types that survive the way through Arrow and back."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the table holds of a series in the range of a batch.

    Attributes:
        rows: Stored row versions in the range.
        computed_at_ms: Latest `computed_at` of them, ms.
        other_mode: Another ouroboros mode of the same (symbol, threshold), or `None`.
        carried: Columns with values that the batch does not bring.
    """

    rows: int
    computed_at_ms: int
    other_mode: str | None = None
    carried: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Brought:
    """What a batch brings of one series.

    Attributes:
        columns: Names of its columns, key columns left out.
        versions: Version by provider, for the providers whose features it brings.
    """

    columns: frozenset[str]
    versions: Mapping[str, str] = field(default_factory=dict)


def probe(
    connection: Connection, schema: TableSchema, selection: Selection, brought: Brought
) -> Stored:
    """Find the stored values that writing `brought` would wipe.

    Raises:
        WriteRefusedError: Some of them cannot be kept and traced at once.
    """
    parts = {"table": schema.table.sql, "where": selection.where}
    rows, latest, other = connection.rows(compose(_COUNT, **parts), selection.params)[0]
    stored = Stored(rows, latest, other or None)
    absent = _absent(schema, brought)
    if not rows or not absent:
        return stored
    counts = _counts(absent)
    conflicts = _conflicts(schema, brought)
    sql = join([*counts.values(), *(sql for sql, _ in conflicts.values())])
    params = {**selection.params, **{f"v_{p}": brought.versions[p] for p in conflicts}}
    statement = compose(_PROBE, **parts, counts=sql, final=final_clause(schema))
    found = connection.rows(statement, params)[0]
    _refuse_conflicts(schema, conflicts, brought, found[len(counts) :])
    carried = tuple(name for name, n in zip(counts, found, strict=False) if n)
    _refuse_untaken(schema, carried)
    return replace(stored, carried=carried)


def _absent(schema: TableSchema, brought: Brought) -> list[StoredColumn]:
    """Return ordinary stored columns that the batch neither brings nor stamps."""
    own = {version_column(provider) for provider in brought.versions}
    return [
        column
        for name, column in schema.columns.items()
        if column.is_ordinary
        and name not in brought.columns
        and name not in own
        and not (name in BY_NAME and BY_NAME[name].role in {Role.KEY, Role.STAMP})
    ]


def _counts(absent: Sequence[StoredColumn]) -> dict[str, Sql]:
    """Return an expression for each column that counts its values other than the default."""
    return {column.name: Sql(f"countIf({_has_value(column)})") for column in absent}


def _has_value(column: StoredColumn) -> Sql:
    name = quote(column.name)
    if "Nullable(" in column.type:
        return Sql(f"isNotNull({name})")
    if column.is_version:
        return Sql(f"{name} != ''")
    known = BY_NAME.get(column.name)
    return (
        Sql("1") if known is None or known.default is None else Sql(f"{name} != ({known.default})")
    )


def _conflicts(schema: TableSchema, brought: Brought) -> dict[str, tuple[Sql, list[str]]]:
    """Return, by provider, what counts rows that would mix two versions of it."""
    found: dict[str, tuple[Sql, list[str]]] = {}
    for provider in brought.versions:
        lacking = [
            name
            for name, column in schema.features.items()
            if column.provider == provider and name not in brought.columns
        ]
        if lacking:
            values = join([Sql(f"isNotNull({quote(name)})") for name in lacking], " OR ")
            version = quote(version_column(provider))
            bound = Sql(f"{{v_{provider}:String}}")
            found[provider] = (Sql(f"countIf({version} != {bound} AND ({values}))"), lacking)
    return found


def _refuse_conflicts(
    schema: TableSchema,
    conflicts: Mapping[str, tuple[Sql, list[str]]],
    brought: Brought,
    found: Sequence[int],
) -> None:
    lines = [
        f"'{provider}' {brought.versions[provider]!r}: {rows} stored row(s) have"
        f" {', '.join(conflicts[provider][1])} from another version"
        for provider, rows in zip(conflicts, found, strict=True)
        if rows
    ]
    if lines:
        msg = message(
            "The bars bring only some columns of a provider, whose other columns are stored from"
            " another version; one row would mix both. Nothing was written.",
            lines,
            "write all columns of the provider, with their version; or, if the version no longer"
            f" makes them, remove them: ALTER TABLE {schema.table} DROP COLUMN ….",
        )
        raise WriteRefusedError(msg)


def _refuse_untaken(schema: TableSchema, carried: Sequence[str]) -> None:
    lines = [
        f"'{name}': {schema.columns[name].type}"
        for name in carried
        if not _TAKES.fullmatch(schema.columns[name].type)
    ]
    if lines:
        msg = message(
            "Stored rows have values in columns of types that cannot be carried over; writing"
            " these bars would lose them. Nothing was written.",
            lines,
            "bring these columns elsewhere, or delete the stored rows first.",
        )
        raise WriteRefusedError(msg)


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a chunk that are inserted together.

    Attributes:
        rows: The rows, with what was carried over.
        carried: Whether stored values were carried over.
        stale: Whether carried features were computed from another bar.
    """

    rows: pa.Table
    carried: bool = False
    stale: bool = False


def merged_parts(
    connection: Connection,
    schema: TableSchema,
    selection: Selection,
    chunk: pa.Table,
    carried: Sequence[str],
) -> Iterator[Part]:
    """Split a chunk into new rows, rows that replace an equal bar, and rows that change one.

    Args:
        connection: The database.
        schema: The bar table.
        selection: The rows of the chunk in the table.
        chunk: Bars of one series, in time order.
        carried: Columns to take from the stored rows.
    """
    columns = list(dict.fromkeys(["close_time_ms", *OHLCV, *carried]))
    statement = compose(
        _READ,
        columns=join(quote(name) for name in columns),
        table=schema.table.sql,
        where=selection.where,
        final=final_clause(schema),
    )
    stored = connection.arrow(statement, selection.params)
    where, known = _lookup(stored.column("close_time_ms"), chunk.column("close_time_ms"))
    if not known.all():
        yield Part(chunk.filter(pa.array(~known)))
    if not known.any():
        return
    old, new = stored.take(pa.array(where[known])), chunk.filter(pa.array(known))
    changed = _changed(old, new)
    for mask, stale in ((~changed, False), (changed, True)):
        if mask.any():
            kept, rows = old.filter(pa.array(mask)), new.filter(pa.array(mask))
            yield Part(_with_stored(rows, kept, carried, stale=stale), carried=True, stale=stale)


def _lookup(
    stored: pa.ChunkedArray, times: pa.ChunkedArray
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return for each time its row in the sorted `stored`, and whether there is one."""
    have, want = stored.to_numpy(), times.to_numpy()
    if not len(have):
        return np.zeros(len(want), dtype=np.int64), np.zeros(len(want), dtype=bool)
    where = np.minimum(np.searchsorted(have, want), len(have) - 1)
    return where, have[where] == want


def _changed(old: pa.Table, new: pa.Table) -> npt.NDArray[np.bool_]:
    """Return which rows differ, bit for bit, in price or volume."""
    pairs = [(old.column(n).to_numpy(), new.column(n).to_numpy()) for n in OHLCV]
    differ: npt.NDArray[np.bool_] = np.zeros(old.num_rows, dtype=bool)
    for before, after in pairs:
        differ |= before.view(np.int64) != after.view(np.int64)
    return differ


def _with_stored(rows: pa.Table, old: pa.Table, carried: Sequence[str], *, stale: bool) -> pa.Table:
    for name in carried:
        if stale and name == _CASCADE:
            continue  # derived from the prices: the table's default computes it anew
        column = old.column(name)
        if stale and name.startswith(version_column("")):
            column = _marked(column)
        rows = rows.append_column(pa.field(name, column.type), column)
    return rows


def _marked(versions: pa.ChunkedArray) -> pa.ChunkedArray:
    unmarked = pc.and_(pc.not_equal(versions, ""), pc.invert(pc.ends_with(versions, STALE)))
    return pc.if_else(unmarked, pc.binary_join_element_wise(versions, STALE, ""), versions)
