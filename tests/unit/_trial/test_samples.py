from __future__ import annotations

import polars as pl
import pytest

from rangebar_enrich._bars.columns import BUILDER_COLUMNS
from rangebar_enrich._trial.columns import known_dtype
from rangebar_enrich._trial.samples import Recipe, clocks_of, make_bars, with_holes
from rangebar_enrich._trial.shapes import MARKET, ODD, at_level

LAYOUT = {
    **BUILDER_COLUMNS,
    "timestamp": pl.Datetime("us", "UTC"),
    "close_time_ms": pl.Int64(),
    "t": pl.Int64(),
    "index": pl.UInt32(),
    "day": pl.Date(),
    "date": pl.Date(),
    "mood": pl.String(),
    "symbol": pl.String(),
    "k": pl.Int8(),
}
RECIPE = Recipe(LAYOUT, clocks_of(LAYOUT))
CLOCKS = {"open_time", "close_time", "timestamp", "close_time_ms", "t", "index", "day", "date"} | {
    "first_trade_id",
    "last_trade_id",
}
SHAPES = [*MARKET.values(), *ODD.values()]


@pytest.fixture(params=SHAPES, ids=lambda shape: shape.name)
def shape(request):
    return request.param


def test_clocks_are_recognised():
    assert RECIPE.clocks == CLOCKS


def test_clocks_increase_strictly(shape):
    bars = make_bars(shape, 200, 3, RECIPE)

    for name in CLOCKS:
        assert bars[name].null_count() == 0
        assert bars[name].to_physical().diff().drop_nulls().min() > 0, name


def test_dtypes_are_as_asked(shape):
    assert dict(make_bars(shape, 64, 0, RECIPE).schema) == LAYOUT


def test_high_and_low_enclose_the_bar(shape):
    bars = make_bars(shape, 200, 3, RECIPE).drop_nulls(["open", "high", "low", "close"])

    assert (bars["high"] >= bars.select(pl.max_horizontal("open", "close")).to_series()).all()
    assert (bars["low"] <= bars.select(pl.min_horizontal("open", "close")).to_series()).all()


def test_no_value_is_nan(shape):
    bars = make_bars(shape, 200, 3, RECIPE)

    assert not any(series.is_nan().any() for series in bars if series.dtype.is_float())


@pytest.mark.parametrize("name", MARKET)
def test_market_has_volume(name):
    assert (make_bars(MARKET[name], 200, 3, RECIPE)["volume"] > 0).all()


def test_bars_have_the_builders_columns(real_batch):
    batch = pl.DataFrame(real_batch(250))

    assert dict(batch.schema) == dict(BUILDER_COLUMNS)


@pytest.mark.parametrize(
    "name", [*BUILDER_COLUMNS, "timestamp", "exchange_session_tokyo", "symbol"]
)
def test_known_column_has_its_dtype(name):
    made = make_bars(MARKET["walk"], 8, 0, Recipe({name: known_dtype(name)}))

    assert made.schema[name] == known_dtype(name)
    assert made[name].null_count() == 0


def test_shapes_are_odd_in_different_ways():
    close = {shape.name: make_bars(shape, 64, 0, RECIPE)["close"] for shape in SHAPES}

    assert close["ties"].n_unique() <= 5
    assert close["holes"].null_count() > 5
    assert close["first row highest"].arg_max() == 0
    assert close["late extremes"].arg_max() > 48
    assert close["signed"].min() < 0 < close["signed"].max()
    assert make_bars(MARKET["gaps"], 64, 0, RECIPE)["close_time"].diff().max() > 86_400_000_000
    monotone = [name for name, one in close.items() if one.drop_nulls().is_sorted()]
    assert monotone == ["rising", "constant"]


def test_seed_gives_one_table(shape):
    one, again = (make_bars(shape, 64, 0, RECIPE) for _ in range(2))

    assert one.equals(again)
    assert not one.equals(make_bars(shape, 64, 1, RECIPE))


def test_column_is_the_same_whatever_else_is_there(shape):
    few = Recipe({"close": pl.Float64(), "mood": pl.String()})

    assert make_bars(shape, 64, 5, few).equals(make_bars(shape, 64, 5, RECIPE)[["close", "mood"]])


def test_scales_of_price_and_volume():
    bars = make_bars(MARKET["walk"], 64, 0, RECIPE, price=5e4, volume=1e6)

    assert 4e4 < bars["close"].min() < bars["close"].max() < 6e4
    assert bars["volume"].min() > 1e5


@pytest.mark.parametrize("level", [-7.0, 0.0, 0.01, 1e6])
def test_at_level_lies_on_both_sides(level):
    close = make_bars(at_level(level), 100, 0, RECIPE)["close"]

    assert close.min() < level < close.max()


def test_given_bars_lend_columns_that_nobody_knows():
    given = pl.DataFrame({"mood": ["glad", "sad"]})

    made = make_bars(MARKET["walk"], 50, 0, Recipe({"mood": pl.String()}, given=given))

    assert set(made["mood"]) == {"glad", "sad"}


def test_holes_are_null_or_nan():
    bars = make_bars(MARKET["walk"], 300, 0, RECIPE)

    nulls = with_holes(bars, ["close"], 0)
    both = with_holes(bars, ["close"], 0, nan=True)

    assert 20 < nulls["close"].null_count() < 100
    assert nulls["close"].is_null().rle().struct.field("len").max() > 3
    assert both["close"].is_nan().sum() > 10
    assert both["open"].equals(bars["open"])
