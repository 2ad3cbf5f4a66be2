"""What is stored where bars are about to be written: one statement for up to fifty series."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import Template

from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.identifiers import Sql, compose
from rangebar_enrich.clickhouse.query import Selection
from rangebar_enrich.clickhouse.schema import FINGERPRINT, TableSchema

_AT_ONCE = 50
_SERIES = Template(
    "symbol = {symbol_$n:String} AND threshold_decimal_bps = {threshold_$n:UInt32}"
    " AND ouroboros_mode = {mode_$n:String}"
)
# NOTE: without FINAL, and each part by key order: a few granules, however long the history.
_AROUND = """
SELECT $n, count(), max(toUnixTimestamp64Milli(computed_at)),
    (SELECT close_time_ms FROM $table WHERE $series AND close_time_ms < {start_$n:Int64}
     ORDER BY close_time_ms DESC LIMIT 1),
    (SELECT close_time_ms FROM $table WHERE $series ORDER BY close_time_ms DESC LIMIT 1),
    (SELECT CAST(ouroboros_mode, 'Nullable(String)') FROM $table WHERE symbol = {symbol_$n:String}
     AND threshold_decimal_bps = {threshold_$n:UInt32} AND ouroboros_mode != {mode_$n:String}
     LIMIT 1), $fingerprint
FROM $table WHERE $series AND close_time_ms BETWEEN {start_$n:Int64} AND {end_$n:Int64}
"""


@dataclass(frozen=True, slots=True)
class Around:
    """What the table holds of a series in the range of a batch, and around it.

    Attributes:
        rows: Stored row versions in the range.
        computed_at_ms: Latest `computed_at` of them, ms.
        before_ms: Close time of the bar before the range, or `None`.
        last_ms: Close time of the last bar of the series, or `None`.
        other_mode: Another ouroboros mode of the same (symbol, threshold), or `None`.
        fingerprint: The columns of the table, as a number.
    """

    rows: int = 0
    computed_at_ms: int = 0
    before_ms: int | None = None
    last_ms: int | None = None
    other_mode: str | None = None
    fingerprint: int = 0


def look_around(
    connection: Connection, schema: TableSchema, ranges: Sequence[Selection]
) -> list[Around]:
    """Return what is stored around each range; both ends of a range are given."""
    found: dict[int, Around] = {}
    for first in range(0, len(ranges), _AT_ONCE):
        some = dict(enumerate(ranges[first : first + _AT_ONCE], first))
        statement = "UNION ALL".join(_statements(schema, some))
        for number, rows, at_ms, before, last, mode, columns in connection.rows(
            statement, _params(schema, some)
        ):
            around = Around(rows, at_ms, before or None, last or None, mode or None, columns)
            found[number] = around
    return [found[number] for number in range(len(ranges))]


def _statements(schema: TableSchema, ranges: Mapping[int, Selection]) -> Iterator[str]:
    for number in ranges:
        place = Sql(str(number))
        yield compose(
            Template(_AROUND).safe_substitute(series=_SERIES.template),
            n=place,
            table=schema.table.sql,
            fingerprint=FINGERPRINT,
        )


def _params(schema: TableSchema, ranges: Mapping[int, Selection]) -> dict[str, object]:
    params: dict[str, object] = {"database": schema.table.database, "table": schema.table.table}
    for number, one in ranges.items():
        params |= {f"{name}_{number}": value for name, value in one.params.items()}
    return params
