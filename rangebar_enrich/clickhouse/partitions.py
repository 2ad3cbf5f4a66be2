"""Partitions of a series: merged on request."""

from __future__ import annotations

from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.identifiers import Sql, compose, literal
from rangebar_enrich.clickhouse.schema import TableSchema

_PARTITIONS = """
SELECT DISTINCT _partition_id FROM $table
WHERE symbol = {symbol:String} AND threshold_decimal_bps = {threshold:UInt32}
    AND close_time_ms >= {since:Int64}
ORDER BY _partition_id
"""


def optimize_series(
    connection: Connection,
    schema: TableSchema,
    symbol: str,
    threshold_decimal_bps: int,
    *,
    since_ms: int | None = None,
) -> int:
    """Merge the partitions of a series, one after the other; return how many there are."""
    params = {"symbol": symbol, "threshold": threshold_decimal_bps, "since": since_ms or 0}
    rows = connection.rows(compose(_PARTITIONS, table=schema.table.sql), params)
    for (name,) in rows:
        part = Sql(literal(name))
        statement = "OPTIMIZE TABLE $table PARTITION ID $part FINAL"
        connection.command(compose(statement, table=schema.table.sql, part=part))
    return len(rows)
