"""Replies to queries: Arrow, or an error in its place, whatever the status said."""

from __future__ import annotations

import re

import pyarrow as pa

from rangebar_enrich.clickhouse.retry import CutReplyError

READONLY = 164
"""Code of a server that takes no setting from this user."""
_ERROR = re.compile(rb"Code: (\d+)\. DB::.*", re.DOTALL)
_SETTINGS = re.compile(r"\s+SETTINGS\s+\w+\s*=\s*\w+\s*$")
_SHOWN = 300


def plain_sql(sql: str) -> str:
    """Return a query without the settings at its end: they make it faster, not another one."""
    return _SETTINGS.sub("", sql)


def read_arrow(body: bytes) -> pa.Table:
    """Read the body of a reply.

    Raises:
        DatabaseError: The server broke off with an error of its own, in the middle of the body.
        CutReplyError: It is cut off, or no Arrow file: a proxy's page, say.
    """
    try:
        return pa.ipc.open_file(pa.BufferReader(body)).read_all()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _failure(body, error) from None


def _failure(body: bytes, error: Exception) -> Exception:
    from clickhouse_connect.driver.exceptions import DatabaseError

    found = _ERROR.search(body)
    if found:
        failure = DatabaseError(found.group(0)[:_SHOWN].decode(errors="replace").strip())
        failure.code = int(found.group(1))
        return failure
    start = body[:_SHOWN].decode(errors="replace").strip()
    kind = "a page" if start.startswith("<") else "cut off"
    text = f"The reply is no Arrow file, it is {kind} ({len(body)} bytes): {error}"
    return CutReplyError(text)
