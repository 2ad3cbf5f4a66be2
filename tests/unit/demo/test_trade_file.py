from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest

from rangebar_enrich.demo.simulator import simulate_trades
from rangebar_enrich.demo.trade_file import guess_symbol, iter_trade_file
from rangebar_enrich.demo.trades import TRADE_SCHEMA
from rangebar_enrich.errors import TradesError


def read(path):
    return pa.Table.from_batches(iter_trade_file(path), schema=TRADE_SCHEMA)


@pytest.fixture(scope="module")
def expected() -> pa.Table:
    return simulate_trades(60_000, seed=5)


def test_trade_file_reads_parquet_in_batches(expected, tmp_path):
    path = tmp_path / "trades.parquet"
    pq.write_table(expected.append_column("more", pa.nulls(expected.num_rows)), path)
    batches = list(iter_trade_file(path))
    assert len(batches) > 1
    assert pa.Table.from_batches(batches).equals(expected)


def test_trade_file_reads_csv_with_header(expected, tmp_path):
    path = tmp_path / "trades.csv"
    arrow_csv.write_csv(expected, path)
    assert read(path).equals(expected)


def test_trade_file_reads_binance_csv_without_header(expected, tmp_path):
    path = tmp_path / "BTCUSDT-aggTrades-2024-01-08.csv"
    best = expected.append_column("best", pa.array([True] * expected.num_rows))
    arrow_csv.write_csv(best, path, arrow_csv.WriteOptions(include_header=False))
    text = path.read_text().replace("true", "True").replace("false", "False")
    path.write_text(text)
    assert read(path).equals(expected)


def test_trade_file_reads_gzipped_csv(expected, tmp_path):
    plain, path = tmp_path / "t.csv", tmp_path / "t.csv.gz"
    arrow_csv.write_csv(expected, plain)
    path.write_bytes(gzip.compress(plain.read_bytes()))
    assert read(path).equals(expected)


def test_trade_file_reads_iso_times_and_whole_prices(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        "price,qty,time,isBuyerMaker\n"
        "10,1,2024-01-08 00:00:00.001,true\n"
        "10.5,0.1,2024-01-08 00:00:00.002,false\n"
    )
    actual = read(path)
    assert actual.column("timestamp").to_pylist() == [1_704_672_000_001, 1_704_672_000_002]
    assert actual.column("price").to_pylist() == [10.0, 10.5]


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("t.csv", "", "There is no trade in 't.csv'"),
        ("t.csv", "price,quantity,timestamp,is_buyer_maker\n", "There is no trade in 't.csv'"),
        ("t.csv", "1,2,3\n4,5,6\n", "no header and 3 columns"),
        ("t.csv", "open,high,low\n1,2,3\n", "lack 4 needed"),
        ("t.csv", "p,q,T,m\n1.0,1.0,1570752011620,true\nx,1.0,1570752011620,true\n", "Cannot read"),
        ("t.parquet", "not parquet", "Cannot read trades from 't.parquet'"),
        ("t.json", "{}", "The ending of 't.json'"),
    ],
    ids=["empty", "header-only", "no-header", "bars", "bad-number", "corrupt", "ending"],
)
def test_trade_file_refuses_what_it_cannot_read(tmp_path, name, text, match):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(TradesError, match=match):
        read(path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("BTCUSDT-aggTrades-2024-01.csv", "BTCUSDT"),
        ("xrpeth-aggtrades-2019-10-11.parquet", "XRPETH"),
        ("trades.parquet", None),
        ("my trades-1.csv", None),
    ],
)
def test_guess_symbol_reads_file_names(name, expected):
    assert guess_symbol(Path(name)) == expected
