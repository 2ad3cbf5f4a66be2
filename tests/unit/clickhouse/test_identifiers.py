from __future__ import annotations

import re

import pytest

from rangebar_enrich.clickhouse.identifiers import (
    Sql,
    TableName,
    compose,
    feature_name,
    identifier,
    literal,
    quote,
)
from rangebar_enrich.errors import IdentifierError

HOSTILE = [
    "", " ", "a b", "a`b", "a'b", 'a"b', "a;b", "a\\b", "a\nb", "a\x00b", "1a", "a-b", "a.b", "a,b",
    "a)--", "`; DROP TABLE x; --", "{x:String}", "$table", "%s", "\u0441lose", "\uff43lose", "close\u200b",
    "a\u202eb", "ä", "\u017f", "a" * 129, "a" * 300,
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_names_are_refused(name):
    for check in (identifier, feature_name):
        with pytest.raises(IdentifierError, match="cannot be an identifier"):
            check(name)


@pytest.mark.parametrize("name", [None, 1, b"close", ["close"]])
def test_names_of_other_types_are_refused(name):
    with pytest.raises(IdentifierError, match="cannot be an identifier"):
        identifier(name)


def test_refusal_shows_and_helps():
    text = (
        "Name 'a b' cannot be an identifier.\n"
        "Hint: use ASCII letters, digits and '_', no digit first, at most 128 characters."
    )
    with pytest.raises(IdentifierError, match=f"^{re.escape(text)}$"):
        identifier("a b")


def test_refusal_of_a_long_name_is_short():
    with pytest.raises(IdentifierError, match=r"characters\) cannot be") as caught:
        identifier("x" * 5000)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("name", ["Upper", "_x", "9x", "x-y"])
def test_feature_names_are_lower_case(name):
    with pytest.raises(IdentifierError, match="lower-case letters"):
        feature_name(name)


def test_good_names_are_quoted():
    assert identifier("Range_Bars2") == "`Range_Bars2`"
    assert TableName("range_bars").sql == "`rangebar_cache`.`range_bars`"
    assert str(TableName("db.t").companion("claims")) == "db.t_claims"


@pytest.mark.parametrize("name", ["my-db.range-bars", "2024.bars", "db.my bars", "db.größe"])
def test_names_that_clickhouse_allows_are_quoted(name):
    database, table = name.split(".")
    assert TableName(name).sql == f"`{database}`.`{table}`"
    assert TableName(table, database).sql == TableName(name).sql


@pytest.mark.parametrize("name", ["a.b.c", "a.", ".", "", "db.t;x", None])
def test_table_names_are_checked(name):
    with pytest.raises(IdentifierError, match="cannot be an identifier"):
        TableName(name)


def test_names_of_the_database_are_escaped():
    assert quote("a`b\\c") == "`a\\`b\\\\c`"
    assert literal("it's\\") == "'it\\'s\\\\'"


def test_compose_takes_no_plain_text():
    with pytest.raises(IdentifierError, match=r"Unquoted part\(s\) of a statement: \['t'\]"):
        compose("SELECT 1 FROM $t", t="x")


def test_compose_leaves_binds():
    sql = compose("SELECT {a:String} FROM $t", t=Sql("`x`"))
    assert sql == "SELECT {a:String} FROM `x`"
