from __future__ import annotations

import io

import pyarrow as pa
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from rangebar_enrich.clickhouse.reply import plain_sql, read_arrow
from rangebar_enrich.clickhouse.retry import CutReplyError, is_transient


@pytest.fixture
def body():
    table, sink = pa.table({"a": [1, 2]}), io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)
    return sink.getvalue()


def test_reply_is_read(body):
    assert read_arrow(body).to_pydict() == {"a": [1, 2]}


def test_error_within_a_reply_keeps_its_code(body):
    late = body[:200] + b"\r\n__exception__\r\nCode: 241. DB::Exception: Memory limit (MEMORY)\n"
    with pytest.raises(DatabaseError, match=r"^Code: 241\. DB::Exception: Memory") as caught:
        read_arrow(late)
    assert caught.value.code == 241


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda body: body[:-20], "cut off"),
        (lambda _: b"", "cut off"),
        (lambda _: b"<html>502 Bad Gateway</html>", "a page"),
    ],
    ids=["cut", "empty", "page"],
)
def test_reply_that_is_no_result_is_asked_for_again(body, make, kind):
    with pytest.raises(CutReplyError, match=f"no Arrow file, it is {kind}") as caught:
        read_arrow(make(body))
    assert is_transient(caught.value)


def test_settings_are_left_away():
    sql = "SELECT a FROM t FINAL WHERE b ORDER BY c SETTINGS do_not_merge_across_partitions = 1"
    assert plain_sql(sql) == "SELECT a FROM t FINAL WHERE b ORDER BY c"
    assert plain_sql("SELECT 1") == "SELECT 1"
