"""What a trade table is: names, units, and the checks that the Rust builder does not make.

The builder takes any dict: a NaN price, a negative one or a trade out of order makes a wrong
bar and no error. So trades are brought to one schema and checked here, batch by batch, and the
first bad row is named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rangebar_enrich.errors import TradesError, message

TRADE_SCHEMA = pa.schema(
    [
        ("agg_trade_id", pa.int64()),
        ("price", pa.float64()),
        ("quantity", pa.float64()),
        ("first_trade_id", pa.int64()),
        ("last_trade_id", pa.int64()),
        ("timestamp", pa.int64()),
        ("is_buyer_maker", pa.bool_()),
    ]
)
"""Aggregated trades, oldest first; `timestamp` in ms since 1970 UTC."""

BINANCE_ORDER = (*TRADE_SCHEMA.names, "is_best_match")
"""Order of the columns in an aggTrades CSV without a header; futures files lack the last."""

_NEEDED = ("price", "quantity", "timestamp", "is_buyer_maker")
_SPELLINGS = {
    "agg_trade_id": ("aggtradeid", "aggregate_tradeid", "aggregate_trade_id", "a"),
    "price": ("p",),
    "quantity": ("qty", "q"),
    "first_trade_id": ("firsttradeid", "first_tradeid", "f"),
    "last_trade_id": ("lasttradeid", "last_tradeid", "l"),
    "timestamp": ("transact_time", "time", "timestamp_ms", "t"),
    "is_buyer_maker": ("isbuyermaker", "was_the_buyer_the_maker", "m"),
}
_KNOWN = {spelling: name for name, others in _SPELLINGS.items() for spelling in (name, *others)}
_LARGEST = 9.2e10  # the builder computes in fixed point, 8 decimals in 64 bits
_MS_FROM, _MS_TO = 10**11, 10**14  # 1973 to 5138; above are µs, then ns


def name_trade_columns(names: Iterable[str]) -> dict[str, str]:
    """Return spelling → our name for those of `names` that are trade columns.

    Raises:
        TradesError: A needed column is absent, or two columns mean the same.
    """
    spelled: dict[str, list[str]] = {}
    given = list(names)
    for name in given:
        # In the API's one-letter names `m` is buyer-is-maker and `M` is best-match.
        plain = "" if name == "M" else re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        if plain in _KNOWN:
            spelled.setdefault(_KNOWN[plain], []).append(name)
    absent = [name for name in _NEEDED if name not in spelled]
    if absent:
        head = f"Trades lack {len(absent)} needed column(s): {', '.join(absent)}."
        hint = f"name them {', '.join(_NEEDED)}, or as Binance's aggTrades files do."
        raise TradesError(message(head, [f"the columns are: {', '.join(given)}"], hint))
    doubled = [f"{name!r}: {', '.join(who)}" for name, who in spelled.items() if len(who) > 1]
    if doubled:
        msg = message("Several columns of the trades mean the same:", doubled, "keep one of each.")
        raise TradesError(msg)
    return {who[0]: name for name, who in spelled.items()}


def iter_checked_trades(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield `batches` in `TRADE_SCHEMA`, each checked against the rules and its predecessor.

    Absent ids are numbered. Times are read as ms, µs or ns by their size, or from a timestamp
    type, and cut to ms: that is what the builder takes.

    Raises:
        TradesError: Naming the first bad row: a null, a price or quantity that is not a
            positive number the builder can hold, a time out of range or out of order.
    """
    rows_before, last_ms = 0, _MS_FROM
    for batch in batches:
        if batch.num_rows == 0:
            continue
        trades = _to_schema(batch, rows_before)
        _validate(trades, rows_before, last_ms)
        rows_before += trades.num_rows
        last_ms = trades.column("timestamp")[-1].as_py()
        yield trades


def _to_schema(batch: pa.RecordBatch, rows_before: int) -> pa.RecordBatch:
    if batch.schema.equals(TRADE_SCHEMA) and (batch.column("timestamp")[0].as_py() or 0) < _MS_TO:
        return batch
    ours = name_trade_columns(batch.schema.names)
    columns = {name: batch.column(spelling) for spelling, name in ours.items()}
    columns["timestamp"] = _to_ms(columns["timestamp"])
    numbers = pa.array(range(rows_before + 1, rows_before + batch.num_rows + 1))
    ids = columns.setdefault("agg_trade_id", numbers)
    columns.setdefault("first_trade_id", ids)
    columns.setdefault("last_trade_id", ids)
    return pa.record_batch([_cast(columns, field) for field in TRADE_SCHEMA], schema=TRADE_SCHEMA)


def _cast(columns: Mapping[str, pa.Array], field: pa.Field) -> pa.Array:
    column = columns[field.name]
    try:
        return column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as cause:
        head = f"Trade column {field.name!r} of type {column.type} is no {field.type}: {cause}"
        raise TradesError(message(head)) from cause


def _to_ms(times: pa.Array) -> pa.Array:
    """Return integer times as ms, judged by the size of the first; timestamps as ms."""
    if pa.types.is_timestamp(times.type):
        return times.cast(pa.timestamp("ms", times.type.tz), safe=False).cast(pa.int64())
    times = _cast({"timestamp": times}, TRADE_SCHEMA.field("timestamp"))
    first = times[0].as_py() or 0
    units = 1 if first < _MS_TO else 1_000 if first < _MS_TO * 1_000 else 1_000_000
    return times if units == 1 else pc.divide(times, units)


def _validate(trades: pa.RecordBatch, rows_before: int, last_ms: int) -> None:
    for name in TRADE_SCHEMA.names:
        column = trades.column(name)
        if column.null_count:
            _refuse(pc.is_null(column), rows_before, column, f"{name!r} is null")
    for name in ("price", "quantity"):
        column = trades.column(name)
        good = pc.and_(pc.greater(column, 0.0), pc.less(column, _LARGEST))
        what = f"{name!r} must be a number above 0 and below {_LARGEST:.3g}"
        _refuse(pc.invert(good), rows_before, column, what)
    times = trades.column("timestamp")
    out = pc.or_(pc.less(times, _MS_FROM), pc.greater_equal(times, _MS_TO))
    what = "'timestamp' is no time in ms, µs or ns since 1970 (seconds are not understood)"
    _refuse(out, rows_before, times, what)
    before = pa.concat_arrays([pa.array([last_ms], pa.int64()), times[:-1]])
    what = "trades are out of time order; this one is earlier than the one before it"
    _refuse(pc.less(times, before), rows_before, times, what)


def _refuse(bad: Any, rows_before: int, column: pa.Array, what: str) -> None:
    """Raise for the first true value of `bad`, if there is one."""
    index = pc.index(bad, value=True).as_py()
    if index < 0:
        return
    head = f"Trades refused at row {rows_before + index} (counted from 0): {what}"
    raise TradesError(message(head, [f"got {column[index].as_py()!r}"]))
