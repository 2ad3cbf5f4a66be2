"""One embedded database for a process: the engine opens one path at a time."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from rangebar_enrich.clickhouse import BarStore

DATABASE = "bench"
_TEMPLATE = f"{DATABASE}.template"


@cache
def open_store() -> BarStore:
    """Return a store on disk that goes when the process ends."""
    from rangebar_enrich.clickhouse import BarStore

    folder = tempfile.mkdtemp(prefix="rangebar-bench-")
    store = BarStore.connect(f"chdb://{folder}/db", table=f"{DATABASE}.bars")
    store.ensure_table()
    store.client.command(f"CREATE TABLE {_TEMPLATE} AS {store.table}")

    def remove() -> None:
        store.close()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return store


def make_bar_table(name: str, features: Sequence[str], kind: str) -> str:
    """Make a bar table like the store's, with features of type `kind`; return its name."""
    table = f"{DATABASE}.{name}"
    added = ", ".join(f"ADD COLUMN `{feature}` {kind}" for feature in features)
    client = open_store().client
    client.command(f"DROP TABLE IF EXISTS {table}")
    client.command(f"CREATE TABLE {table} AS {_TEMPLATE}")
    client.command(f"ALTER TABLE {table} {added}")
    return table


def empty(table: str) -> None:
    """Remove all rows, and with them what deduplication remembers."""
    open_store().client.command(f"TRUNCATE TABLE {table}")


def read_back(table: str, columns: Sequence[str]) -> pl.DataFrame:
    """Return stored columns in time order."""
    names = ", ".join(f"`{column}`" for column in columns)
    sql = f"SELECT {names} FROM {table} ORDER BY close_time_ms"  # noqa: S608 - names of our own
    return pl.DataFrame(open_store().client.query_arrow(sql))
