"""Ouroboros modes: bars of one (symbol, threshold) that were reset differently do not mix.

A builder that is reset every week gives other bars than one that is reset every month. Both may
be stored, since the mode is part of the key, but a reader that forgets the mode mixes them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Literal

from rangebar_enrich.bars.series import SeriesKey
from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.identifiers import compose
from rangebar_enrich.clickhouse.schema import TableSchema
from rangebar_enrich.errors import WriteRefusedError, message

logger = logging.getLogger(__name__)

ModeGuard = Literal["strict", "warn", "off"]
_GUARDS = ("strict", "warn", "off")
_OTHER = """
SELECT ouroboros_mode FROM $table WHERE symbol = {symbol:String}
AND threshold_decimal_bps = {threshold:UInt32} AND ouroboros_mode != {mode:String} LIMIT 1
"""


def check_guard(guard: str) -> None:
    """Refuse an unknown value of `mode_guard`.

    Raises:
        WriteRefusedError: It is none of `strict`, `warn`, `off`.
    """
    if guard not in _GUARDS:
        msg = message(f"mode_guard={guard!r} is unknown.", hint=f"use {', '.join(_GUARDS)}.")
        raise WriteRefusedError(msg)


def check_modes(
    connection: Connection, schema: TableSchema, keys: Iterable[SeriesKey], *, guard: ModeGuard
) -> None:
    """See that no (symbol, threshold) gets bars of a second ouroboros mode.

    Args:
        connection: The database.
        schema: The bar table.
        keys: Series of the batch.
        guard: `strict` refuses, `warn` logs, `off` does not look.

    Raises:
        WriteRefusedError: A series has bars of another mode; nothing was written.
    """
    if guard == "off":
        return
    first: dict[tuple[str | None, int | None], str | None] = {}
    lines = []
    for key in keys:
        stored = _stored_other(connection, schema, key)
        other = stored or first.setdefault(key[:2], key.ouroboros_mode)
        if other != key.ouroboros_mode:
            where = "stored" if stored else "in the same batch"
            lines.append(
                f"{key.symbol}@{key.threshold_decimal_bps}: {key.ouroboros_mode!r} beside {other!r} {where}"
            )
    if not lines:
        return
    head = f"{len(lines)} series would mix ouroboros modes:"
    if guard == "warn":
        logger.warning("%s", message(head, lines))
        return
    hint = "write them to another table, or pass mode_guard='warn' or 'off' if that is meant."
    raise WriteRefusedError(message(f"{head} nothing was written.", lines, hint))


def _stored_other(connection: Connection, schema: TableSchema, key: SeriesKey) -> str | None:
    statement = compose(_OTHER, table=schema.table.sql)
    symbol, threshold, mode = key
    found = connection.rows(statement, {"symbol": symbol, "threshold": threshold, "mode": mode})
    return str(found[0][0]) if found else None
