"""Features put onto stored rows, and nothing else of these rows changed.

A row is written again as it was read, with new features. Its `computed_at` goes one step beyond
the row that it replaces, and no further: a bar that another program writes meanwhile is later,
so it stays, and its features are found missing. Rows of nobody's knowledge (see `facts`) are
known from now on, under the stamp that was given before they were read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich.clickhouse.chunks import chunk_bounds
from rangebar_enrich.clickhouse.columns import BAR_AT, FOLLOWS
from rangebar_enrich.clickhouse.identifiers import Sql, compose, join, quote
from rangebar_enrich.clickhouse.insert import Inserter
from rangebar_enrich.clickhouse.query import Selection, final_clause
from rangebar_enrich.clickhouse.schema import (
    FINGERPRINT,
    TableSchema,
    made_column,
    version_column,
)
from rangebar_enrich.clickhouse.session import Session

Mask = npt.NDArray[np.bool_]
AT_MS = "_at_ms"
_READ = """
SELECT $columns, toUnixTimestamp64Milli(computed_at) AS _at_ms, $fingerprint AS _columns
FROM $table FINAL WHERE $where ORDER BY close_time_ms$limit$final
"""
_LIMIT = Sql(" LIMIT {rows:UInt64}")
_COLUMNS = "_columns"


@dataclass(frozen=True, slots=True)
class Made:
    """Features that one provider made for rows that were read.

    Attributes:
        provider: Its name.
        version: Its version.
        columns: Its features, one value a row.
        mask: Rows that get them.
    """

    provider: str
    version: str
    columns: Mapping[str, pa.ChunkedArray]
    mask: Mask


def stored_columns(schema: TableSchema) -> tuple[list[str], tuple[str, ...]]:
    """Return the columns of a row, and those of them that only the database can carry over."""
    columns = [*schema.columns.values(), *schema.facts.values()]
    ordinary = [one for one in columns if one.is_ordinary]
    taken = [one.name for one in ordinary if one.goes_through_arrow and one.name != "computed_at"]
    return taken, tuple(one.name for one in ordinary if not one.goes_through_arrow)


def read_rows(session: Session, selection: Selection, *, rows: int | None = None) -> pa.Table:
    """Read rows of one series whole, as far as Arrow takes them, in time order.

    Args:
        session: The bar table; its columns are read anew where they changed.
        selection: Which rows.
        rows: Only the first so many.
    """
    params = {
        **selection.params,
        "database": session.table.database,
        "table": session.table.table,
        **({} if rows is None else {"rows": rows}),
    }
    while True:
        schema = session.schema()
        statement = compose(
            _READ,
            columns=join(quote(name) for name in stored_columns(schema)[0]),
            table=schema.table.sql,
            where=selection.where,
            fingerprint=FINGERPRINT,
            limit=Sql() if rows is None else _LIMIT,
            final=final_clause(schema),
        )
        found = session.connection.arrow(statement, params)
        if not found.num_rows or found.column(_COLUMNS)[0].as_py() == schema.fingerprint:
            return found.drop_columns([_COLUMNS])
        session.refresh()


class Rewriter:
    """Writes features onto rows that were read.

    Args:
        session: The bar table.
        key: The series.
        inserter: Sends the rows.
    """

    def __init__(self, session: Session, key: SeriesKey, inserter: Inserter) -> None:
        self._session, self._key = session, key
        self._schema = session.schema()
        self._inserter = inserter
        self._inside = stored_columns(self._schema)[1]

    def write(
        self,
        rows: pa.Table,
        made: list[Made],
        *,
        stamp_ms: int,
        margin_ms: int,
        before_ms: int | None,
    ) -> npt.NDArray[np.int64]:
        """Write the rows that get features.

        Args:
            rows: What `read_rows` gave.
            made: The features.
            stamp_ms: Stamp that was given before the rows were read.
            margin_ms: How far the new rows go beyond the old ones, ms.
            before_ms: Close time of the bar before the first row, 0 where it is the first of its
                series, `None` where nobody knows.

        Returns:
            Close times of the rows that were written.
        """
        wanted = np.zeros(rows.num_rows, dtype=bool)
        for one in made:
            wanted |= one.mask
        times: npt.NDArray[np.int64] = rows.column("close_time_ms").to_numpy()[wanted]
        if not len(times):
            return times
        changed = self._known(rows, stamp_ms, before_ms)
        for one in made:
            changed |= _features(rows, one, stamp_ms)
        at_ms = pa.array(rows.column(AT_MS).to_numpy() + margin_ms)
        changed["computed_at"] = at_ms.cast(pa.timestamp("ms", "UTC"))
        for name, column in changed.items():
            rows = _replaced(rows, name, column)
        self._send(rows.drop_columns([AT_MS]).filter(pa.array(wanted)))
        return times

    def _known(self, rows: pa.Table, stamp_ms: int, before_ms: int | None) -> dict[str, pa.Array]:
        """Return when each bar changed, and what it follows, as they are known now."""
        times = rows.column("close_time_ms").to_numpy()
        bar_at, follows = rows.column(BAR_AT).to_numpy(), rows.column(FOLLOWS).to_numpy()
        first = follows[0] if before_ms is None else before_ms
        true = np.concatenate([[first], times[:-1]])
        at = np.where((bar_at == 0) | (follows != true), stamp_ms, bar_at)
        return {BAR_AT: pa.array(at), FOLLOWS: pa.array(true)}

    def _send(self, rows: pa.Table) -> None:
        times = rows.column("close_time_ms").to_numpy()
        zone = UTC if self._schema.partition_is_utc else self._session.connection.client.server_tz
        for start, stop in chunk_bounds(times, zone):
            chunk = rows.slice(start, stop - start)
            if self._inside:
                selection = Selection(self._key, int(times[start]), int(times[stop - 1]))
                self._inserter.add_inside(chunk, {}, selection, self._inside)
            else:
                self._inserter.add(chunk, {}, alone=True)


def _features(rows: pa.Table, made: Made, stamp_ms: int) -> dict[str, pa.ChunkedArray]:
    """Return the provider's columns: new where they were made, else as they are stored."""
    version, stamp = version_column(made.provider), made_column(made.provider)
    new = {
        **made.columns,
        version: pa.scalar(made.version),
        stamp: pa.scalar(stamp_ms, pa.int64()),
    }
    if made.mask.all():
        return {name: _full(column, rows.num_rows) for name, column in new.items()}
    mask = pa.array(made.mask)
    return {name: _chosen(mask, column, rows.column(name)) for name, column in new.items()}


def _chosen(mask: pa.Array, new: pa.ChunkedArray | pa.Scalar, old: pa.ChunkedArray) -> pa.Array:
    """Choose values; dictionaries are taken as what they stand for."""
    if pa.types.is_dictionary(old.type):
        old = old.cast(old.type.value_type)
    return pc.if_else(mask, new, old)


def _full(column: pa.ChunkedArray | pa.Scalar, rows: int) -> pa.ChunkedArray | pa.Array:
    return pa.repeat(column, rows) if isinstance(column, pa.Scalar) else column


def _replaced(rows: pa.Table, name: str, column: pa.ChunkedArray | pa.Array) -> pa.Table:
    if name not in rows.column_names:
        return rows.append_column(name, column)
    return rows.set_column(rows.column_names.index(name), name, column)
