"""W: write bars with features. E: the builder's Arrow to features to ClickHouse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pyarrow as pa

from benches import database
from benches.bars import make_bars
from benches.contest import OURS, Contender, Contest, Workload
from benches.indicators import Indicators, enrich_pandas_naive, flat_expressions, scales
from benches.workloads.indicators import flat_plan
from rangebar_enrich import Enricher

BARE = "insert_arrow"
NULLABLE, PLAIN = "pandas Nullable", "pandas Float64"
_BAR_COLUMNS = ("open_time", "close_time", "open", "high", "low", "close", "volume")
_FAST_INSERT = {"optimize_on_insert": 0, "async_insert": 0}
_CHUNK = 250_000


def _narrow(rows: int) -> pa.Table:
    return make_bars(rows).select(_BAR_COLUMNS)


def _emptied(table: str, then: Callable[[], Any] | None = None) -> Callable[[], Any]:
    def prepare() -> Any:
        database.empty(table)
        return then() if then else None

    return prepare


def _stored(table: str, names: tuple[str, ...], order: str) -> Callable[[Any], pl.DataFrame]:
    return lambda _: database.read_back(table, names, order)


def make_write(rows: int) -> Contest:
    names = Indicators().columns
    result = Enricher([Indicators()]).run(_narrow(rows))
    table = result.table
    store = database.open_store()

    def ours(_: Any) -> Any:
        return store.write(result)

    def as_pandas() -> Any:
        return table.to_pandas()

    return Contest(
        rows,
        [
            Contender(
                OURS, ours, _emptied(store.table), _stored(store.table, names, "close_time_ms")
            ),
            _bare(lambda: ours(None), names),
            *(
                _insert_df(label, kind, table.schema, names, as_pandas)
                for label, kind in ((NULLABLE, "Nullable(Float64)"), (PLAIN, "Float64"))
            ),
        ],
    )


def _bare(write: Callable[[], Any], names: tuple[str, ...]) -> Contender:
    """Return inserts of the very chunks that `write` sends, with its settings and nothing else."""
    store = database.open_store()
    store.ensure_table()
    client = store.client
    sent: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    insert = client.insert_arrow

    def record(*args: Any, **kwargs: Any) -> Any:
        sent.append((args, kwargs))
        return insert(*args, **kwargs)

    client.insert_arrow = record
    try:
        write()
    finally:
        del client.insert_arrow
    if not sent:
        msg = "the store does not write through the client's insert_arrow"
        raise AssertionError(msg)

    def again(_: Any) -> None:
        for args, kwargs in sent:
            client.insert_arrow(*args, **kwargs)

    return Contender(
        BARE, again, _emptied(store.table), _stored(store.table, names, "close_time_ms")
    )


def _insert_df(
    label: str,
    kind: str,
    schema: pa.Schema,
    names: tuple[str, ...],
    make: Callable[[], Any],
) -> Contender:
    table = database.make_plain_table(_identifier(f"write_{kind}"), schema, names, kind)
    client = database.open_store().client
    frames: list[Any] = []

    def prepare() -> Any:
        if not frames:
            frames.append(make())
        return frames[0]

    return Contender(
        label,
        lambda frame: client.insert_df(table, frame),
        _emptied(table, prepare),
        _stored(table, names, "close_time"),
    )


def make_end_to_end(rows: int) -> Contest:
    bars = _narrow(rows)
    provider = Indicators()
    names = provider.columns
    enricher = Enricher([provider])
    store = database.open_store()
    made = enricher.run(bars.slice(0, 1)).table.schema

    return Contest(
        rows,
        [
            Contender(
                OURS,
                lambda _: store.write(enricher.run(bars)),
                _emptied(store.table),
                _stored(store.table, names, "close_time_ms"),
            ),
            _flat_pipeline(bars, made, provider),
            *(
                _pandas_pipeline(label, kind, bars, made, names)
                for label, kind in ((NULLABLE, "Nullable(Float64)"), (PLAIN, "Float64"))
            ),
        ],
        scales=scales(pl.DataFrame(bars)),
    )


def _flat_pipeline(bars: pa.Table, schema: pa.Schema, provider: Indicators) -> Contender:
    names, exprs = provider.columns, flat_expressions(provider)
    table = database.make_plain_table("flat", schema, names, "Nullable(Float64)")
    client = database.open_store().client

    def run(_: Any) -> None:
        frame = pl.DataFrame(bars)
        enriched = flat_plan(frame, exprs, names).collect(engine="in-memory").to_arrow()
        for start in range(0, enriched.num_rows, _CHUNK):
            client.insert_arrow(table, enriched.slice(start, _CHUNK), settings=_FAST_INSERT)

    return Contender("flat", run, _emptied(table), _stored(table, names, "close_time"))


def _pandas_pipeline(
    label: str, kind: str, bars: pa.Table, schema: pa.Schema, names: tuple[str, ...]
) -> Contender:
    table = database.make_plain_table(_identifier(f"pipeline_{kind}"), schema, names, kind)
    client = database.open_store().client

    def run(_: Any) -> None:
        client.insert_df(table, enrich_pandas_naive(bars.to_pandas()))

    return Contender(label, run, _emptied(table), _stored(table, names, "close_time"))


def _identifier(text: str) -> str:
    return text.replace("(", "_").replace(")", "").lower()


WORKLOADS = (
    Workload(
        "W",
        "store-write",
        "write bars + 30 features",
        {"full": [1_000_000], "quick": [50_000], "ci": [500]},
        make_write,
        (OURS, BARE, NULLABLE, PLAIN),
        seconds=60.0,
    ),
    Workload(
        "E",
        "store-pipeline",
        "bars → 30 features → store",
        {"full": [1_000_000], "quick": [50_000], "ci": [500]},
        make_end_to_end,
        (OURS, "flat", NULLABLE, PLAIN),
        seconds=60.0,
        memory={"full": 1_000_000, "quick": 50_000},
    ),
)
