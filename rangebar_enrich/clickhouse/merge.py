"""Stored values that a batch does not bring, carried over into the rows that replace them.

ReplacingMergeTree keeps whole rows: a row that is inserted without a feature wipes it. So what
the batch lacks is read from the stored rows and written again with the new ones. A row whose
prices or volume changed keeps its features too, but their version is marked stale: they were
computed from other bars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rangebar_enrich._bars.columns import OHLCV
from rangebar_enrich.clickhouse.columns import BAR_AT, BY_NAME, FOLLOWS, Role
from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.identifiers import Sql, compose, join, quote
from rangebar_enrich.clickhouse.ingest import ReadAt
from rangebar_enrich.clickhouse.marks import Marks
from rangebar_enrich.clickhouse.query import Selection, final_clause
from rangebar_enrich.clickhouse.schema import (
    StoredColumn,
    TableSchema,
    made_column,
    version_column,
)
from rangebar_enrich.errors import WriteRefusedError, message

STALE = " (stale)"
"""Ends the version of features whose bar was replaced by another one since."""

_CASCADE = "is_liquidation_cascade"
AT_MS = "_at_ms"
_AT_MS = Sql(f"toUnixTimestamp64Milli(computed_at) AS {AT_MS}")
_TIME = pa.timestamp("ms", "UTC")
_PROBE = "SELECT $counts FROM $table FINAL WHERE $where$final"
_READ = "SELECT $columns FROM $table FINAL WHERE $where ORDER BY close_time_ms$final"


@dataclass(frozen=True, slots=True)
class Brought:
    """What a batch brings of one series.

    Attributes:
        columns: Names of its columns, key columns left out.
        versions: Version by provider, for the providers whose features it brings.
    """

    columns: frozenset[str]
    versions: Mapping[str, str] = field(default_factory=dict)


def carried_columns(
    connection: Connection, schema: TableSchema, selection: Selection, brought: Brought
) -> tuple[str, ...]:
    """Return the columns with stored values that writing `brought` would wipe.

    Raises:
        WriteRefusedError: Some of them cannot be kept and traced at once.
    """
    absent = _absent(schema, brought)
    if not absent:
        return ()
    counts = _counts(absent)
    conflicts = _conflicts(schema, brought)
    sql = join([*counts.values(), *(sql for sql, _ in conflicts.values())])
    params = {**selection.params, **{f"v_{p}": brought.versions[p] for p in conflicts}}
    parts = {"table": schema.table.sql, "where": selection.where}
    statement = compose(_PROBE, **parts, counts=sql, final=final_clause(schema))
    found = connection.rows(statement, params)[0]
    _refuse_conflicts(schema, conflicts, brought, found[len(counts) :])
    return tuple(name for name, n in zip(counts, found, strict=False) if n)


def _absent(schema: TableSchema, brought: Brought) -> list[StoredColumn]:
    """Return ordinary stored columns that the batch neither brings nor stamps."""
    own = {
        column(provider)
        for provider in brought.versions
        for column in (version_column, made_column)
    }
    return [
        column
        for name, column in {**schema.columns, **schema.facts}.items()
        if column.is_ordinary
        and name not in brought.columns
        and name not in own
        and name not in {BAR_AT, FOLLOWS}
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


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a chunk that are inserted together.

    Attributes:
        rows: The rows, with what was carried over and what they know.
        carried: Whether stored values were carried over.
        stale: Whether carried features were computed from another bar.
        inside: Columns that only the database can carry over.
    """

    rows: pa.Table
    carried: bool = False
    stale: bool = False
    inside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Merge:
    """How the bars of one series are put together with what is stored.

    Attributes:
        schema: The bar table.
        marks: What the rows know.
        carried: Columns to take from the stored rows.
        read: What the bars were read at, where they were read from this table.
    """

    schema: TableSchema
    marks: Marks
    carried: tuple[str, ...]
    read: ReadAt | None = None

    def parts(
        self, connection: Connection, selection: Selection, chunk: pa.Table
    ) -> tuple[list[Part], list[int]]:
        """Split a chunk into new rows, rows that replace an equal bar, and rows that change one.

        Args:
            connection: The database.
            selection: The rows of the chunk in the table.
            chunk: Bars of one series, in time order.

        Returns:
            The parts, and the close times of bars that changed since the caller read them: they
            are in no part.
        """
        old = self._stored(connection, selection)
        where, known = _lookup(old.column("close_time_ms"), chunk.column("close_time_ms"))
        made = [Part(self.marks.mark_new(chunk.filter(pa.array(~known))))]
        old, new = old.take(pa.array(where[known])), chunk.filter(pa.array(known))
        changed = _changed(old, new)
        skipped = self._since_read(old) & changed
        same = self._with_stored(new, old, ~changed)
        other = self._with_stored(new, old, changed & ~skipped, stale=True)
        inside = tuple(n for n in self.carried if not self._goes_through_arrow(n))
        same = self._step(self.marks.mark_same(same), old, ~changed)
        made.append(Part(same, carried=True, inside=inside))
        other = self.marks.mark_changed(other)
        made.append(Part(other, carried=True, stale=True, inside=inside))
        times = new.column("close_time_ms").filter(pa.array(skipped)).to_pylist()
        return [one for one in made if one.rows.num_rows], times

    def _goes_through_arrow(self, name: str) -> bool:
        return name in self.schema.facts or self.schema.columns[name].goes_through_arrow

    def _stored(self, connection: Connection, selection: Selection) -> pa.Table:
        """Read the stored rows that the chunk may replace, as far as Arrow takes them."""
        taken = [n for n in self.carried if self._goes_through_arrow(n)]
        columns = list(dict.fromkeys(["close_time_ms", *OHLCV, BAR_AT, FOLLOWS, *taken]))
        statement = compose(
            _READ,
            columns=join([*(quote(name) for name in columns), _AT_MS]),
            table=self.schema.table.sql,
            where=selection.where,
            final=final_clause(self.schema),
        )
        return connection.arrow(statement, selection.params)

    def _since_read(self, old: pa.Table) -> npt.NDArray[np.bool_]:
        """Return which stored bars may have changed since the caller read them."""
        if self.read is None:
            return np.zeros(old.num_rows, dtype=bool)
        bar_at, at_ms = old.column(BAR_AT).to_numpy(), old.column(AT_MS).to_numpy()
        since: npt.NDArray[np.bool_] = (bar_at > self.read.bar_at) | (
            (bar_at == 0) & (at_ms > self.read.at_ms)
        )
        return since

    def _step(self, rows: pa.Table, old: pa.Table, mask: npt.NDArray[np.bool_]) -> pa.Table:
        """Let rows that were read and only got features keep their place in time."""
        if self.read is None:
            return rows
        at_ms = old.column(AT_MS).to_numpy()[mask] + self.read.margin_ms
        return rows.append_column("computed_at", pa.array(at_ms).cast(_TIME))

    def _with_stored(
        self, new: pa.Table, old: pa.Table, mask: npt.NDArray[np.bool_], *, stale: bool = False
    ) -> pa.Table:
        kept = old.filter(pa.array(mask))
        names = [n for n in self.carried if n in old.column_names]
        rows = new.filter(pa.array(mask)).drop_columns([FOLLOWS])
        return _carry_over(rows, kept, [*names, BAR_AT, FOLLOWS], stale=stale)


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


def _carry_over(rows: pa.Table, old: pa.Table, carried: Sequence[str], *, stale: bool) -> pa.Table:
    for name in dict.fromkeys(carried):
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
