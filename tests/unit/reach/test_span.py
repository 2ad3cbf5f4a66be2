from __future__ import annotations

from math import inf

import polars as pl
import pytest

from rangebar_enrich.reach import Reach, reach_of

CLOSE, KEY, ELEMENT = pl.col("close"), pl.col("k"), pl.element()
ROW = pl.int_range(pl.len())
LATER = CLOSE.shift(-2)

# What is read: the expression, rows of the past, rows of the future.
READS: list[tuple[pl.Expr, float, float]] = [
    (CLOSE, 0, 0),
    (pl.lit(1.0), 0, 0),
    (CLOSE.shift(3), 3, 0),
    (CLOSE.shift(pl.col("n")), inf, inf),
    (CLOSE.shift(1, fill_value=pl.lit(0)), 1, 0),
    (CLOSE.shift(1, fill_value=CLOSE.first()), inf, 0),
    (CLOSE.shift(1, fill_value=CLOSE.max()), inf, inf),
    (CLOSE.diff(2) + CLOSE.shift(5), 5, 0),
    (CLOSE.diff(-2), 0, 2),
    (CLOSE.pct_change(-1).shift(1), 1, 0),
    (CLOSE.rolling_mean(5).rolling_mean(5), 8, 0),
    (CLOSE.rolling_mean(5, center=True), 2, 2),
    (CLOSE.rolling_mean(6, center=True), 3, 2),
    (LATER.rolling_sum(3), 2, 2),
    (CLOSE.forward_fill(), inf, 0),
    (CLOSE.forward_fill(3), 3, 0),
    (CLOSE.backward_fill(3), 0, 3),
    (CLOSE.fill_null(strategy="zero"), 0, 0),
    (CLOSE.fill_null(LATER), 0, 2),
    (CLOSE.cum_sum(), inf, 0),
    (CLOSE.cum_sum(reverse=True), 0, inf),
    (CLOSE.reverse(), inf, inf),
    (CLOSE.reverse().rolling_max(4).reverse(), 0, 3),
    (CLOSE.reverse().cum_max(reverse=True).reverse(), inf, 0),
    (CLOSE.reverse().forward_fill(2).reverse(), 0, 2),
    (CLOSE.reverse().diff().reverse(), 0, 1),
    (CLOSE.reverse().first(), inf, inf),
    (CLOSE.reverse().last(), inf, 0),
    (CLOSE.ewm_mean(span=3), inf, 0),
    (CLOSE.rle_id(), inf, 0),
    (CLOSE.is_first_distinct(), inf, 0),
    (CLOSE.is_last_distinct(), 0, inf),
    (CLOSE.peak_max(), 1, 1),
    (CLOSE.first(), inf, 0),
    (LATER.first(), inf, 2),
    (CLOSE.get(0), inf, 0),
    (CLOSE.get(1), inf, inf),
    (CLOSE.get(-1), inf, inf),
    (CLOSE.head(1), inf, 0),
    (CLOSE.head(pl.len()), 0, 0),
    (CLOSE.head(2), inf, inf),
    (CLOSE.gather(ROW), 0, 0),
    (CLOSE.gather(ROW - 1), inf, inf),
    (CLOSE.filter(CLOSE > 0).first(), inf, inf),
    (CLOSE.sort(), inf, inf),
    (CLOSE.sort_by(ROW), 0, 0),
    (CLOSE.sort_by(ROW, descending=True), inf, inf),
    (CLOSE.rank(), inf, inf),
    (CLOSE.interpolate(), inf, inf),
    (CLOSE.is_in([1.0, 2.0]), 0, 0),
    (CLOSE.is_in(pl.Series([1.0])), 0, 0),
    (CLOSE.is_in(pl.col("open")), inf, inf),
    (CLOSE.is_in(pl.concat_list("open", LATER)), 0, 2),
    (CLOSE.replace_strict([1], [2], default=LATER), 0, 2),
    (CLOSE.replace_strict(pl.col("a").implode(), [2]), inf, inf),
    (CLOSE.search_sorted(1.0), inf, inf),
    (CLOSE + pl.lit(pl.Series([1.0, 2.0])), inf, inf),
    (CLOSE + pl.lit(pl.Series([1.0])), 0, 0),
    (ROW, inf, 0),
    (pl.int_range(3, pl.len() + 3), inf, 0),
    (pl.int_range(3, 3 + pl.len()), inf, 0),
    (pl.int_range(1, pl.len()), inf, inf),
    (pl.int_range(0, pl.len(), step=2), inf, inf),
    (pl.int_range(pl.len(), 0, -1), inf, inf),
    (pl.len(), inf, inf),
    (pl.repeat(2.0, pl.len()), 0, 0),
    (pl.repeat(2.0, 5), 0, 0),
    (pl.ones(pl.len()).sum(), inf, inf),
    (pl.struct(CLOSE, LATER.alias("l")).struct.field("close"), 0, 2),
    (pl.struct("close").struct.with_fields(pl.field("close").shift(-3)), 0, 3),
    (pl.concat_list(CLOSE, CLOSE.shift(4)).list.eval(ELEMENT.shift(-1)), 4, 0),
    (CLOSE.implode().list.eval(ELEMENT + 1), inf, inf),
    (CLOSE.cumulative_eval(ELEMENT.last()), 0, 0),
    (CLOSE.cumulative_eval(ELEMENT.tail(5).mean()), 4, 0),
    (CLOSE.cumulative_eval(ELEMENT.tail(5).max() - ELEMENT.tail(2).min() / 2), 4, 0),
    (CLOSE.diff().cumulative_eval(ELEMENT.slice(-4, 2).median()), 4, 0),
    (CLOSE.cumulative_eval(ELEMENT.tail(5).sum()), inf, 0),
    (CLOSE.cumulative_eval(ELEMENT.tail(5).mean(), min_samples=2), inf, 0),
    (CLOSE.cumulative_eval(ELEMENT.head(5).mean()), inf, 0),
    (CLOSE.cumulative_eval(ELEMENT.last() - ELEMENT.first()), inf, 0),
    (CLOSE.shift(pl.lit(100, pl.Int8) + 20), 120, 0),
    (CLOSE.shift(pl.lit(100, pl.Int8) + pl.lit(100, pl.Int8)), inf, inf),
    (CLOSE.shift(pl.lit(3, pl.UInt8) - 5), inf, inf),
    (CLOSE.shift(-pl.lit(-128, pl.Int8)), inf, inf),
    (CLOSE.shift(pl.lit(2**40) - pl.lit(2**40 - 3)), 3, 0),
    (CLOSE.set_sorted() > 100, inf, inf),
    (CLOSE.rolling_mean_by(pl.col("close_time").set_sorted(), "5i"), 4, 0),
    (CLOSE.rolling_mean_by(pl.col("close_time").set_sorted(descending=True), "5i"), inf, inf),
    (CLOSE.sort_by(ROW - 5), 0, 0),
    (CLOSE.sort_by(pl.int_range(pl.len(), dtype=pl.UInt32) - 5), inf, inf),
    (CLOSE.sort_by(pl.col("close_time") * 1000), 0, 0),
    (CLOSE.sort_by(pl.col("close_time") * 10**10), inf, inf),
    (CLOSE.sort_by(pl.col("close_time") * 1000 * 1000 * 1000), inf, inf),
    (CLOSE.sort_by(pl.col("t") + 1), inf, inf),
    (CLOSE.sort_by(pl.col("close_time").cast(pl.UInt64)), inf, inf),
    (CLOSE.sort_by(pl.col("t").cast(pl.Int64, strict=False)), inf, inf),
    (CLOSE.sort_by(pl.col("close_time").cast(pl.Datetime("us")).cast(pl.Datetime("ms"))), inf, inf),
    (LATER.cumulative_eval(ELEMENT.first()), inf, 2),
    (CLOSE.sum().rolling("t", period="4i"), 3, 0),
    (CLOSE.sum().rolling("t", period="1s"), inf, 0),
    (CLOSE.sum().rolling("close_time", period="60000000i"), inf, 0),
    (LATER.sum().rolling("t", period="4i"), 3, 0),
    (CLOSE.sum().rolling(ROW, period="4i"), 3, 0),
    (CLOSE.sum().rolling(ROW, period="4i", closed="both"), 4, 0),
    (CLOSE.sum().rolling(ROW, period="2i", offset="-6i"), 5, 0),
    (CLOSE.sum().rolling(ROW, period="4i", offset="-2i"), inf, inf),
    (CLOSE.rolling_mean_by(ROW, "4i", closed="left"), 4, 0),
    (CLOSE.rolling_mean_by("volume", "4i"), inf, inf),
    (CLOSE.rolling_mean_by("last_trade_id", "100i"), 99, 0),
    (CLOSE.mode().min().rolling(ROW, period="4i"), 3, 0),
    (CLOSE.top_k(2).mean().rolling(ROW, period="4i"), 3, 0),
    (CLOSE.unique(maintain_order=True).last().rolling(ROW, period="4i"), 3, 0),
]  # fmt: skip

GROUPS: list[tuple[pl.Expr, float, float]] = [
    (CLOSE.abs().over(KEY), 0, 0),
    (CLOSE.shift(1).over(KEY), inf, 0),
    (CLOSE.shift(-1).over(KEY), 0, inf),
    (CLOSE.first().over(KEY), inf, 0),
    (CLOSE.last().over(KEY), inf, inf),
    (CLOSE.mean().over(KEY), inf, inf),
    (CLOSE.cum_sum().over(KEY), inf, 0),
    (CLOSE.cum_sum().over(LATER > CLOSE), inf, 2),
    (CLOSE.cum_sum().over(CLOSE.mean() < CLOSE), inf, inf),
    (CLOSE.cum_sum().over(KEY, pl.col("flag").rle_id()), inf, 0),
    (pl.len().over(KEY), inf, inf),
    (ROW.over(KEY), inf, 0),
    (CLOSE.cum_sum().over(KEY, order_by="close_time"), inf, 0),
    (CLOSE.cum_sum().over(KEY, order_by="close_time", descending=True), inf, inf),
    (CLOSE.cum_sum().over(KEY, order_by="volume"), inf, inf),
    (CLOSE.abs().over(KEY, order_by="volume"), 0, 0),
    (CLOSE.reverse().over(KEY), inf, inf),
    (CLOSE.over(KEY, mapping_strategy="join"), inf, inf),
    (CLOSE.first().over(KEY, mapping_strategy="join"), inf, 0),
    (CLOSE.over(KEY, mapping_strategy="explode"), inf, inf),
]


@pytest.mark.parametrize(("expr", "past", "future"), READS + GROUPS, ids=str)
def test_reach_of_an_operator(expr, past, future):
    reach = reach_of(expr)
    assert (reach.past, reach.future) == (past, future)


@pytest.mark.parametrize(
    ("expr", "times"),
    [
        (CLOSE.rolling_mean_by("close_time", "5i"), {"close_time"}),
        (CLOSE.rolling_mean_by(pl.col("timestamp"), "5m"), {"timestamp"}),
        (CLOSE.rolling_mean_by(pl.col("close_time").cast(pl.Datetime("us")), "5m"), {"close_time"}),
        (CLOSE.rolling_mean_by(pl.col("close_time") * 1000 + 5, "5i"), {"close_time"}),
        (CLOSE.ewm_mean_by("open_time_ms", half_life="5i"), {"open_time_ms"}),
        (CLOSE.sum().rolling("t", period="5i") + CLOSE.sort_by("open_time"), {"t", "open_time"}),
        (CLOSE.cum_sum().over("k", order_by="close_time"), {"close_time"}),
        (CLOSE.rolling_mean_by("last_trade_id", "100i"), {"last_trade_id"}),
        (CLOSE.sum().rolling("first_agg_trade_id", period="9i"), {"first_agg_trade_id"}),
        (CLOSE.rolling_mean_by(ROW, "5i"), set()),
        (CLOSE.rolling_mean(5), set()),
    ],
    ids=lambda value: str(sorted(value)) if isinstance(value, set) else str(value),
)
def test_times_are_what_must_increase(expr, times):
    reach = reach_of(expr)
    assert reach.is_causal
    assert reach.times == times
    assert reach.needs_strict_time is bool(times)


@pytest.mark.parametrize(
    "clock",
    [
        pl.col("close_time") // 1000,
        pl.col("close_time") * 0,
        pl.col("close_time") * -1,
        pl.col("timestamp").dt.truncate("1h"),
        pl.col("timestamp").cast(pl.Datetime("ms")),
        pl.col("timestamp").cast(pl.Date),
        pl.col("close_time").cast(pl.Int32),
        pl.col("close_time").shift(1),
        ROW.reverse(),
        pl.col("volume").cast(pl.Int64),
    ],
    ids=str,
)
def test_a_clock_with_ties_is_not_proven(clock):
    assert reach_of(CLOSE.rolling_sum_by(clock, "5i")).is_causal is not True


INNER = CLOSE.sum().rolling("t", period="2i")
UNFOLLOWED = [
    INNER.sum().rolling("t", period="2i"),
    (INNER + 1).max().rolling(ROW, period="3i"),
    CLOSE.rolling_rank(5, method="random"),
    CLOSE.rolling_rank_by("close_time", "5i", method="random"),
    CLOSE.mode().first().rolling("t", period="5i"),
    CLOSE.mode().rolling("t", period="5i"),
    CLOSE.unique().last().rolling("t", period="5i"),
    CLOSE.top_k(2).get(0).rolling(ROW, period="4i"),
    CLOSE.cumulative_eval(ELEMENT.mode().first()),
    CLOSE + pl.int_range(0, pl.len() - 5),
    CLOSE + pl.repeat(1.0, pl.len() - 5),
]


@pytest.mark.parametrize("expr", UNFOLLOWED, ids=str)
def test_what_can_not_be_followed_is_opaque(expr):
    reach = reach_of(expr)
    assert reach.opaque
    assert reach.is_causal is None
    assert len(reach.reasons) == 1


@pytest.mark.parametrize(
    ("expr", "words"),
    [
        (INNER.sum().rolling("t", period="2i"), "has windows inside windows"),
        (CLOSE.rolling_rank(5, method="random"), "is random"),
        (CLOSE.mode().first().rolling("t", period="5i"), "depends on the order of `pl.col"),
    ],
    ids=["nested", "random", "order"],
)
def test_what_can_not_be_followed_is_named_as_the_reason(expr, words):
    assert words in reach_of(expr).reasons[0]


def test_a_false_sorted_flag_is_proven():
    reach = reach_of(CLOSE.set_sorted() > 100)
    assert reach.is_causal is False
    assert reach.hint is not None
    assert "only times are sorted" in reach.hint


def test_a_schema_tells_what_a_clock_is():
    expr = CLOSE.rolling_sum_by("opened", "5m")
    assert reach_of(expr).is_causal is not True
    assert reach_of(expr, schema={"opened": pl.Datetime("us")}).times == {"opened"}


@pytest.mark.parametrize(
    ("expr", "keeps"),
    [
        (CLOSE, True),
        (CLOSE - CLOSE.mean(), True),
        (pl.lit(1.0), True),
        (pl.lit(1.0) + 2, True),
        (ROW + 1, True),
        (CLOSE.first().over("k"), True),
        (CLOSE.mean(), False),
        (CLOSE.first(), False),
        (pl.len() + 1, False),
        (CLOSE.head(3), False),
        (CLOSE.filter(CLOSE > 1), False),
        (CLOSE.unique(), False),
        (pl.int_range(5), False),
        (pl.lit(pl.Series([1, 2])), False),
        (CLOSE + CLOSE.tail(3), None),
        (CLOSE.map_batches(lambda series: series, return_dtype=pl.Float64), None),
    ],
    ids=str,
)
def test_keeps_rows(expr, keeps):
    assert reach_of(expr).keeps_rows is keeps


def test_known_columns_add_up():
    known = {"momentum_x": reach_of(CLOSE.rolling_mean(5)), "momentum_y": reach_of(CLOSE.shift(-1))}
    assert reach_of(pl.col("momentum_x").shift(3), known=known).past == 7
    assert reach_of(pl.col("momentum_y").shift(1), known=known).is_causal
    assert reach_of(pl.selectors.all().shift(1), known=known).past == 5


def test_a_column_that_looks_ahead_is_seen_through():
    known = {"momentum_y": reach_of(CLOSE.shift(-1))}
    reach = reach_of(pl.col("momentum_y") * 2, known=known)
    assert reach.is_causal is False
    assert reach.witness is not None
    assert reach.witness.frame.columns == ["close"]


def test_an_opaque_column_makes_its_readers_opaque():
    known = {"momentum_z": Reach(inf, inf, opaque=True)}
    reach = reach_of(pl.col("momentum_z") + 1, known=known)
    assert reach.is_causal is None
    assert reach.reasons == (
        '`pl.col("momentum_z")` is made by an expression whose own reach can\'t be seen',
    )


@pytest.mark.parametrize("depth", [100, 240, 1000])
def test_a_deep_expression_is_causal_or_opaque_and_no_error(depth):
    expr = CLOSE
    for _ in range(depth):
        expr = (expr + 1).alias("x")
    reach = reach_of(expr)
    assert reach.is_causal is not False
    assert reach.is_causal or reach.opaque
    assert reach.columns == ("close",)
