"""W: write bars with features. E: the builder's Arrow to features to ClickHouse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import polars as pl
import pyarrow as pa

from benches import database
from benches.bars import SYMBOL, THRESHOLD, make_bars
from benches.contest import OURS, Contender, Contest, Workload
from benches.exact.arithmetic import Bars
from benches.exact.indicators import indicators
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


def _stored(table: str, names: Sequence[str]) -> Callable[[Any], pl.DataFrame]:
    return lambda _: database.read_back(table, names)


def as_rows(frame: Any) -> Any:
    """Bring a DataFrame under the names of the bar table, as the older pipeline does."""
    for name in ("open_time", "close_time"):
        frame[f"{name}_ms"] = frame.pop(name) // 1000
    frame["symbol"] = SYMBOL
    frame["threshold_decimal_bps"] = THRESHOLD
    return frame


def make_write(rows: int) -> Contest:
    names = Indicators().columns
    result = Enricher([Indicators()]).run(_narrow(rows))
    store = database.open_store()

    def ours(_: Any) -> Any:
        return store.write(result)

    return Contest(
        rows,
        [
            Contender(OURS, ours, _emptied(store.table), _stored(store.table, names)),
            _bare(lambda: ours(None), names),
            *(
                _insert_df(label, kind, result.table, names)
                for label, kind in ((NULLABLE, "Nullable(Float64)"), (PLAIN, "Float64"))
            ),
        ],
        exact=indicators(Bars(pl.DataFrame(_narrow(rows)))),
        scales=scales(pl.DataFrame(_narrow(rows))),
    )


def _bare(write: Callable[[], Any], names: Sequence[str]) -> Contender:
    """Return inserts of the very chunks that `write` sends, with its settings and nothing else."""
    store = database.open_store()
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

    return Contender(BARE, again, _emptied(store.table), _stored(store.table, names))


def _insert_df(label: str, kind: str, bars: pa.Table, names: Sequence[str]) -> Contender:
    table = database.make_bar_table(_identifier(f"write_{kind}"), names, kind)
    client = database.open_store().client

    @cache
    def rows() -> Any:
        return as_rows(bars.to_pandas())

    return Contender(
        label,
        lambda frame: client.insert_df(table, frame),
        _emptied(table, rows),
        _stored(table, names),
    )


def make_end_to_end(rows: int) -> Contest:
    bars = _narrow(rows)
    provider = Indicators()
    names = provider.columns
    enricher = Enricher([provider])
    store = database.open_store()
    return Contest(
        rows,
        [
            Contender(
                OURS,
                lambda _: store.write(enricher.run(bars)),
                _emptied(store.table),
                _stored(store.table, names),
            ),
            _flat_pipeline(bars, provider),
            *(
                _pandas_pipeline(label, kind, bars, names)
                for label, kind in ((NULLABLE, "Nullable(Float64)"), (PLAIN, "Float64"))
            ),
        ],
        exact=indicators(Bars(pl.DataFrame(bars))),
        scales=scales(pl.DataFrame(bars)),
    )


def _flat_pipeline(bars: pa.Table, provider: Indicators) -> Contender:
    names, exprs = provider.columns, flat_expressions(provider)
    table = database.make_bar_table("flat", names, "Nullable(Float64)")
    client = database.open_store().client
    stamps = [
        *(pl.col(name).floordiv(1000).alias(f"{name}_ms") for name in ("open_time", "close_time")),
        pl.lit(SYMBOL).alias("symbol"),
        pl.lit(THRESHOLD, pl.UInt32).alias("threshold_decimal_bps"),
    ]

    def run(_: Any) -> None:
        plan = flat_plan(pl.DataFrame(bars), exprs, names).with_columns(stamps)
        rows = plan.drop("open_time", "close_time").collect(engine="in-memory").to_arrow()
        for start in range(0, rows.num_rows, _CHUNK):
            client.insert_arrow(table, rows.slice(start, _CHUNK), settings=_FAST_INSERT)

    return Contender("flat", run, _emptied(table), _stored(table, names))


def _pandas_pipeline(label: str, kind: str, bars: pa.Table, names: Sequence[str]) -> Contender:
    table = database.make_bar_table(_identifier(f"pipeline_{kind}"), names, kind)
    client = database.open_store().client

    def run(_: Any) -> None:
        client.insert_df(table, as_rows(enrich_pandas_naive(bars.to_pandas())))

    return Contender(label, run, _emptied(table), _stored(table, names))


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
