"""Within `over` an operator must give the bits that it gives on a series alone."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from corpus.tried import tried
from hypothesis import given
from hypothesis import strategies as st

from rangebar_enrich._expr import tree
from rangebar_enrich._plan import over as grouping
from rangebar_enrich._plan.over import is_groupable

close, volume, flag, count = pl.col("close"), pl.col("volume"), pl.col("flag"), pl.col("count")
row = pl.int_range(pl.len())
WEIGHTS = [0.2, 0.3, 0.5]

GROUPABLE: dict[str, pl.Expr] = {
    "abs": close.abs(),
    "cast": count.cast(pl.Float32) + flag.cast(pl.Int8),
    "when": pl.when(flag).then(close).otherwise(volume.shift(1)),
    "when without otherwise": pl.when(close > volume).then(1),
    "between": close.is_between(0.0, volume),
    "finite": close.is_finite(),
    "nan": close.is_nan() | volume.is_not_nan(),
    "null": close.is_null() & volume.is_not_null(),
    "not": ~flag,
    "ceil": close.ceil() + volume.floor(),
    "clip": close.clip(-1.0, 1.5),
    "clip between columns": close.clip(volume, pl.lit(3.0)),
    "count": close.cum_count(),
    "maximum": close.cum_max() - volume.cum_min(),
    "sum": close.cum_sum(),
    "sum of flags": flag.cum_sum(),
    "diff": close.diff(),
    "diff of two": count.diff(2),
    "ewm mean": close.ewm_mean(span=3),
    "ewm mean, all options": close.ewm_mean(
        alpha=0.3, adjust=False, ignore_nulls=True, min_samples=2
    ),
    "ewm std": close.ewm_std(com=2),
    "ewm var": close.ewm_var(span=4, bias=True, min_samples=3),
    "exp": (-close.abs()).exp(),
    "fill null": close.fill_null(0.5) + volume.fill_null(close),
    "forward": close.forward_fill(),
    "forward with a limit": close.forward_fill(1),
    "log": close.log() + volume.log1p() + close.log(2),
    "horizontal": pl.max_horizontal(close, volume) - pl.min_horizontal(close, 1.0),
    "negate": -close,
    "change": close.pct_change(),
    "change of three": close.pct_change(3),
    "power": close.cbrt() + close**2 + volume**0.5 + volume.sqrt(),
    "rolling max": close.rolling_max(3),
    "rolling min, few": close.rolling_min(4, min_samples=1),
    "rolling max, centred": close.rolling_max(3, center=True, min_samples=1),
    "rolling mean": close.rolling_mean(3),
    "rolling mean, centred": close.rolling_mean(4, center=True, min_samples=2),
    "rolling mean, weighted": close.fill_null(1.0).rolling_mean(3, weights=WEIGHTS),
    "rolling std": close.rolling_std(3, min_samples=2),
    "rolling std, ddof": close.rolling_std(4, ddof=0),
    "rolling sum": close.rolling_sum(3, min_samples=1),
    "rolling sum, weighted": close.fill_null(1.0).rolling_sum(3, weights=WEIGHTS),
    "rolling var": close.rolling_var(4),
    "round": close.round(1),
    "shift": close.shift(2),
    "shift back": close.shift(-1),
    "shift with a fill": close.shift(1, fill_value=0.0),
    "sign": close.sign(),
    "score": (close - close.rolling_mean(3)) / close.rolling_std(3),
    "stochastic": (close - close.rolling_min(4)) / (close.rolling_max(4) - close.rolling_min(4)),
    "modulo": count % 3 + count // 2,
    "product": (1 + close.clip(-0.5, 0.5)).cum_prod(),
    "fill nan": close.fill_nan(None) + close.fill_nan(0.0),
    "over rows": pl.sum_horizontal(close, volume) + pl.mean_horizontal(close, volume),
    "any and all": pl.any_horizontal(flag, close > 0) | pl.all_horizontal(flag, volume > 0),
    "trigonometry": close.sin() + close.tanh() + close.arctan(),
    "infinite": close.is_infinite(),
    "rolling median": close.rolling_median(3),
    "rolling quantile": close.rolling_quantile(0.7, window_size=4, min_samples=2),
    "rolling rank": close.rolling_rank(3),
    "rolling skew": close.rolling_skew(4, min_samples=3),
    "rolling kurtosis": close.rolling_kurtosis(5, bias=False),
    "correlation": pl.rolling_corr(close, volume, window_size=4),
    "covariance": pl.rolling_cov(close, volume, window_size=3, min_samples=2),
    "coalesce": pl.coalesce(close, volume, 0.0),
    "run": flag.rle_id(),
    "row number": row + 0 * close,
    "rows since": row - pl.when(~flag).then(row).forward_fill(),
    "significant": close.round_sig_figs(3),
    "degrees": close.degrees(),
    "logic": (close > 0) & flag | (volume <= close),
    "row less than a literal": pl.when(close.shift(1) < 2).then(close * 2).otherwise(pl.lit(0.25)),
}

# In a window or over all rows these are something else within a group, or cannot be seen into.
NOT_GROUPABLE: dict[str, pl.Expr] = {
    "literal": pl.lit(1.0),
    "among constants": count.is_in([1, 2]),
    "mean": close - close.mean(),
    "window in a window": close.rolling_mean(3).over("flag"),
    "function": close.map_batches(lambda x: x, return_dtype=pl.Float64),
    "literal series": close + pl.lit(pl.Series([1.0, 2.0])),
    "sorted": close.sort(),
}

numbers = st.one_of(
    st.none(),
    st.sampled_from([0.0, -0.0, 1.0, 1.0, 2.5, -1.0, math.nan, math.inf, 1e9]),
    st.floats(-10.0, 10.0),
)
rows = st.tuples(numbers, numbers, st.sampled_from([True, False, None]), st.integers(-5, 5))


def _frame(group):
    schema = {"close": pl.Float64, "volume": pl.Float64, "flag": pl.Boolean, "count": pl.Int64}
    return pl.DataFrame(group, schema=schema, orient="row")


def _bits(series):
    """Return nulls, and values as bits: -0.0 is not 0.0, and a NaN is a NaN."""
    if series.dtype in {pl.Float32, pl.Float64}:
        values = series.fill_null(0.0).cast(pl.Float64).to_numpy().copy()
        values[np.isnan(values)] = np.nan
        return series.is_null().to_list(), values.view(np.uint64).tolist()
    return series.to_list()


def _alone(expr, frames):
    made = [frame.lazy().select(x=expr).collect(engine="in-memory")["x"] for frame in frames]
    return pl.concat(made)


def _within(expr, frames):
    key = pl.Series(
        "key", np.repeat(np.arange(len(frames), dtype=np.uint32), [f.height for f in frames])
    )
    joined = pl.concat(frames).hstack([key.set_sorted()])
    made = joined.lazy().with_columns(x=expr.over("key", mapping_strategy="explode"))
    return made.collect(engine="in-memory", optimizations=pl.QueryOptFlags.none())["x"]


@pytest.mark.parametrize("name", GROUPABLE)
@tried(10, 50)
@given(groups=st.lists(st.lists(rows, min_size=1, max_size=9), min_size=2, max_size=5))
def test_operator_within_groups_has_the_bits_of_each_alone(name, groups):
    expr, frames = GROUPABLE[name], [_frame(group) for group in groups]

    assert _bits(_within(expr, frames)) == _bits(_alone(expr, frames))


@pytest.mark.parametrize("name", GROUPABLE)
def test_operator_is_groupable(name):
    assert is_groupable(tree.decode(GROUPABLE[name]))


@pytest.mark.parametrize("name", NOT_GROUPABLE)
def test_operator_is_not_groupable(name):
    node = tree.decode(NOT_GROUPABLE[name])

    assert node is None or not is_groupable(node)


def test_every_listed_operator_is_tested():
    seen = {
        tree.operator(part) for expr in GROUPABLE.values() for part in tree.walk(tree.decode(expr))
    }

    assert {*seen, "Alias"} >= grouping._GROUPABLE
