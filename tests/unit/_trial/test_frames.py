from __future__ import annotations

import polars as pl
import pytest

from rangebar_enrich._expr import tree
from rangebar_enrich._trial.frames import STYLES, at_level, make_frame
from rangebar_enrich.reach.guess import guess_dtypes

BARS = {name: pl.Float64() for name in ("open", "high", "low", "close", "volume")}
TIMES = {
    "close_time": pl.Int64(),
    "timestamp": pl.Datetime("us"),
    "index": pl.UInt32(),
    "day": pl.Date(),
}


@pytest.fixture(params=STYLES, ids=lambda style: style.name)
def frame(request) -> pl.DataFrame:
    return make_frame(BARS | TIMES | {"k": pl.Int64()}, request.param, rows=200, seed=3)


def test_times_increase_strictly(frame):
    for name in TIMES:
        assert frame[name].null_count() == 0
        assert frame[name].to_physical().diff().drop_nulls().min() > 0


def test_high_and_low_enclose_the_bar(frame):
    inside = frame.drop_nulls().select(
        (pl.col("high") >= pl.max_horizontal("open", "close")).all(),
        (pl.col("low") <= pl.min_horizontal("open", "close")).all(),
    )
    assert all(inside.row(0))


def test_no_value_is_nan(frame):
    assert not any(frame[name].is_nan().any() for name in BARS)


def test_dtypes_are_as_asked(frame):
    assert dict(frame.schema) == BARS | TIMES | {"k": pl.Int64()}


def test_styles_are_odd_in_different_ways():
    frames = {style.name: make_frame(BARS, style, rows=48, seed=1) for style in STYLES}
    close = {name: frame["close"] for name, frame in frames.items()}
    assert close["gaps"].null_count() > 5
    assert close["ties"].n_unique() < 10
    assert close["first is highest"].arg_max() == 0
    assert close["signed"].min() < 0 < close["signed"].max()
    assert max(close["late extremes"].arg_max(), close["late extremes"].arg_min()) > 30
    assert not any(series.drop_nulls().is_sorted() for series in close.values())


def test_a_seed_gives_one_table():
    one, other = (make_frame(BARS | TIMES, STYLES[0], rows=20, seed=5) for _ in range(2))
    assert one.equals(other)
    assert not one.equals(make_frame(BARS | TIMES, STYLES[0], rows=20, seed=6))


@pytest.mark.parametrize("level", [-7.0, 0.0, 0.01, 1e6])
def test_at_level_lies_on_both_sides(level):
    close = make_frame(BARS, at_level(level), rows=100, seed=0)["close"]
    assert close.min() < level < close.max()


@pytest.mark.parametrize(
    ("expr", "dtype"),
    [
        (pl.col("x").str.head(1), pl.String()),
        (pl.col("x").list.first(), pl.List(pl.Float64())),
        (pl.col("x").dt.hour(), pl.Datetime("us")),
        (pl.col("close").filter("x"), pl.Boolean()),
        (pl.when("x").then(1), pl.Boolean()),
        (~pl.col("x"), pl.Boolean()),
        (pl.col("x") & 4, pl.Int64()),
        (pl.col("close").first().over("x"), pl.Int64()),
        (pl.col("close").rolling_sum_by("x", "5i"), pl.Int64()),
        (pl.col("close").rolling_sum_by("x", "5m"), pl.Datetime("us")),
        (pl.col("close").sum().rolling("x", period="5m"), pl.Datetime("us")),
        (pl.col("close").ewm_mean_by("x", half_life="5i"), pl.Int64()),
        (pl.col("x") == "buy", pl.Enum(["buy", "not buy"])),
        (pl.col("x") + 1, None),
    ],
    ids=str,
)
def test_guess_dtypes_from_use(expr, dtype):
    node = tree.decode(expr)
    assert node is not None
    assert guess_dtypes([node]).get("x") == dtype


def test_guess_leaves_prices_alone():
    node = tree.decode(pl.col("close").over("volume"))
    assert node is not None
    assert guess_dtypes([node]) == {}
