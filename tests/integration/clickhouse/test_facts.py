"""What the store takes for granted of ClickHouse, each a test: a new version that differs fails here."""

from __future__ import annotations

import threading

import numpy as np
import pyarrow as pa
import pytest

SETTINGS = {"async_insert": 0, "optimize_on_insert": 0, "insert_deduplicate": 1}


@pytest.fixture
def table(store) -> str:
    """A small replacing table, two partitions, that remembers tokens."""
    database = store.table.split(".")[0]
    client = store.client
    client.command(f"CREATE DATABASE IF NOT EXISTS {database}")
    client.command(
        f"CREATE TABLE {database}.facts (k Int64, v Int64 DEFAULT 7, f Nullable(Float64),"
        " small UInt8 DEFAULT 0, s LowCardinality(String) DEFAULT '', at DateTime64(3) DEFAULT 0)"
        " ENGINE = ReplacingMergeTree(v) PARTITION BY k % 2 ORDER BY k"
        " SETTINGS non_replicated_deduplication_window = 10000"
    )
    return f"{database}.facts"


def insert(store, table: str, token: str | None = None, **columns) -> object:
    named = {"insert_deduplication_token": token} if token else {}
    settings = {**SETTINGS, **named, "input_format_null_as_default": 0}
    return store.client.insert_arrow(table, pa.table(columns), settings=settings)


def select(store, table: str, what: str = "count()", final: str = "") -> list[tuple]:
    return store.client.query(f"SELECT {what} FROM {table} {final}").result_rows  # noqa: S608


def test_same_token_drops_the_block_whatever_its_data(store, table):
    insert(store, table, "t", k=[0, 2], v=[1, 1])
    insert(store, table, "t", k=[4, 6, 8], v=[1, 1, 1])
    assert select(store, table) == [(2,)]


def test_another_token_keeps_equal_data(store, table):
    insert(store, table, "a", k=[0], v=[1])
    insert(store, table, "b", k=[0], v=[1])
    assert select(store, table) == [(2,)]


def test_dropped_insert_reports_its_rows(store, table):
    if not store._connection.address.is_embedded:
        pytest.skip("the stand-in reports no rows")
    insert(store, table, "t", k=[0, 2])
    assert insert(store, table, "t", k=[0, 2]).written_rows == 2
    assert select(store, table) == [(2,)]


def test_token_outlives_delete(store, table):
    insert(store, table, "t", k=[0])
    store.client.command(f"DELETE FROM {table} WHERE k = 0")  # noqa: S608
    insert(store, table, "t", k=[0])
    assert select(store, table) == [(0,)]


def test_truncate_forgets_tokens(store, table):
    insert(store, table, "t", k=[0])
    store.client.command(f"TRUNCATE TABLE {table}")
    insert(store, table, "t", k=[0])
    assert select(store, table) == [(1,)]


def test_one_token_is_taken_once_by_racing_writers(connect, store, table):
    writers = [connect() for _ in range(4)]
    for round_ in range(5):
        gate = threading.Barrier(len(writers))

        def race(writer, value, gate=gate, token=f"r{round_}", key=2 * round_) -> None:
            gate.wait()
            insert(writer, table, token, k=[key], v=[value])

        threads = [
            threading.Thread(target=race, args=pair) for pair in zip(writers, range(4), strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert select(store, table, "count(), uniqExact(k)") == [(5, 5)]


def test_highest_version_wins_in_any_order(store, table):
    insert(store, table, k=[0], v=[9], f=[1.0])
    insert(store, table, k=[0], v=[3], f=[2.0])
    assert select(store, table, "v, f", "FINAL") == [(9, 1.0)]


def test_row_without_a_feature_wipes_it(store, table):
    insert(store, table, k=[0], v=[1], f=[1.0])
    insert(store, table, k=[0], v=[2])
    assert select(store, table, "f", "FINAL") == [(None,)]


def test_nan_stays_nan_and_null_is_null(store, table):
    insert(store, table, k=[0, 2], f=[float("nan"), None])
    assert select(store, table, "isNaN(f), isNull(f)", "ORDER BY k") == [(1, 0), (None, 1)]


def test_null_into_a_plain_column_is_an_error(store, table):
    with pytest.raises(Exception, match=r"349|CANNOT_INSERT_NULL"):
        insert(store, table, k=[0], v=pa.array([None], pa.int64()))


def test_values_are_damaged_in_silence(store, table):
    """Why the guards look at every value."""
    insert(store, table, k=[0], small=[300], v=[3.9])
    assert select(store, table, "small, v") == [(44, 3)]


def test_one_entry_dictionaries_go_into_any_column(store, table):
    def constant(value, kind) -> pa.Array:
        codes = pa.array(np.zeros(2, dtype=np.int8))
        return pa.DictionaryArray.from_arrays(codes, pa.array([value], kind))

    insert(store, table, k=[0, 2], v=constant(5, pa.int64()), s=constant("x", pa.string()),
           at=constant(1_700_000_000_123, pa.timestamp("ms", "UTC")))  # fmt: skip
    what = "v, s, toUnixTimestamp64Milli(at)"
    assert select(store, table, what) == [(5, "x", 1_700_000_000_123)] * 2


def test_unknown_column_is_an_error(store, table):
    with pytest.raises(Exception, match=r"\b16\b|NO_SUCH_COLUMN"):
        insert(store, table, k=[0], nope=[1])


def test_add_column_is_content_with_another_type(store, table):
    store.client.command(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS f Int64")
    found = store.client.query(f"DESCRIBE TABLE {table}").result_rows
    assert {row[0]: row[1] for row in found}["f"] == "Nullable(Float64)"


def test_token_counts_for_each_partition(store, table):
    insert(store, table, "t", k=[0, 1, 2, 3])
    insert(store, table, "t", k=[0, 1, 2, 3])
    assert select(store, table) == [(4,)]
