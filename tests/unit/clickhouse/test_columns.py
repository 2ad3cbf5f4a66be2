from __future__ import annotations

import pyarrow as pa
import pytest

from rangebar_enrich._bars.columns import RESERVED
from rangebar_enrich.clickhouse.columns import BUILDER, BY_NAME, COLUMNS, NEEDED, Role

TRADES = [
    {
        "timestamp": 1_700_000_000_000 + 10 * i,
        "price": 100.0 + (i % 7) * 0.2,
        "quantity": 1.0 + i % 3,
        "is_buyer_maker": i % 2 == 0,
        "agg_trade_id": i,
        "first_trade_id": 10 * i,
        "last_trade_id": 10 * i + 9,
    }
    for i in range(400)
]


@pytest.fixture(scope="module")
def batch():
    core = pytest.importorskip("rangebar._core")
    processor = core.PyRangeBarProcessor(100, symbol="TEST")
    return pa.table(processor.process_trades_streaming_arrow(TRADES))


def test_mapping_names_every_builder_column(batch):
    assert set(batch.column_names) == set(BUILDER)


@pytest.mark.parametrize("name", BUILDER)
def test_mapping_keeps_the_type(batch, name):
    target = BY_NAME[BUILDER[name].target]
    assert batch.schema.field(name).type == target.arrow


def test_mapping_targets_are_distinct():
    targets = [rule.target for rule in BUILDER.values()]
    assert len(targets) == len(set(targets))


def test_builder_turnover_is_fixed_point(batch):
    worth = batch["vwap"].to_numpy() * batch["volume"].to_numpy()
    assert batch["turnover"].to_numpy() / 1e16 == pytest.approx(worth, rel=1e-6)


def test_builder_bars_never_share_a_close_time():
    core = pytest.importorskip("rangebar._core")
    burst = [{**trade, "timestamp": 1_700_000_000_000 + i // 50} for i, trade in enumerate(TRADES)]
    batch = pa.table(
        core.PyRangeBarProcessor(1, symbol="TEST").process_trades_streaming_arrow(burst)
    )
    times = batch["close_time"].to_numpy() // 1000
    assert len(times) > 2
    assert len(set(times.tolist())) == len(times)


def test_needed_columns_are_keys_and_prices():
    expected = "symbol threshold_decimal_bps close_time_ms open_time_ms open high low close volume"
    assert set(NEEDED) == {*expected.split(), "ouroboros_mode"}


def test_stamps_are_never_taken_from_bars():
    stamps = {column.name for column in COLUMNS if column.role is Role.STAMP}
    expected = "cache_key rangebar_version source_start_ts source_end_ts computed_at"
    assert stamps == set(expected.split())
    assert not stamps & {rule.target for rule in BUILDER.values()}


def test_no_provider_can_declare_a_column_of_the_table():
    assert BY_NAME.keys() <= RESERVED
