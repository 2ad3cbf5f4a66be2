from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import rangebar_enrich as rbe
from rangebar_enrich.errors import CompileError

pd = pytest.importorskip("pandas")


class Both(rbe.ExpressionProvider):
    name = "both"
    version = "1.0.0"
    columns = ("both_mean", "both_up")
    min_bars = 5

    def expressions(self, context):
        yield pl.col("close").rolling_mean(5).alias("both_mean")
        yield (pl.col("close") > pl.col("open")).alias("both_up")


class Empty(rbe.ExpressionProvider):
    name, version, columns, min_bars = "empty", "1", ("empty_a",), 0


def test_one_class_serves_both_loaders(bars):
    frame = bars.to_pandas()
    expected = rbe.enrich_bars(bars, "XRPETH", 50, providers=[Both()])

    enriched = Both().enrich(frame, "XRPETH", 50)

    assert enriched is frame
    for column in Both.columns:
        np.testing.assert_array_equal(frame[column].to_numpy(), expected[column].to_numpy())


def test_older_loader_may_shout_and_index_by_time(bars):
    frame = bars.to_pandas()
    shouted = frame[["open", "high", "low", "close", "volume"]].rename(columns=str.capitalize)
    shouted.index = pd.DatetimeIndex(pd.to_datetime(frame["close_time"], unit="us", utc=True))

    Both().enrich(shouted, "", 0)

    expected = rbe.enrich_bars(bars, providers=[Both()])
    np.testing.assert_array_equal(shouted["both_mean"].to_numpy(), expected["both_mean"].to_numpy())


def test_older_loader_is_idempotent(bars):
    once = Both().enrich(bars.to_pandas(), "", 0)
    twice = Both().enrich(once.copy(), "", 0)

    pd.testing.assert_frame_equal(once, twice)


def test_no_bars_come_back_untouched(bars):
    frame = bars.slice(0, 0).to_pandas()

    assert Both().enrich(frame, "", 0) is frame
    assert list(frame.columns) == bars.column_names


def test_failure_raises_as_the_older_loader_expects(bars):
    frame = bars.to_pandas().drop(columns="open")

    with pytest.raises(CompileError, match=r"'both_up': reads unknown column 'open'"):
        Both().enrich(frame, "", 0)

    assert "both_mean" not in frame.columns


def test_expressions_must_be_written(bars):
    with pytest.raises(NotImplementedError, match=r"Empty must define expressions\(context\)"):
        Empty().expressions(rbe.BarContext())
    with pytest.raises(CompileError, match=r"NotImplementedError: Empty must define"):
        Empty().enrich(bars.to_pandas(), "", 0)
