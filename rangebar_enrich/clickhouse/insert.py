"""Rows on their way into the table: stamped, gathered, sent under a token of their content.

One insert carries one partition of one large series, or many small ones: at most a hundred
partitions, each of which is a block of its own, there as a whole or not at all.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from io import BytesIO

import pyarrow as pa

from rangebar_enrich.clickhouse.chunks import CHUNK_ROWS
from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.dedup import content_token
from rangebar_enrich.clickhouse.identifiers import TableName, compose, join, quote
from rangebar_enrich.clickhouse.query import Selection
from rangebar_enrich.clickhouse.retry import RetryCount
from rangebar_enrich.clickhouse.stamps import plain, with_constants

INSERT_SETTINGS: Mapping[str, int] = {
    "optimize_on_insert": 0,
    "async_insert": 0,
    "input_format_null_as_default": 0,
    "insert_deduplicate": 1,
}
_PARTITIONS = 100
"""Most partitions of one insert, which is what a server takes unless it is told otherwise."""
_SMALL_ROWS = 10_000
_INSIDE_ROWS = 5_000
_INSIDE = """
INSERT INTO $table ($columns, $inside)
SELECT $columns, $inside FROM format('Arrow', base64Decode({rows:String})) AS brought
ANY INNER JOIN (SELECT close_time_ms, $inside FROM $table FINAL WHERE $where) AS stored
USING (close_time_ms)
"""


class Inserter:
    """Sends rows; small lots with the same columns wait for each other.

    Args:
        connection: The database.
        table: The bar table.
        count: Takes the retries.
        scope: What makes the tokens of this call differ from those of any other.
    """

    def __init__(
        self, connection: Connection, table: TableName, count: RetryCount, *, scope: str = ""
    ) -> None:
        self._connection, self._table, self._count = connection, table, count
        self._scope = f"{table}{scope}"
        self._waiting: dict[tuple[str, ...], list[pa.Table]] = {}
        self.inserts = 0

    def add(self, rows: pa.Table, stamps: Mapping[str, pa.Scalar], *, alone: bool = False) -> None:
        """Send rows of one partition, or keep them until `flush` where there may be more."""
        stamped = with_constants(rows, stamps)
        if alone or rows.num_rows > _SMALL_ROWS:
            self._send(stamped)
            return
        names = tuple(sorted(stamped.column_names))
        lots = self._waiting.setdefault(names, [])
        lots.append(stamped.select(names))
        if len(lots) >= _PARTITIONS or sum(lot.num_rows for lot in lots) > CHUNK_ROWS:
            self._send_all(self._waiting.pop(names))

    def flush(self) -> None:
        """Send what waits."""
        while self._waiting:
            self._send_all(self._waiting.popitem()[1])

    def _send_all(self, lots: list[pa.Table]) -> None:
        if len(lots) == 1:
            self._send(lots[0])
            return
        self._send(pa.concat_tables([plain(lot) for lot in lots], promote_options="permissive"))

    def _send(self, rows: pa.Table) -> None:
        settings = {**INSERT_SETTINGS, "insert_deduplication_token": self._token(rows)}
        self._connection.insert(str(self._table.sql), rows, self._count, **settings)
        self.inserts += 1

    def _token(self, rows: pa.Table) -> str:
        return content_token(rows, self._scope)

    def add_inside(
        self,
        rows: pa.Table,
        stamps: Mapping[str, pa.Scalar],
        selection: Selection,
        columns: tuple[str, ...],
    ) -> None:
        """Send rows that take over `columns` of the stored ones, of types Arrow cannot carry."""
        stamped = plain(with_constants(rows, stamps))
        statement = compose(
            _INSIDE,
            table=self._table.sql,
            columns=join(quote(name) for name in stamped.column_names),
            inside=join(quote(name) for name in columns),
            where=selection.where,
        )
        for first in range(0, stamped.num_rows, _INSIDE_ROWS):
            some = stamped.slice(first, _INSIDE_ROWS)
            params = {**selection.params, "rows": b64encode(_file(some)).decode()}
            # NOTE: else a failure on the way may come within a reply of status 200, which the
            # client takes for success: https://github.com/ClickHouse/ClickHouse/issues/45381.
            settings = {**INSERT_SETTINGS, "insert_deduplication_token": self._token(some)}
            self._connection.command(statement, params, **settings, wait_end_of_query=1)
            self.inserts += 1


def _file(rows: pa.Table) -> bytes:
    sink = BytesIO()
    with pa.ipc.new_file(sink, rows.schema) as file:
        file.write_table(rows)
    return sink.getvalue()
