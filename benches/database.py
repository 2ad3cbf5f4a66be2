"""One embedded database for a process: the engine opens one path at a time."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

if TYPE_CHECKING:
    from rangebar_enrich.clickhouse import BarStore

DATABASE = "bench"


@cache
def open_store() -> BarStore:
    """Return a store on disk that goes when the process ends."""
    from rangebar_enrich.clickhouse import BarStore

    folder = tempfile.mkdtemp(prefix="rangebar-bench-")
    store = BarStore.connect(f"chdb://{folder}/db", table=f"{DATABASE}.bars")
    store.ensure_table()

    def remove() -> None:
        store.close()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return store


def make_plain_table(name: str, schema: pa.Schema, features: Sequence[str], kind: str) -> str:
    """Make a table as the older pipeline has it, with features of type `kind`; return its name."""
    types: Mapping[Any, str] = {
        pa.float64(): "Float64",
        pa.int64(): "Int64",
        pa.uint32(): "UInt32",
    }
    columns = [
        f"`{field.name}` {kind if field.name in features else types[field.type]}"
        for field in schema
    ]
    table = f"{DATABASE}.{name}"
    client = open_store().client
    client.command(f"DROP TABLE IF EXISTS {table}")
    client.command(
        f"CREATE TABLE {table} ({', '.join(columns)}) ENGINE = MergeTree ORDER BY close_time"
    )
    return table


def empty(table: str) -> None:
    """Remove all rows, and with them what deduplication remembers."""
    open_store().client.command(f"TRUNCATE TABLE {table}")


def read_back(table: str, columns: Sequence[str], order: str) -> pl.DataFrame:
    """Return stored columns in time order."""
    names = ", ".join(f"`{column}`" for column in columns)
    sql = f"SELECT {names} FROM {table} ORDER BY {order}"  # noqa: S608 - names of our own
    return pl.DataFrame(open_store().client.query_arrow(sql))
