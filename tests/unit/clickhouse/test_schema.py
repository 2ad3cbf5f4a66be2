"""The bar table held against what is needed, over canned answers."""

from __future__ import annotations

import pytest

from rangebar_enrich.clickhouse.columns import COLUMNS, FACTS
from rangebar_enrich.clickhouse.identifiers import TableName
from rangebar_enrich.clickhouse.schema import StoredColumn, check_table, read_schema
from rangebar_enrich.clickhouse.tables import ensure_tables
from rangebar_enrich.errors import SchemaError

TABLE = TableName("db.bars")
KEY = "symbol, threshold_decimal_bps, ouroboros_mode, close_time_ms"
PLAIN = "ReplacingMergeTree(computed_at) ORDER BY x SETTINGS {}"
REPLICATED = "ReplicatedReplacingMergeTree('/p', 'r', computed_at) ORDER BY x SETTINGS {}"
BESIDE = {"bars_claims": "overtaken", "bars_providers": "lookback", "bars_states": "state"}


class Answers:
    """Answers a question by a word in it; notes what was sent."""

    def __init__(self, engine, *, defaults=(), beside=BESIDE, leases="ReplacingMergeTree"):
        self.engine, self.defaults, self.sent = engine, list(defaults), []
        self.engines = [("bars", engine.partition("(")[0]), ("bars_claims", leases)]
        self.there = {"bars": ["symbol"], **{name: [column] for name, column in beside.items()}}

    def rows(self, sql, params=None):
        if "groupArray(name)" in sql:
            return [(name, columns, self.engines) for name, columns in self.there.items()]
        if "engine_full" in sql:
            return [(self.engine.partition("(")[0], self.engine, KEY)]
        if "merge_tree_settings" in sql:
            return self.defaults
        columns = [*COLUMNS, *FACTS]
        return [(one.name, one.type, "DEFAULT", "", "UTC", 77) for one in columns]

    def command(self, sql, params=None, **settings):
        self.sent.append(" ".join(sql.split()))


def test_prepared_tables_get_no_statement_but_questions():
    answers = Answers(PLAIN.format("non_replicated_deduplication_window = 10000"))
    ensure_tables(answers, TABLE)
    assert answers.sent == []


def test_missing_tables_are_made():
    answers = Answers(PLAIN.format("non_replicated_deduplication_window = 10000"), beside={})
    ensure_tables(answers, TABLE)
    made = [sql.split("(")[0].strip() for sql in answers.sent]
    assert made == [f"CREATE TABLE IF NOT EXISTS `db`.`{name}`" for name in BESIDE]


def test_an_older_table_is_given_what_it_lacks():
    older = {**BESIDE, "bars_claims": "state"}
    answers = Answers(PLAIN.format("non_replicated_deduplication_window = 10000"), beside=older)
    ensure_tables(answers, TABLE)
    (sql,) = answers.sent
    assert sql.startswith("ALTER TABLE `db`.`bars_claims` ADD COLUMN IF NOT EXISTS overtaken")


@pytest.mark.parametrize(
    ("engine", "defaults", "raised"),
    [
        pytest.param(PLAIN.format("x = 1"), [], "non_replicated_deduplication_window = 10000"),
        pytest.param(
            REPLICATED.format("replicated_deduplication_window = 10000"),
            [("replicated_deduplication_window_seconds", "3600")],
            "replicated_deduplication_window_seconds = 604800",
        ),
        pytest.param(
            REPLICATED.format("replicated_deduplication_window = 100"),
            [("replicated_deduplication_window_seconds", "604800")],
            "replicated_deduplication_window = 10000",
        ),
    ],
    ids=["plain", "seconds", "blocks"],
)
def test_a_window_that_is_too_short_is_raised(engine, defaults, raised):
    answers = Answers(engine, defaults=defaults)
    check_table(answers, TABLE)
    assert answers.sent == [f"ALTER TABLE `db`.`bars` MODIFY SETTING {raised}"]


def test_leases_that_are_not_replicated_are_refused():
    answers = Answers(REPLICATED.format("replicated_deduplication_window = 10000"))
    with pytest.raises(SchemaError, match=r"replicated, and its table of leases is not") as caught:
        ensure_tables(answers, TABLE)
    assert "got ReplacingMergeTree, expected ReplicatedReplacingMergeTree" in str(caught.value)
    assert answers.sent == []


def test_facts_stand_apart_from_columns():
    schema = read_schema(Answers(PLAIN), TABLE)
    assert (set(schema.facts), schema.has_facts) == ({"_bar_at", "_follows"}, True)
    assert set(schema.columns) == {one.name for one in COLUMNS}
    assert schema.fingerprint == 77


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("Nullable(Float64)", True),
        ("LowCardinality(Nullable(String))", True),
        ("DateTime64(3, 'UTC')", True),
        ("DateTime", False),
        ("Array(String)", False),
        ("Enum8('a' = 1)", False),
        ("UUID", False),
    ],
)
def test_what_goes_through_arrow(kind, expected):
    assert StoredColumn("a", kind, "", "").goes_through_arrow is expected
