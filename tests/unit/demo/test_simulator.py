from __future__ import annotations

import polars as pl
import pytest
from corpus.tried import tried
from hypothesis import given
from hypothesis import strategies as st

from rangebar_enrich.demo.simulator import START_MS, simulate_trades
from rangebar_enrich.demo.trades import TRADE_SCHEMA, iter_checked_trades


@pytest.fixture(scope="module")
def week() -> pl.DataFrame:
    return pl.DataFrame(simulate_trades(120_000, seed=3))


def test_simulate_trades_repeats_with_its_seed():
    assert simulate_trades(5_000, seed=1).equals(simulate_trades(5_000, seed=1))


def test_simulate_trades_differs_between_seeds():
    prices = [simulate_trades(5_000, seed=seed).column("price") for seed in (1, 2)]
    assert not prices[0].equals(prices[1])


@tried(30, 60)
@given(count=st.integers(1, 3_000), seed=st.integers(0, 2**32 - 1))
def test_simulate_trades_obeys_the_checks(count, seed):
    trades = simulate_trades(count, seed=seed)
    checked = list(iter_checked_trades(trades.to_batches(max_chunksize=700)))
    assert trades.schema == TRADE_SCHEMA
    assert sum(batch.num_rows for batch in checked) == count
    assert trades.column("timestamp")[0].as_py() == START_MS


def test_simulate_trades_number_ids_without_holes(week):
    assert week["agg_trade_id"].to_list() == list(range(1, week.height + 1))
    assert (week["first_trade_id"][1:] == week["last_trade_id"][:-1] + 1).all()


def test_simulate_trades_share_milliseconds_in_bursts(week):
    assert 0.15 < (week["timestamp"].diff() == 0).mean() < 0.5


def test_simulate_trades_of_one_sweep_keep_side_and_walk(week):
    sweep = week.with_columns(
        step=pl.col("price").diff(),
        same=(pl.col("timestamp").diff() == 0)
        & (pl.col("is_buyer_maker") == pl.col("is_buyer_maker").shift()),
    ).filter("same")
    against = sweep.filter(
        pl.when("is_buyer_maker").then(pl.col("step") > 0).otherwise(pl.col("step") < 0)
    )
    # Two orders of one side may fall into one millisecond; within an order it can't happen.
    assert against.height < 0.2 * sweep.height


def test_simulate_trades_have_persistent_two_sided_flow(week):
    sells = week["is_buyer_maker"]
    assert 0.45 < sells.mean() < 0.55
    assert (sells == sells.shift()).mean() > 0.75


def test_simulate_trades_have_gaps(week):
    waits_minutes = week["timestamp"].diff().drop_nulls() / 60_000
    assert 1 <= (waits_minutes > 10).sum() <= 4


def test_simulate_trades_change_their_volatility(week):
    size = week.height // 10
    per_tenth = [
        week["price"].slice(start, size).log().diff().std() for start in range(0, size * 10, size)
    ]
    assert max(per_tenth) > 2 * min(per_tenth)


def test_simulate_trades_spread_quantities_over_five_decades(week):
    assert week["quantity"].max() / week["quantity"].min() > 1e5
