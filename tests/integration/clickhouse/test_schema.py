from __future__ import annotations

import json
import re

import pytest

from rangebar_enrich.clickhouse import migrate_plugin_columns
from rangebar_enrich.clickhouse.columns import COLUMNS
from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.identifiers import TableName
from rangebar_enrich.clickhouse.schema import create_table_sql
from rangebar_enrich.errors import IdentifierError, QueryError, SchemaError

SERIES = {"symbol": "BTCUSDT", "threshold_decimal_bps": 250}


class Momentum:
    name = "momentum"
    version = "1.2.0"
    columns = ("momentum_a", "momentum_b")


def statements(store) -> list[str]:
    """Collect the commands that the store sends from now on."""
    sent: list[str] = []
    command = store.client.command

    def spy(sql, *args, **kwargs):
        sent.append(str(sql))
        return command(sql, *args, **kwargs)

    store.client.command = spy
    return sent


def test_table_has_every_column_and_type(store):
    store.ensure_table()
    found = {name: column.type for name, column in store.schema().columns.items()}
    assert found == {column.name: column.type for column in COLUMNS}


def test_ensure_table_is_idempotent(store):
    store.ensure_table()
    before = store.schema()
    store.ensure_table()
    assert store.schema() == before


def test_create_statement_is_sql(store):
    for statement in create_table_sql(TableName("db.t")), "SELECT 1":
        formatted = store.client.query(
            "SELECT formatQuerySingleLine({sql:String})", parameters={"sql": statement}
        )
        assert formatted.result_rows[0][0].split()[0] in {"CREATE", "SELECT"}


def test_migrate_is_one_alter(store):
    store.ensure_table()
    sent = statements(store)
    assert store.migrate([Momentum(), "plain_x"]) == ["momentum_a", "momentum_b", "plain_x"]
    assert [sql.split()[0] for sql in sent] == ["ALTER"]
    assert store.migrate([Momentum(), "plain_x"]) == []
    assert len(sent) == 1


def test_migrated_columns_say_whose_they_are(store):
    store.migrate([Momentum()])
    schema = store.schema()
    column = schema.features["momentum_b"]
    assert (column.type, column.provider, column.version) == (
        "Nullable(Float64)",
        "momentum",
        "1.2.0",
    )
    assert json.loads(column.comment) == {"provider": "momentum", "version": "1.2.0"}
    assert schema.versions == {"_version_momentum"}


def test_migrate_sends_nothing_for_a_new_version(store, monkeypatch):
    """The comment says whose a column is; the versions of its values stand in the rows."""
    store.migrate([Momentum()])
    newer, sent = Momentum(), []
    newer.version = "2.0.0 'quoted' \\ `ticked`"
    monkeypatch.setattr(Connection, "command", lambda *given, **_: sent.append(given))
    assert store.migrate([newer]) == []
    assert sent == []


def test_migrate_with_codec(store):
    store.migrate(["x_a"], codec="zstd")
    row = store.client.query(
        "SELECT compression_codec FROM system.columns WHERE name = 'x_a' AND database = {d:String}",
        parameters={"d": store.table.split(".")[0]},
    ).result_rows[0]
    assert row[0] == "CODEC(ZSTD(1))"


def test_unknown_codec_is_refused(store):
    with pytest.raises(SchemaError, match=r"Codec 'T64' is unknown\.\nHint: use one of GORILLA"):
        store.migrate(["x_a"], codec="T64")


def test_column_of_another_type_is_refused(store):
    store.ensure_table()
    store.client.command(f"ALTER TABLE {store.table} ADD COLUMN momentum_a Float32")
    expected = (
        f"1 feature column(s) of table '{store.table}' have another type:\n"
        "- 'momentum_a': got Float32, expected Nullable(Float64)\n"
        f"Hint: ALTER TABLE {store.table} MODIFY COLUMN … Nullable(Float64), or rename the feature."
    )
    with pytest.raises(SchemaError, match=f"^{re.escape(expected)}$"):
        store.migrate([Momentum()])


@pytest.mark.parametrize(
    "name", ["Close", "x`; DROP TABLE t", "close", "computed_at", "x" * 300, ""]
)
def test_migrate_refuses_names(store, name):
    with pytest.raises(IdentifierError, match=r"cannot be (an identifier|a feature)"):
        store.migrate([name])


def test_plugin_columns_with_a_bare_client(store):
    client = store.client
    added = migrate_plugin_columns(client, [Momentum()], table=store.table)
    assert added == ["momentum_a", "momentum_b"]
    assert migrate_plugin_columns(client, [Momentum()], table=store.table) == []
    assert client.query("SELECT 1").result_rows == [(1,)]


def make_table(store, **changes: str) -> None:
    """Make a bar table as another program would, with some parts changed."""
    sql = create_table_sql(TableName(store.table))
    for old, new in changes.values():
        assert old in sql
        sql = sql.replace(old, new)
    store.client.command(f"CREATE DATABASE IF NOT EXISTS {store.table.split('.')[0]}")
    store.client.command(sql)


def test_rangebars_own_table_is_used(store, make_bars):
    """Server-time months, a smaller window, an older set of columns."""
    make_table(
        store,
        month=("intDiv(close_time_ms, 1000), 'UTC')", "close_time_ms / 1000)"),
        window=("window = 10000", "window = 1000"),
        optional=("`turnover` Nullable(Float64) DEFAULT NULL, ", ""),
        lookback=("`lookback_hurst` Nullable(Float64) DEFAULT NULL, ", ""),
        stamp=("`source_end_ts` Int64 DEFAULT 0, ", ""),
    )
    bars = make_bars(40, step_ms=24 * 3_600_000)
    assert store.write(bars, **SERIES).chunks == 2
    assert store.count("BTCUSDT", 250) == 40
    assert store.read("BTCUSDT", 250, last=1)["close"].to_pylist() == bars["close"].to_pylist()[-1:]
    row = store.client.query(
        "SELECT engine_full FROM system.tables WHERE database = {d:String} AND name = 'range_bars'",
        parameters={"d": store.table.split(".")[0]},
    ).result_rows[0]
    assert "non_replicated_deduplication_window = 10000" in row[0]
    assert "turnover" not in store.schema().columns


def test_missing_optional_column_is_added_when_bars_bring_it(store, make_bars):
    make_table(store, optional=("`turnover` Nullable(Float64) DEFAULT NULL, ", ""))
    bars = make_bars(4)
    store.write(bars.append_column("turnover", bars["volume"]), **SERIES)
    assert store.schema().columns["turnover"].type == "Nullable(Float64)"


def test_engine_that_does_not_replace_is_refused(store):
    make_table(store, engine=("ReplacingMergeTree(computed_at)", "MergeTree"))
    expected = (
        r"is not a bar table that rows can be replaced in:\n- engine: got MergeTree, expected"
        r" ReplacingMergeTree\(computed_at\)\nHint: "
    )
    with pytest.raises(SchemaError, match=expected):
        store.ensure_table()


def test_other_sorting_key_is_refused(store):
    make_table(store, key=("ouroboros_mode, close_time_ms)", "close_time_ms)"))
    with pytest.raises(SchemaError, match=r"ORDER BY: got \(symbol, threshold_decimal_bps, close_"):
        store.ensure_table()


def test_bar_column_of_another_type_is_refused(store):
    make_table(store, price=("`close` Float64", "`close` Float32"))
    with pytest.raises(
        SchemaError, match=r"1 column\(s\) of table .*\n- 'close': got Float32, exp"
    ):
        store.ensure_table()


def test_database_errors_are_ours(store):
    store.ensure_table()
    with pytest.raises(QueryError, match=r"The database refused a statement:\n- .*NOPE") as caught:
        store._connection.command("SELECT NOPE")
    assert caught.value.code == 47
