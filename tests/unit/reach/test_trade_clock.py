"""A window over trade ids is a clock that a market has by itself; the engine checks that it ticks."""

from __future__ import annotations

import polars as pl

import rangebar_enrich as rbe

OVER_TRADES = {"trades_mean": pl.col("close").rolling_mean_by("last_trade_id", "100i")}


def test_window_over_trade_ids_is_computed(native, bars):
    made = rbe.Enricher([native("trades", OVER_TRADES)]).run(bars)

    expected = pl.from_arrow(bars).select(**OVER_TRADES)
    assert made.outcomes[0].status == "ok"
    assert pl.from_arrow(made.table).select("trades_mean").equals(expected)


def test_trade_ids_that_do_not_increase_fail_the_provider(native, bars):
    ids = pl.from_arrow(bars).with_columns(pl.col("last_trade_id") // 1000)

    outcome = rbe.Enricher([native("trades", OVER_TRADES)]).run(ids).outcomes[0]

    assert outcome.status == "failed"
    assert "'last_trade_id', which does not increase strictly" in outcome.error


def test_window_over_trade_ids_needs_so_many_bars_of_history(native, bars):
    enricher = rbe.Enricher([native("trades", OVER_TRADES)])
    whole = enricher.run(bars).table

    part = enricher.run(bars[110:], history=bars[:110]).table

    assert part["trades_mean"].to_pylist() == whole["trades_mean"][110:].to_pylist()
