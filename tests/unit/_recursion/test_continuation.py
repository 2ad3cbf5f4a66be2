from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import polars as pl
import pytest
from corpus.tried import tried
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from rangebar_enrich._recursion import Continuation, hold
from rangebar_enrich.errors import BarColumnError, HistoryError, NotHeldError

close, open_, volume = pl.col("close"), pl.col("open"), pl.col("volume")
row = pl.int_range(pl.len())

FEATURES: dict[str, pl.Expr] = {
    "ema": close.ewm_mean(span=12),
    "macd_signal": (
        close.ewm_mean(span=12, adjust=False) - close.ewm_mean(span=26, adjust=False)
    ).ewm_mean(span=9, adjust=False),
    "rsi": close.diff().clip(lower_bound=0).ewm_mean(alpha=1 / 14, min_samples=14)
    / close.diff().abs().ewm_mean(alpha=1 / 14, min_samples=14),
    "obv": pl.when(close > close.shift(1)).then(volume).otherwise(-volume).cum_sum(),
    "vwap": (close * volume).cum_sum() / volume.cum_sum(),
    "drawdown": close / close.cum_max() - 1,
    "lowest": close.cum_min(),
    "growth": (close / close.shift(1)).cum_prod(),
    "count": pl.when(close > open_).then(close).cum_count(),
    "streak": row - pl.when(close < open_).then(row).forward_fill(),
    "signal": pl.when(close > open_).then(1).when(close < open_).then(-1).forward_fill(),
    "above": (close > close.rolling_max(5).shift(1)).cum_sum(),
    "channel": close.rolling_mean(4).cum_max().shift(3).diff(),
    "warm": pl.when(row >= 10).then(close.ewm_mean(com=2, ignore_nulls=True)),
    "lag": close.shift(3),
    "one": pl.lit(1.0),
}


def _bars(values: Mapping[str, Sequence[object]]) -> pl.DataFrame:
    return pl.DataFrame(values, schema=dict.fromkeys(values, pl.Float64))


def _whole(exprs: Mapping[str, pl.Expr], bars: pl.DataFrame) -> pl.DataFrame:
    return bars.lazy().with_columns(**exprs).select(list(exprs)).collect(engine="in-memory")


def _in_parts(continuation: Continuation, bars: pl.DataFrame, sizes: Sequence[int]) -> pl.DataFrame:
    state, made, start = continuation.start(), [], 0
    for size in [*sizes, bars.height]:
        out, state = continuation.advance(state, bars.slice(start, size))
        state = continuation.state_from_bytes(state.to_bytes())
        made.append(out)
        start += size
    assert state.rows == bars.height
    return pl.concat(made)


def _same_bits(actual: pl.DataFrame, expected: pl.DataFrame) -> None:
    assert_frame_equal(actual, expected, check_exact=True)


# Multiples of 1/16 near 100: sums of them are exact, so no window depends on where it starts.
_value = st.integers(1_500, 1_700).map(lambda number: number / 16)
_odd = st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-300, 1e300])
_cell = st.one_of(_value, _value, _value, st.none(), _odd)
_plain_cell = st.one_of(_value, _value, st.none())
_sizes = st.lists(st.sampled_from([0, 1, 1, 1, 2, 3, 7, 20]), max_size=12)


@st.composite
def _bar_frames(draw: st.DrawFn, cell: st.SearchStrategy[object] = _cell) -> pl.DataFrame:
    height = draw(st.integers(0, 50))
    column = st.lists(cell, min_size=height, max_size=height)
    return _bars({name: draw(column) for name in ("close", "open", "volume")})


@tried(20, 150)
@given(bars=_bar_frames(), sizes=_sizes)
def test_features_any_split(bars: pl.DataFrame, sizes: list[int]) -> None:
    actual = _in_parts(hold(FEATURES), bars, sizes)
    _same_bits(actual, _whole(FEATURES, bars))


# A grammar of what can be continued. `exact` parts give the same bits wherever they start.
_alpha = st.sampled_from([1.0, 0.5, 1 / 3, 0.1, 0.003])
_column = st.sampled_from([close, open_, volume])


_options = st.fixed_dictionaries(
    {
        "alpha": _alpha,
        "adjust": st.booleans(),
        "ignore_nulls": st.booleans(),
        "min_samples": st.integers(0, 6),
    }
)


def _extended(inner: st.SearchStrategy[pl.Expr]) -> st.SearchStrategy[pl.Expr]:
    lag = st.integers(0, 4)
    return st.one_of(
        st.builds(lambda a, b: a + b, inner, inner),
        st.builds(lambda a, b: a - b, inner, inner),
        st.builds(lambda a, b: a * b, inner, inner),
        st.builds(lambda a, b: a / b, inner, inner),
        st.builds(lambda a, b: pl.when(a > b).then(a).otherwise(b / 2), inner, inner),
        st.builds(lambda a, b: pl.when(a >= b).then(a), inner, inner),
        st.builds(lambda a, b: a.fill_null(b), inner, inner),
        st.builds(lambda a, b: (a < b).cum_sum().cast(pl.Float64), inner, inner),
        st.builds(pl.max_horizontal, inner, inner),
        st.builds(lambda a: a.abs().log1p(), inner),
        st.builds(lambda a: a.clip(-50, 120).round(1), inner),
        st.builds(lambda a: -a.sqrt(), inner),
        st.builds(lambda a: a.fill_null(0.5), inner),
        st.builds(lambda a: a.fill_nan(None), inner),
        st.builds(lambda a: a.cast(pl.Float32).cast(pl.Float64), inner),
        st.builds(lambda a: a.is_null().cast(pl.Float64), inner),
        st.builds(lambda a, k: a.shift(k), inner, lag),
        st.builds(lambda a, k: a.shift(k, fill_value=1.0), inner, lag),
        st.builds(lambda a, k: a.diff(k), inner, lag),
        st.builds(lambda a, k: a.rolling_max(k + 1), inner, lag),
        st.builds(lambda a, k: a.rolling_min(k + 1, min_samples=1), inner, lag),
        st.builds(lambda a, k: a.forward_fill(k), inner, lag),
        st.builds(lambda a: a.cum_sum(), inner),
        st.builds(lambda a: a.cum_max(), inner),
        st.builds(lambda a: a.cum_min(), inner),
        st.builds(lambda a: a.cum_prod(), inner),
        st.builds(lambda a: a.cum_count().cast(pl.Float64), inner),
        st.builds(lambda a: a.forward_fill(), inner),
        st.builds(lambda a, options: a.ewm_mean(**options), inner, _options),
        st.builds(lambda a: a * (row + 1), inner),
    )


_leaf = st.one_of(_column, _column, st.builds(lambda a, w: a.rolling_sum(w), _column, st.just(3)))
_exprs = st.recursive(_leaf, _extended, max_leaves=6)


@tried(40, 400)
@given(exprs=st.lists(_exprs, min_size=1, max_size=3), bars=_bar_frames(_plain_cell), sizes=_sizes)
def test_expression_any_split(exprs: list[pl.Expr], bars: pl.DataFrame, sizes: list[int]) -> None:
    named = {f"x_{place}": expr for place, expr in enumerate(exprs)}
    _same_bits(_in_parts(hold(named), bars, sizes), _whole(named, bars))


@tried(40, 300)
@given(expr=st.recursive(_column, _extended, max_leaves=4), bars=_bar_frames(), sizes=_sizes)
def test_expression_odd_values(expr: pl.Expr, bars: pl.DataFrame, sizes: list[int]) -> None:
    _same_bits(_in_parts(hold({"x": expr}), bars, sizes), _whole({"x": expr}, bars))


@tried(15, 60)
@given(bars=_bar_frames(_plain_cell), sizes=_sizes)
def test_inexact_windows_any_split(bars: pl.DataFrame, sizes: list[int]) -> None:
    exprs = {
        "std_ema": close.rolling_std(5).ewm_mean(span=4),
        "zscore": (close - close.ewm_mean(span=6)).rolling_mean(4),
    }
    actual, expected = _in_parts(hold(exprs), bars, sizes), _whole(exprs, bars)
    # A window's running sum starts with the context, so its last digits differ.
    assert_frame_equal(actual, expected, rel_tol=0, abs_tol=1e-9)


@pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt16, pl.Int64, pl.Float32, pl.Boolean], ids=str)
def test_fold_dtype_kept(dtype: type[pl.DataType]) -> None:
    exprs = {
        name: getattr(close, name)()
        for name in ("cum_sum", "cum_prod", "cum_max", "cum_min", "cum_count", "forward_fill")
    }
    bars = pl.DataFrame({"close": pl.Series([None, 1, 0, None, 1, 1]).cast(dtype)})
    _same_bits(_in_parts(hold(exprs), bars, [1, 2, 0, 1]), _whole(exprs, bars))


def test_folds_of_times_and_words() -> None:
    bars = pl.DataFrame({"time": [3, None, 5, 4], "word": ["b", None, "c", None]})
    bars = bars.cast({"time": pl.Datetime("us", "UTC")})
    exprs = {
        "latest": pl.col("time").cum_max(),
        "known": pl.col("word").forward_fill(),
        "greatest": pl.col("word").cum_max().str.len_bytes(),
    }
    _same_bits(_in_parts(hold(exprs), bars, [1, 1, 1]), _whole(exprs, bars))


@pytest.mark.parametrize(
    ("start", "dtype"),
    [(-2, pl.Int64), (0, pl.Int64), (7, pl.Int64), (0, pl.UInt32), (1, pl.UInt8)],
    ids=str,
)
def test_row_number_any_start(start: int, dtype: type[pl.DataType]) -> None:
    number = pl.int_range(start, pl.len() + start, dtype=dtype)
    exprs = {"row": number.clip(lower_bound=0), "age": number - number.cum_max().shift(1)}
    bars = _bars({"close": [1.0] * 5})
    _same_bits(_in_parts(hold(exprs), bars, [2, 1]), _whole(exprs, bars))


def test_constants_alone() -> None:
    exprs = {"one": pl.lit(1.0), "sum": pl.lit(2).cum_sum()}
    continuation = hold(exprs)
    actual = _in_parts(continuation, _bars({"close": [5.0] * 3}), [1, 0])
    assert actual.to_dict(as_series=False) == {"one": [1.0] * 3, "sum": [2] * 3}
    assert continuation.inputs == ()
    assert not hold({"lag": close.shift(2)}).is_recursive


def test_context_rows_shared_parts() -> None:
    ema = close.ewm_mean(span=5)
    continuation = hold({"a": ema.shift(3), "b": (ema - open_).rolling_mean(8).cum_sum(), "c": ema})
    assert continuation.context_rows == 7
    assert continuation.inputs == ("close", "open")
    assert continuation.columns == ("a", "b", "c")
    assert continuation.is_recursive
    state = continuation.advance(
        continuation.start(), _bars({"close": [1.0] * 99, "open": [2.0] * 99})
    )[1]
    assert state.context is not None
    assert state.context.height == 7
    # Two inputs, one ema for all three and one sum.
    assert state.context.width == 4


def test_context_rows_times() -> None:
    continuation = hold({"x": close.sort_by("close_time").cum_sum()})
    assert continuation.times == {"close_time"}
    assert continuation.inputs == ("close", "close_time")


def test_advance_large_increments_exact() -> None:
    cells = [None if place % 997 == 5 else 100 + math.sin(place) for place in range(30_000)]
    bars = _bars({"close": cells, "open": cells[::-1], "volume": [1.5] * len(cells)})
    exprs = {name: expr for name, expr in FEATURES.items() if name != "channel"}
    _same_bits(_in_parts(hold(exprs), bars, [1, 9_000, 2_000, 1, 12_000]), _whole(exprs, bars))


def test_equal_rows_divide_as_columns() -> None:
    """To Polars, equal rows that come one by one may be a constant; see the note in `_join`."""
    closes = [100.0, *(95 + place / 7 for place in range(30))]
    bars = _bars({"close": closes, "open": [99.0] * 31})
    exprs = {"drawdown": close / close.cum_max(), "ratio": close / open_, "lag": close.shift(6)}
    _same_bits(_in_parts(hold(exprs), bars, [1] * 30), _whole(exprs, bars))


def test_advance_keeps_its_state() -> None:
    continuation = hold({"sum": close.cum_sum(), "ema": close.ewm_mean(span=3)})
    first = continuation.advance(continuation.start(), _bars({"close": [1.0, 2.0]}))[1]
    once = continuation.advance(first, _bars({"close": [4.0]}))[0]
    continuation.advance(first, _bars({"close": [8.0]}))
    again = continuation.advance(first, _bars({"close": [4.0]}))[0]
    _same_bits(again, once)


def test_advance_missing_column() -> None:
    continuation = hold({"x": close / open_})
    with pytest.raises(BarColumnError, match=r"1 column\(s\) that the expressions read:\n- 'open'"):
        continuation.advance(continuation.start(), _bars({"close": [1.0]}))


def test_advance_changed_dtype() -> None:
    continuation = hold({"x": close.cum_sum()})
    state = continuation.advance(continuation.start(), _bars({"close": [1.0]}))[1]
    with pytest.raises(BarColumnError, match="- 'close': got Int64, expected Float64"):
        continuation.advance(state, pl.DataFrame({"close": [1]}))


@pytest.mark.parametrize(
    "other",
    [close.cum_min(), close.ewm_mean(span=4), open_.ewm_mean(span=3)],
    ids=["operator", "option", "column"],
)
def test_advance_foreign_state(other: pl.Expr) -> None:
    ours, theirs = hold({"x": close.ewm_mean(span=3)}), hold({"x": other})
    bars = _bars({"close": [1.0], "open": [1.0]})
    with pytest.raises(HistoryError, match="The state belongs to other expressions"):
        ours.advance(theirs.start(), bars)
    with pytest.raises(HistoryError, match="The state belongs to other expressions"):
        ours.state_from_bytes(theirs.start().to_bytes())


def test_hold_names_every_refusal() -> None:
    exprs = {"a": close.ewm_std(span=3), "b": close.cum_sum(), "c": close.mean()}
    with pytest.raises(NotHeldError, match=r"^2 expression\(s\) can't be continued") as caught:
        hold(exprs)
    assert sorted(caught.value.reasons) == ["a", "c"]
    lines = str(caught.value).splitlines()
    assert lines[1] == (
        "- 'a': `pl.col(\"close\").ewm_std()` depends on every earlier row, and `ewm_std` is not held: "
        "only cum_sum, cum_prod, cum_min, cum_max, cum_count, forward_fill and ewm_mean are"
    )
    assert lines[2] == "- 'c': `pl.col(\"close\").mean()` reads to the end of the series"
    assert lines[3] == (
        "Hint: declare `lookback` (the unstable period) in the provider, or give the whole history."
    )
