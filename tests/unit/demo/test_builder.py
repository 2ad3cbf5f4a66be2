from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from rangebar_enrich.demo.builder import build_bars
from rangebar_enrich.demo.simulator import simulate_trades
from rangebar_enrich.demo.trade_file import iter_trade_file
from rangebar_enrich.errors import BarsError, TradesError

pytest.importorskip("rangebar")

JANUARY_END_MS = 1_706_745_600_000


@pytest.fixture(scope="module")
def trades() -> pa.Table:
    return simulate_trades(60_000, seed=11)


def build(trades, **options):
    return build_bars(trades, symbol="SIM", **({"threshold_decimal_bps": 250} | options))


def test_build_bars_returns_the_builders_columns(trades):
    bars = build(trades)
    assert bars.num_columns == 30
    assert bars.schema.metadata == {b"symbol": b"SIM", b"threshold_decimal_bps": b"250"}
    assert all(column.null_count == 0 for column in bars.columns)


def test_build_bars_keeps_the_width_promise(trades):
    bars = build(trades)
    opened, closed = (bars.column(name).to_numpy() for name in ("open", "close"))
    assert (np.abs(closed / opened - 1) >= 0.0025 - 1e-9).all()


def test_build_bars_does_not_depend_on_batches(trades):
    whole = build(trades.to_batches(max_chunksize=60_000))
    pieces = build(trades.to_batches(max_chunksize=977))
    assert whole.equals(pieces)


def test_build_bars_equals_the_builder_in_one_call(trades):
    from rangebar._core import PyRangeBarProcessor

    processor = PyRangeBarProcessor(250, symbol="SIM")
    expected = pa.table(processor.process_trades_streaming_arrow(trades.to_pylist()))
    assert build(trades, ouroboros_mode=None).equals(expected)


def test_build_bars_start_anew_with_the_month():
    trades = simulate_trades(20_000, seed=2, start_ms=JANUARY_END_MS - 4 * 3_600_000)
    split = pc.less(trades.column("timestamp"), JANUARY_END_MS)
    parts = [build(trades.filter(mask)) for mask in (split, pc.invert(split))]
    assert parts[0].num_rows > 0
    assert build(trades).equals(pa.concat_tables(parts))
    assert not build(trades, ouroboros_mode=None).equals(build(trades))


def test_build_bars_of_few_trades_has_no_row():
    assert build(simulate_trades(1)).num_rows == 0


@pytest.mark.parametrize("threshold", [0, -1, 100_001])
def test_build_bars_refuse_a_threshold_out_of_range(trades, threshold):
    with pytest.raises(BarsError, match=f"is {threshold}; expected 1 to 100000"):
        build(trades, threshold_decimal_bps=threshold)


def test_build_bars_refuse_no_trades(trades):
    with pytest.raises(TradesError, match="There is no trade to build bars from"):
        build(trades.slice(0, 0))


def test_build_bars_refuse_a_bad_trade(trades):
    prices = pa.array([*trades.column("price").to_pylist()[:-1], float("nan")])
    broken = trades.set_column(1, trades.schema.field("price"), prices)
    with pytest.raises(TradesError, match="row 59999"):
        build(broken)


@pytest.mark.real_data
@pytest.mark.parametrize(("threshold", "rows"), [(5, 5_368), (50, 3_064), (250, 341)])
def test_build_bars_of_real_trades(real_trades, threshold, rows):
    bars = build(iter_trade_file(real_trades), threshold_decimal_bps=threshold)
    assert bars.num_rows == rows


@pytest.mark.real_data
def test_build_bars_read_batches_as_a_table(real_trades):
    assert build(iter_trade_file(real_trades)).equals(build(pq.read_table(real_trades)))
