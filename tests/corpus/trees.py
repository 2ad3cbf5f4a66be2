"""Random expressions over the operators that features are made of."""

from __future__ import annotations

import polars as pl
from hypothesis import strategies as st

SMALL = st.integers(1, 4)
KEYS = (pl.col("k"), pl.col("flag").rle_id(), pl.col("close") > pl.col("open"))
ROW = pl.int_range(pl.len())


def _row_by_row(inner: st.SearchStrategy[pl.Expr]) -> st.SearchStrategy[pl.Expr]:
    return st.one_of(
        st.builds(lambda x: -x, inner),
        st.builds(lambda x: x.abs().sqrt(), inner),
        st.builds(lambda x, y: x + y, inner, inner),
        st.builds(lambda x, y: x * y.sign(), inner, inner),
        st.builds(pl.max_horizontal, inner, inner),
        st.builds(lambda x, y, z: pl.when(x > y).then(z).otherwise(y), inner, inner, inner),
        st.builds(lambda x, y: x.fill_null(y), inner, inner),
        st.builds(lambda x, y: x.clip(lower_bound=y), inner, inner),
        st.builds(
            lambda x, y: pl.concat_list(x, y).list.eval(pl.element().rank()).list.last(),
            inner,
            inner,
        ),
        st.builds(
            lambda x, y: pl.struct(x.alias("x"), y.alias("y")).struct.field("y"), inner, inner
        ),
        st.builds(
            lambda x, y: (
                pl.struct(x.alias("x"), y.alias("y"))
                .struct.with_fields(pl.field("x").shift(1) + pl.field("y"))
                .struct.field("x")
            ),
            inner,
            inner,
        ),
    )


def _windows(inner: st.SearchStrategy[pl.Expr]) -> st.SearchStrategy[pl.Expr]:
    return st.one_of(
        st.builds(lambda x, n: x.shift(n), inner, st.integers(-4, 4)),
        st.builds(
            lambda x, n, y: x.shift(n, fill_value=y.first()), inner, st.integers(-2, 3), inner
        ),
        st.builds(lambda x, n: x.diff(n), inner, st.integers(-2, 3)),
        st.builds(lambda x, n: x.pct_change(n), inner, st.integers(-1, 2)),
        st.builds(
            lambda x, n, c: x.rolling_sum(n, center=c, min_samples=1), inner, SMALL, st.booleans()
        ),
        st.builds(lambda x, n, c: x.rolling_max(n, center=c), inner, SMALL, st.booleans()),
        st.builds(lambda x, n: x.rolling_median(n, min_samples=1), inner, SMALL),
        st.builds(lambda x, n: x.forward_fill(n), inner, SMALL | st.none()),
        st.builds(lambda x, n: x.backward_fill(n), inner, SMALL | st.none()),
        st.builds(lambda x: x.ewm_mean(alpha=0.5), inner),
        st.builds(lambda x, r: x.cum_sum(reverse=r), inner, st.booleans()),
        st.builds(lambda x, r: x.cum_max(reverse=r), inner, st.booleans()),
        st.builds(lambda x, r: x.cum_count(reverse=r).cast(pl.Float64), inner, st.booleans()),
        st.builds(lambda x: x.rle_id().cast(pl.Float64), inner),
        st.builds(lambda x: x.is_first_distinct().cast(pl.Float64), inner),
        st.builds(lambda x: x.is_last_distinct().cast(pl.Float64), inner),
        st.builds(lambda x: x.peak_max().cast(pl.Float64), inner),
        st.builds(lambda x: x.reverse(), inner),
        st.builds(lambda x: x.reverse().shift(1).reverse(), inner),
        st.builds(lambda x: x.sort_by("close_time"), inner),
        st.builds(lambda x: x.sum().rolling("t", period="3i"), inner),
        st.builds(lambda x, n: x.rolling_mean_by(ROW, f"{n}i"), inner, SMALL),
        st.builds(lambda x: x.cumulative_eval(pl.element().mean()), inner),
    )


def _odd(inner: st.SearchStrategy[pl.Expr]) -> st.SearchStrategy[pl.Expr]:
    """What is easily followed wrongly: types that wrap, scopes in scopes, flags, unordered values."""
    element = pl.element()
    evaluations = st.sampled_from(
        [
            element.tail(2).mean(),
            element.tail(3).max() - element.last(),
            element.slice(-3, 2).median(),
            element.tail(2).sum(),
            element.tail(3).first().fill_null(0.0),
            element.tail(2).rank().last(),
            element.mode().first(),
            element.head(2).last(),
        ]
    )
    clocks = st.sampled_from(
        [
            pl.int_range(pl.len(), dtype=pl.UInt32) - 3,
            ROW - 3,
            pl.col("close_time") * 1000,
            pl.col("close_time") * 10**10,
            pl.col("t").set_sorted(),
            pl.col("timestamp").cast(pl.Datetime("ms")),
            pl.col("close_time").cast(pl.Datetime("us")).cast(pl.Datetime("ms")),
            pl.col("last_trade_id"),
        ]
    )
    small = st.integers(-130, 130)
    return st.one_of(
        st.builds(
            lambda x, a, b: x.shift(pl.lit(a, pl.Int8) + pl.lit(b, pl.Int8)),
            *(inner, st.integers(-128, 127), st.integers(-128, 127)),
        ),
        st.builds(lambda x, a: x.shift(pl.lit(2, pl.UInt8) - a), inner, st.integers(0, 4)),
        st.builds(lambda x, a: x.shift(pl.lit(100) - a), inner, small),
        st.builds(lambda x, y: x.set_sorted() > y, inner, inner).map(lambda x: x.cast(pl.Float64)),
        st.builds(lambda x: x.set_sorted().max(), inner),
        st.builds(lambda x, time: x.sort_by(time), inner, clocks),
        st.builds(lambda x, time: x.cum_sum().over("k", order_by=time), inner, clocks),
        st.builds(lambda x, n: x.rolling_mean_by("last_trade_id", f"{n * 4}i"), inner, SMALL),
        st.builds(lambda x, n: x.rolling_max_by("close_time", f"{n * 10**6}i"), inner, SMALL),
        st.builds(
            lambda x: x.sum().rolling("t", period="2i").max().rolling("t", period="3i"),
            inner,
        ),
        st.builds(lambda x: x.sum().over("k").max().rolling("t", period="3i"), inner),
        st.builds(lambda x: x.sum().rolling("t", period="3i").over("k"), inner),
        st.builds(lambda x: x.mode().first().rolling("t", period="4i"), inner),
        st.builds(lambda x: x.mode().min().rolling("t", period="4i"), inner),
        st.builds(lambda x: x.top_k(2).mean().rolling(ROW, period="4i"), inner),
        st.builds(lambda x: x.rolling_rank(3, method="random", min_samples=1), inner),
        st.builds(lambda x: x.rolling_rank(3, min_samples=1), inner).map(lambda x: x * 1.0),
        st.builds(lambda x, one: x.cumulative_eval(one), inner, evaluations),
        st.builds(lambda x: x.cumulative_eval(element.tail(2).mean(), min_samples=2), inner),
    )


def _whole(inner: st.SearchStrategy[pl.Expr]) -> st.SearchStrategy[pl.Expr]:
    return st.one_of(
        st.builds(lambda x: x.first(), inner),
        st.builds(lambda x: x.last(), inner),
        st.builds(lambda x: x.reverse().last(), inner),
        st.builds(lambda x: x.max(), inner),
        st.builds(lambda x: x.get(0), inner),
        st.builds(lambda x: x.rank(), inner),
        st.builds(lambda x, y: x.filter(y > 0).first(), inner, inner),
        st.builds(lambda x, key: x.first().over(key), inner, st.sampled_from(KEYS)),
        st.builds(lambda x, key: x.last().over(key), inner, st.sampled_from(KEYS)),
        st.builds(lambda x, key: x.cum_sum().over(key), inner, st.sampled_from(KEYS)),
        st.builds(
            lambda x, key, n: x.shift(n).over(key), inner, st.sampled_from(KEYS), st.integers(-1, 2)
        ),
        st.builds(lambda x, y: x.cum_sum().over(y > 0), inner, inner),
        st.builds(lambda x, y: x.cum_count().over("k", order_by=y).cast(pl.Float64), inner, inner),
    )


def expressions() -> st.SearchStrategy[pl.Expr]:
    """Float columns, or values that become one: causal and not."""
    leaves = st.sampled_from(
        [
            pl.col("close"),
            pl.col("b"),
            pl.col("volume"),
            pl.lit(1.5),
            ROW.cast(pl.Float64),
            pl.len().cast(pl.Float64),
        ]
    )
    # Most leaves are columns: a tree of literals says little.
    weighted = st.one_of(st.just(pl.col("close")), st.just(pl.col("b")), leaves)
    return st.recursive(
        weighted,
        lambda inner: st.one_of(
            _row_by_row(inner), _windows(inner), _windows(inner), _whole(inner), _odd(inner)
        ),
        max_leaves=5,
    )
