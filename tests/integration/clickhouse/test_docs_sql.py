from __future__ import annotations

import re
from pathlib import Path

import pytest

from rangebar_enrich.clickhouse.identifiers import TableName
from rangebar_enrich.clickhouse.schema import create_table_sql

PAGE = Path(__file__).parents[3] / "docs" / "clickhouse.md"
STATEMENTS = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def formatted(store, sql: str) -> str:
    query = "SELECT formatQuerySingleLine({sql:String})"
    return store.client.query(query, parameters={"sql": sql}).result_rows[0][0]


@pytest.mark.parametrize("sql", STATEMENTS, ids=lambda sql: " ".join(sql.split()[:3]))
def test_documented_statements_are_sql(store, sql):
    assert formatted(store, sql).split()[0] == sql.split()[0]


def test_documented_key_and_partition_are_the_tables():
    ours = create_table_sql(TableName("rangebar_cache.range_bars"))
    replicated = STATEMENTS[0]
    for clause in ("PARTITION BY", "ORDER BY"):
        line = next(line for line in ours.splitlines() if line.startswith(clause))
        assert line in replicated


def test_formatter_refuses_what_is_no_sql(store):
    with pytest.raises(Exception, match="SYNTAX_ERROR"):
        formatted(store, "CREATE TABLE t ON CLUSTERS x")
