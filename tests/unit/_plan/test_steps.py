"""A legacy provider sees what native ones made, behind every context."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pytest

import rangebar_enrich as rbe

KEY = {"symbol": "SIM", "threshold_decimal_bps": 250}


def _highest(bars):
    bars["highest_a"] = bars["mean_a"].rolling(3).max()
    return bars


@pytest.fixture(params=[None, ("mean_a",)], ids=["all", "required"])
def enricher(request, native, legacy):
    mean = native("mean", {"mean_a": pl.col("close").rolling_mean(5)}, min_bars=4)
    after = native("after", {"after_a": pl.col("highest_a").rolling_sum(2)}, min_bars=7)
    highest = legacy("highest", ["highest_a"], _highest, min_bars=6, lookback=7)
    highest.requires = request.param
    return rbe.Enricher([mean, highest, after])


def test_pushes_show_native_windows_to_legacy_providers(enricher, bars):
    expected = enricher.run(bars, **KEY).table.slice(80)
    live = enricher.live(history=bars.slice(0, 80), history_is_complete=True, **KEY)

    actual = pa.concat_tables([live.push(bars.slice(row, 1)) for row in range(80, 120)])

    assert actual.select(expected.column_names).equals(expected)


def test_history_shows_native_windows_to_legacy_providers(enricher, bars):
    expected = enricher.run(bars, **KEY).table.slice(80)

    actual = enricher.run(bars.slice(80), history=bars.slice(0, 80), **KEY)

    assert not actual.failed
    assert actual.table.equals(expected)
