from __future__ import annotations

import polars as pl
import pytest

from rangebar_enrich._expr import tree
from rangebar_enrich._expr.render import show
from rangebar_enrich.reach import columns_read, keeps_rows, reach_of

CLOSE = pl.col("close")
TIES = (
    '`pl.col("close").rolling_sum_by((pl.col("close_time") // 1000), "5i")` has a window over times '
    "that may repeat or go back, so it may hold later bars"
)


@pytest.mark.parametrize(
    ("expr", "reason", "hint"),
    [
        (
            CLOSE.shift(-1) / CLOSE,
            '`pl.col("close").shift(-1)` reads 1 bar ahead',
            "`.shift(1)` reads the bar before; a negative count reads a later one",
        ),
        (
            CLOSE - CLOSE.mean(),
            '`pl.col("close").mean()` reads to the end of the series',
            "`.rolling_mean(n)`, or `.cum_sum() / (pl.int_range(pl.len()) + 1)` for the mean so far",
        ),
        (
            CLOSE.rolling_mean(7, center=True).abs(),
            '`pl.col("close").rolling_mean(7, center=True)` reads 3 bars ahead',
            "leave out `center=True`",
        ),
        (
            CLOSE.backward_fill(2),
            '`pl.col("close").backward_fill(limit=2)` reads 2 bars ahead',
            "`.forward_fill()` fills from the bars before",
        ),
        (
            CLOSE.rolling_sum_by(pl.col("close_time") // 1000, "5i"),
            TIES,
            "the clock must be a time column, as it is: rounded times have ties",
        ),
        (
            CLOSE.cum_sum().over("k", order_by="volume"),
            '`pl.col("close").cum_sum().over(pl.col("k"), order_by=pl.col("volume"))` reads to the end of the series',
            "key, order and function of `over` must each be made of bars that have come",
        ),
    ],
    ids=["shift", "mean", "centred", "fill", "clock", "order"],
)
def test_an_author_is_told_where_and_what_instead(expr, reason, hint):
    reach = reach_of(expr)
    assert reach.reasons == (reason,)
    assert reach.hint == hint


def test_a_window_over_time_names_its_condition():
    reach = reach_of(CLOSE.rolling_mean_by("close_time", "5i"))
    assert reach.reasons == ("it has a window over time: `close_time` must increase strictly",)


@pytest.mark.parametrize(
    ("expr", "words"),
    [
        (CLOSE.rolling_mean(20), "causal: reads 19 rows back"),
        (CLOSE.shift(1), "causal: reads 1 row back"),
        (CLOSE.cum_sum(), "causal: reads every row back"),
        (CLOSE.shift(-2), "looks ahead: reads 0 rows back, 2 rows ahead"),
        (CLOSE.head(3), "may look ahead: reads every row back, every row ahead"),
        (CLOSE.map_batches(lambda x: x), "opaque: what it reads can't be seen"),
    ],
    ids=str,
)
def test_a_reach_in_one_line(expr, words):
    assert str(reach_of(expr)) == words


def test_a_function_is_named_as_the_reason():
    reasons = reach_of(CLOSE.map_batches(lambda x: x)).reasons
    assert len(reasons) == 1
    assert "Python function" in reasons[0]
    assert "declare `lookback`" in reasons[0]


@pytest.mark.parametrize(
    ("expr", "names"),
    [
        ((CLOSE / pl.col("open")).over("k"), ("close", "k", "open")),
        (CLOSE.map_batches(lambda x: x), ("close",)),
        (pl.lit(1), ()),
    ],
    ids=["over", "function", "literal"],
)
def test_columns_read(expr, names):
    assert columns_read(expr) == names


def test_keeps_rows_does_not_search():
    assert keeps_rows(CLOSE - CLOSE.mean()) is True
    assert keeps_rows(CLOSE.max()) is False


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        ((CLOSE + 1) * 2, '(pl.col("close") + 1) * 2'),
        ((CLOSE + 1) * (CLOSE - 1), '(pl.col("close") + 1) * (pl.col("close") - 1)'),
        (-CLOSE, '-pl.col("close")'),
        (CLOSE.cum_sum(reverse=True), 'pl.col("close").cum_sum(reverse=True)'),
        (CLOSE.fill_null(strategy="mean"), 'pl.col("close").fill_null(strategy="mean")'),
        (CLOSE.shift(-1, fill_value=0.5), 'pl.col("close").shift(-1, fill_value=0.5)'),
        (CLOSE.last(ignore_nulls=True), 'pl.col("close").last(ignore_nulls=True)'),
        (CLOSE.sum().over("k").alias("x"), 'pl.col("close").sum().over(pl.col("k"))'),
        (CLOSE.rolling_max_by("t", "90m"), 'pl.col("close").rolling_max_by(pl.col("t"), "90m")'),
        (
            pl.when(CLOSE > 1).then(None),
            'pl.when((pl.col("close") > 1)).then(None).otherwise(None)',
        ),
        (pl.max_horizontal("a", "b"), 'pl.max_horizontal(pl.col("a"), pl.col("b"))'),
        (pl.col("s").str.head(2), 'pl.col("s").str.head(2)'),
        (CLOSE.cast(pl.Int8), 'pl.col("close").cast(pl.Int8)'),
        (pl.lit("a") + pl.lit(value=True), "'a' + True"),
    ],
    ids=str,
)
def test_show_writes_python(expr, text):
    node = tree.decode(expr)
    assert node is not None
    assert show(node) == text


def test_show_shortens():
    node = tree.decode(pl.sum_horizontal(*(f"column_{i}" for i in range(50))))
    assert node is not None
    assert len(show(node)) == 120


def test_a_plugin_library_is_opaque(tmp_path):
    from polars.plugins import register_plugin_function

    library = tmp_path / "library.so"
    library.touch()
    expr = register_plugin_function(
        plugin_path=library, function_name="f", args=[CLOSE], is_elementwise=True
    )
    reach = reach_of(expr.rolling_mean(3))
    assert reach.is_causal is None
    assert "calls a plugin library" in reach.reasons[0]
