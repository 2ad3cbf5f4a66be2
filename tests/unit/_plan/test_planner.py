from __future__ import annotations

import polars as pl
import pytest

import rangebar_enrich as rbe


class Spread:
    name, version, columns, min_bars = "spread", "1", ("spread_mean", "spread_std"), 5

    def expressions(self, context):
        spread = pl.col("high") - pl.col("low")
        yield spread.rolling_mean(5).alias("spread_mean")
        yield spread.rolling_std(5).alias("spread_std")


def _collected_with(monkeypatch, bars, **options):
    """Return the engines that a run asks Polars for, and its table."""
    asked = []
    original = pl.LazyFrame.collect

    def spy(self, *args, engine="auto", **kwargs):
        asked.append(engine)
        return original(self, *args, engine=engine, **kwargs)

    enricher = rbe.Enricher([Spread()], **options)
    enricher.run(bars)
    monkeypatch.setattr(pl.LazyFrame, "collect", spy)
    table = enricher.run(bars).table
    monkeypatch.undo()
    return asked, table


@pytest.mark.parametrize(
    ("asked", "used"),
    [("auto", "in-memory"), ("in-memory", "in-memory"), ("streaming", "streaming")],
)
def test_engine_of_polars_is_the_one_asked_for(make_bars, monkeypatch, asked, used):
    engines, _ = _collected_with(monkeypatch, make_bars(300), engine=asked)
    assert engines == [used]


def test_streaming_gives_the_same_within_rounding(make_bars, monkeypatch):
    bars = make_bars(3_000)
    _, expected = _collected_with(monkeypatch, bars)
    _, actual = _collected_with(monkeypatch, bars, engine="streaming")
    for column in Spread.columns:
        got, want = pl.Series(actual[column]), pl.Series(expected[column])
        assert got.is_null().equals(want.is_null())
        assert ((got - want).abs().drop_nulls() <= 1e-9).all()


@pytest.mark.parametrize(
    ("engine", "line"),
    [("auto", "Engine: in-memory (chosen: faster"), ("streaming", "Engine: streaming (asked for)")],
)
def test_explain_says_which_engine_and_why(engine, line):
    assert line in rbe.Enricher([Spread()], engine=engine).explain()


def test_unknown_engine_is_refused():
    with pytest.raises(ValueError, match="'engine' is 'gpu'; expected 'auto', 'in-memory'"):
        rbe.Enricher([Spread()], engine="gpu")
