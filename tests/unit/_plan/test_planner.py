from __future__ import annotations

import polars as pl
import pytest
from polars.plugins import register_plugin_function

import rangebar_enrich as rbe
from rangebar_enrich._plan import passes
from rangebar_enrich._plan import planner as planner_module
from rangebar_enrich._plan.planner import Planner
from rangebar_enrich._plan.provider import CompiledProvider
from rangebar_enrich._provider.declaration import declare, declare_all


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


def _symbols(count):
    rows = [
        {"symbol": f"S{i}", "close": float(i + k), "close_time": 10**15 + k}
        for i in range(count)
        for k in range(3)
    ]
    return pl.DataFrame(rows)


def _doubled(values):
    return values * 2


def test_same_function_is_compiled_once_for_all_symbols(native, monkeypatch):
    compiled = []
    monkeypatch.setattr(
        passes, "PASSES", (lambda plan: compiled.append(plan) or plan, *passes.PASSES)
    )
    made = lambda _: {"p_a": pl.col("close").map_batches(_doubled, return_dtype=pl.Float64)}  # noqa: E731
    provider = native("p", made, columns=("p_a",))

    table = rbe.Enricher([provider]).run(_symbols(30)).table

    assert table["p_a"].to_pylist() == [2 * value for value in table["close"].to_pylist()]
    assert (len(provider.contexts), len(compiled)) == (30, 1)


def test_another_function_or_another_value_in_it_is_another_plan(native):
    def scaled(context):
        factor = int(context.symbol[1:])
        return {"p_a": pl.col("close").map_batches(lambda s: s * factor, return_dtype=pl.Float64)}

    table = rbe.Enricher([native("p", scaled, columns=("p_a",))]).run(_symbols(4)).table

    factors = [int(symbol[1:]) for symbol in table["symbol"].to_pylist()]
    closes = table["close"].to_pylist()
    assert table["p_a"].to_pylist() == [a * b for a, b in zip(factors, closes, strict=True)]


@pytest.mark.parametrize(("window", "is_equal"), [(5, True), (6, False)])
def test_plugin_expressions_are_compared_by_what_they_say(window, is_equal, native, tmp_path):
    def plugin(window):
        library = tmp_path / "plugin.so"
        library.touch()
        return register_plugin_function(
            plugin_path=library, function_name="ema", args=["close"], kwargs={"window": window}
        )

    made = CompiledProvider(
        declare(native("p", {"p_a": plugin(5)})), {"p_a": plugin(5)}, {"p_a": b""}, frozenset()
    )

    assert made.has_exprs({"p_a": plugin(window)}) is is_equal


def test_full_cache_forgets_the_oldest_plan(native, monkeypatch):
    monkeypatch.setattr(planner_module, "_MOST_PLANS", 3)
    provider = native("p", lambda context: {"p_a": pl.lit(len(context.symbol))}, columns=("p_a",))
    planner = Planner(declare_all([provider])[0])
    layout = (("close", pl.Float64()),)

    for symbol in ("A", "BB", "CCC", "DDDD", "CCC", "BB", "A"):
        planner.plan(layout, symbol, None)

    assert [one.symbol for one in provider.contexts] == ["A", "BB", "CCC", "DDDD", "A"]
