"""The two fast ways to run — parts shared from many rows on, many short series in one frame —
give what the plain way gives, failures included."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import rangebar_enrich as rbe
from rangebar_enrich._expr.common import WORTH_FROM_ROWS

CLOSE = pl.col("close")
STD = CLOSE.rolling_std(20)
MEAN = CLOSE.rolling_mean(20)


@pytest.fixture
def long_bars(make_bars):
    return make_bars(WORTH_FROM_ROWS + 500, symbol="XRPETH", threshold_decimal_bps=50)


@pytest.fixture
def sharing(native):
    """Return two providers whose expressions have costly parts in common."""
    return [
        native("one", {"one_z": (CLOSE - MEAN) / STD, "one_s": STD / MEAN}, min_bars=20),
        native("two", {"two_z": ((CLOSE - MEAN) / STD).rolling_max(5), "two_s": STD}, min_bars=4),
    ]


def test_shared_parts_give_the_same_bits(sharing, long_bars):
    actual = rbe.Enricher(sharing, windows="polars").run(long_bars).table

    for provider in sharing:
        for column, expr in provider.made.items():
            bare = pl.DataFrame(long_bars).lazy().select(expr.alias(column))
            series = bare.collect(engine="in-memory").to_series().fill_nan(None)
            expected = [None] * provider.min_bars + series.to_list()[provider.min_bars :]
            assert actual[column].to_pylist() == expected


@pytest.mark.parametrize(
    "broken",
    [
        STD + pl.col("data_source").str.to_integer(),
        (STD / MEAN).map_batches(lambda s: s.head(3), return_dtype=pl.Float64),
        STD.gather(pl.int_range(pl.len()) + 3),
        pl.col("nowhere") + STD,
        STD.sum(),
    ],
    ids=["parse", "short", "gather", "unknown", "sum"],
)
def test_failure_beside_shared_parts_is_local(broken, sharing, long_bars, native):
    bad = native("bad", {"bad_a": broken, "bad_b": STD / MEAN})

    result = rbe.Enricher([sharing[0], bad, sharing[1]]).run(long_bars)

    expected = rbe.Enricher(sharing).run(long_bars).table
    assert [one.status for one in result.outcomes] == ["ok", "failed", "ok"]
    assert result.table.drop_columns(["bad_a", "bad_b"]).equals(expected, check_metadata=True)


def _many(make_bars, count, rows, seed=0):
    """Return many short series of random lengths, row by row in random order of series."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, rows, count)
    tables = [
        make_bars(int(n), seed=i, symbol=f"S{i}", threshold_decimal_bps=50)
        for i, n in enumerate(lengths)
    ]
    owner = rng.permutation(np.repeat(np.arange(count), lengths))
    order = np.empty(len(owner), dtype=np.int64)
    order[np.argsort(owner, kind="stable")] = np.arange(len(owner))
    return tables, owner, pa.concat_tables(tables).take(pa.array(order))


@pytest.fixture
def groupable(native, momentum, half_range):
    windows = native(
        "w",
        {
            "w_ewm": CLOSE.ewm_mean(span=5),
            "w_sum": pl.col("volume").cum_sum(),
            "w_diff": CLOSE.diff(3).abs(),
            "w_max": pl.col("high").rolling_max(4) - pl.col("low").rolling_min(4),
            "w_nan": pl.when(pl.col("open") < CLOSE).then(float("nan")).otherwise(CLOSE),
        },
        min_bars={"w_ewm": 0, "w_sum": 1, "w_diff": 3, "w_max": 3, "w_nan": 2},
    )
    return [windows, momentum, half_range]


@pytest.mark.parametrize("seed", [0, 1])
def test_many_short_series_equal_each_alone(seed, make_bars, groupable, collected):
    tables, owner, mixed = _many(make_bars, 40, 60, seed)
    enricher = rbe.Enricher(groupable)

    together = enricher.run(mixed).table.select(enricher.columns)

    assert [len(plans) for plans in collected] == [1]
    for i, table in enumerate(tables):
        alone = enricher.run(table).table.select(enricher.columns)
        assert together.filter(pa.array(owner == i)).combine_chunks().equals(alone.combine_chunks())


def test_failure_in_one_of_many_short_series_is_partial(make_bars, groupable, native):
    tables, owner, mixed = _many(make_bars, 30, 40)
    limit = max(max(table["duration_us"].to_pylist()) for table in tables)
    worst = next(i for i, table in enumerate(tables) if limit in table["duration_us"].to_pylist())
    room = pl.col("duration_us") + (2**31 - limit)
    bad = native("bad", {"bad_a": room.cast(pl.Int32)})

    result = rbe.Enricher([*groupable, bad]).run(mixed)

    assert result.outcomes[-1].status == "partial"
    assert [key.symbol for key in result.outcomes[-1].failed_series] == [f"S{worst}"]
    nulls = result.table["bad_a"].is_null().to_numpy()
    np.testing.assert_array_equal(nulls, owner == worst)
    healthy = rbe.Enricher(groupable)
    expected = healthy.run(mixed).table.select(healthy.columns)
    assert result.table.select(healthy.columns).combine_chunks().equals(expected.combine_chunks())


def test_provider_whose_expressions_know_the_series_is_asked_for_each(make_bars, native):
    tables, owner, mixed = _many(make_bars, 20, 30)
    scaled = native(
        "scaled",
        lambda context: {"scaled_a": CLOSE * int(context.symbol[1:])},
        columns=["scaled_a"],
    )

    table = rbe.enrich_bars(mixed, providers=[scaled])

    np.testing.assert_array_equal(table["scaled_a"].to_numpy(), mixed["close"].to_numpy() * owner)
    assert len(scaled.contexts) == len(tables)


def test_windows_over_time_that_stands_still_are_refused(make_bars, native, momentum):
    bars = make_bars(60)
    tied = native("tied", {"tied_a": CLOSE.rolling_mean_by("close_time", window_size="100i")})

    result = rbe.Enricher([tied, momentum]).run(bars)

    assert len(set(bars["close_time"].to_pylist())) < 60
    assert [one.status for one in result.outcomes] == ["failed", "ok"]
    assert "which does not increase strictly" in result.outcomes[0].error
