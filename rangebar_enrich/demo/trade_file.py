"""Read a user's file of trades in batches, so that its size does not matter."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from rangebar_enrich._bars.files import endings_text, format_of
from rangebar_enrich._bars.folders import open_bars
from rangebar_enrich.demo.trades import (
    BINANCE_ORDER,
    TRADE_SCHEMA,
    iter_checked_trades,
    name_trade_columns,
)
from rangebar_enrich.errors import TradesError, UnsupportedBarsError, message

_BATCH_ROWS = 50_000
_SNIFFED_BYTES = 65_536
_TRUE, _FALSE = ["true", "True", "TRUE", "1"], ["false", "False", "FALSE", "0"]


def iter_trade_file(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the trades of a file in `TRADE_SCHEMA`, checked, oldest first.

    Any format of `_bars.files` will do. Columns are those of `TRADE_SCHEMA` or of Binance's
    aggTrades files, CSV with or without a header, compressed or not.

    Raises:
        TradesError: The file cannot be read, holds no trade, lacks a column, or has a bad row.
    """
    read = _reader(path)
    empty = True
    try:
        for batch in iter_checked_trades(read(path)):
            empty = False
            yield batch
    except (pa.ArrowException, OSError, UnicodeDecodeError) as cause:
        raise TradesError(message(f"Cannot read trades from {path.name!r}: {cause}")) from cause
    if empty:
        raise TradesError(message(f"There is no trade in {path.name!r}."))


def guess_symbol(path: Path) -> str | None:
    """Return the symbol that a file's name starts with, as in `BTCUSDT-aggTrades-2024-01.csv`."""
    first = path.name.split(".")[0].split("-")[0].split("_")[0]
    return first.upper() if first.isascii() and first.isalnum() and "-" in path.name else None


def _reader(path: Path) -> Callable[[Path], Iterator[pa.RecordBatch]]:
    try:
        found = format_of(path)
    except UnsupportedBarsError as cause:
        head = f"The ending of {path.name!r} does not tell what kind of file it is."
        raise TradesError(message(head, hint=f"give a {endings_text()} file.")) from cause
    return _typed_batches if found.is_typed else _csv_batches


def _typed_batches(path: Path) -> Iterator[pa.RecordBatch]:
    with open_bars(path, _BATCH_ROWS) as (schema, batches):
        columns = list(name_trade_columns(schema.names))
        for batch in batches:
            yield batch.select(columns)


def _csv_batches(path: Path) -> Iterator[pa.RecordBatch]:
    from pyarrow import csv as arrow_csv

    names, has_header, first_row = _sniff(path)
    ours = name_trade_columns(names)
    types = {spelling: TRADE_SCHEMA.field(name).type for spelling, name in ours.items()}
    time_name = next(spelling for spelling, name in ours.items() if name == "timestamp")
    types[time_name] = _time_type(first_row[names.index(time_name)] if first_row else "0")
    with pa.input_stream(path, compression="detect") as stream:
        yield from arrow_csv.open_csv(
            stream,
            read_options=arrow_csv.ReadOptions(column_names=names, skip_rows=int(has_header)),
            convert_options=arrow_csv.ConvertOptions(
                column_types=types,
                include_columns=list(ours),
                true_values=_TRUE,
                false_values=_FALSE,
            ),
        )


def _sniff(path: Path) -> tuple[list[str], bool, list[str]]:
    """Return the column names, whether the first line holds them, and the first data row."""
    with pa.input_stream(path, compression="detect") as stream:
        text = bytes(stream.read(_SNIFFED_BYTES)).decode("utf-8-sig", errors="replace")
    lines = [row for row in csv.reader(text.splitlines()[:2]) if row]
    if not lines:
        raise TradesError(message(f"There is no trade in {path.name!r}."))
    first = [field.strip() for field in lines[0]]
    if not any(_is_number(field) for field in first):
        return first, True, lines[1] if len(lines) > 1 else []
    names = list(BINANCE_ORDER[: len(first)])
    if len(first) not in {7, 8}:
        head = f"{path.name!r} has no header and {len(first)} columns."
        hint = f"add a header, or bring it to Binance's order: {', '.join(BINANCE_ORDER)}."
        raise TradesError(message(head, hint=hint))
    return names, False, first


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _time_type(sample: str) -> pa.DataType:
    if sample.strip().lstrip("-").isdigit():
        return pa.int64()
    has_zone = sample.strip().endswith("Z") or "+" in sample
    return pa.timestamp("us", "UTC" if has_zone else None)
