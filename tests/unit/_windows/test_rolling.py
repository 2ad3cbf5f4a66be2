from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rangebar_enrich._windows import Job, Layout, Window, result_dtype, rolling

from .conftest import DOUBLE, SINGLE, bits, compute, with_polars

NAN, INF = float("nan"), float("inf")


def pair(series):
    return series, series.reverse() * 0.5 + 2.0


def inputs_of(kind, series):
    return pair(series) if kind in DOUBLE else (series,)


@pytest.mark.parametrize("kind", [*SINGLE, *DOUBLE])
@pytest.mark.parametrize("size", [2, 5, 16, 100])
def test_is_what_polars_computes(kind, size):
    rng = np.random.default_rng(3)
    series = pl.Series(100.0 + rng.normal(size=600).cumsum())
    window = Window(kind, size, size)

    [actual] = compute(inputs_of(kind, series), window)
    expected = with_polars(inputs_of(kind, series), window)

    assert actual.dtype == expected.dtype
    assert actual.is_null().to_list() == expected.is_null().to_list()
    np.testing.assert_allclose(actual.to_numpy(), expected.to_numpy(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", [*SINGLE, *DOUBLE])
@pytest.mark.parametrize("min_samples", [1, 2, 4])
@pytest.mark.parametrize("options", [{}, {"ddof": 0, "bias": False, "fisher": False}], ids=str)
def test_counts_values_as_polars_does(kind, min_samples, options):
    values = [1.0, None, 4.0, 2.0, None, None, 9.0, 3.0, 5.0, 5.5, None, 7.0, 1.0, 0.5, 2.0]
    series = pl.Series(values)
    other = pl.Series(
        [2.0, 1.0, None, 5.0, 3.0, None, 4.0, 8.0, 1.0, 2.5, 6.0, 7.0, None, 4.0, 3.0]
    )
    inputs = (series, other) if kind in DOUBLE else (series,)
    window = Window(kind, 5, min_samples, **options)

    [actual] = compute(inputs, window)
    expected = with_polars(inputs, window)

    assert actual.is_null().to_list() == expected.is_null().to_list()
    np.testing.assert_allclose(
        actual.to_numpy(), expected.to_numpy(), rtol=1e-9, atol=1e-9, equal_nan=True
    )


INTEGERS = [pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64]


@pytest.mark.parametrize("kind", [*SINGLE, *DOUBLE])
@pytest.mark.parametrize("dtype", [*INTEGERS, pl.Float32, pl.Boolean], ids=str)
def test_has_the_type_that_polars_gives(kind, dtype):
    series = pl.Series([1, 0, 1, 1, None, 0, 1, 1, 1, 0]).cast(dtype)
    expected_type = result_dtype(kind, series.dtype)
    if expected_type is None:
        assert dtype == pl.Boolean
        return
    inputs = (series, series) if kind in DOUBLE else (series,)
    window = Window(kind, 3, 2)

    [actual] = compute(inputs, window)
    expected = with_polars(inputs, window)

    assert actual.dtype == expected.dtype == expected_type
    assert actual.is_null().to_list() == expected.is_null().to_list()
    np.testing.assert_allclose(
        actual.cast(pl.Float64).to_numpy(),
        expected.cast(pl.Float64).to_numpy(),
        rtol=1e-6,
        equal_nan=True,
    )


@pytest.mark.parametrize("dtype", [pl.Decimal(10, 2), pl.Duration("us"), pl.String, pl.Int128])
def test_leaves_other_types_to_polars(dtype):
    assert all(result_dtype(kind, dtype) is None for kind in SINGLE)


@pytest.mark.parametrize("kind", ["sum", "mean", "var", "std", "min", "max"])
def test_infinities_stay_in_their_windows(kind):
    values = [1.0, 2.0, NAN, 3.0, 4.0, INF, 5.0, 6.0, -INF, INF, 7.0, 8.0, 8.0, 8.0, 8.0]
    series, window = pl.Series(values), Window(kind, 3, 3)

    [actual] = compute(series, window)
    expected = with_polars((series,), window)

    assert actual.is_null().to_list() == expected.is_null().to_list()
    np.testing.assert_allclose(actual.to_numpy(), expected.to_numpy(), rtol=1e-15, atol=0.0)


def test_large_value_leaves_no_trace():
    calm = [0.01, -0.02, 0.015, 0.005, -0.01, 0.02, 0.01, -0.03, 0.0, 0.01] * 3

    [actual] = compute(pl.Series([5000.0, *calm]), Window("kurtosis", 10, 10))

    assert actual[-1] == pytest.approx(-0.5868945868945872, abs=1e-13)


def test_sum_of_zeros_is_zero():
    [actual] = compute(pl.Series([2.06, 0.888889, 0, 0, 0, 0]), Window("sum", 2, 2))

    assert actual.tail(3).to_list() == [0.0, 0.0, 0.0]


def test_constant_window_is_exact():
    shares = [0.3, 0.7, 0.1, 0.9, 0.25, 0.55, 0.35, 0.8, *[0.1] * 9]

    mean, std, skew = compute(
        pl.Series(shares), *(Window(kind, 5, 5) for kind in ("mean", "std", "skew"))
    )

    assert mean.tail(5).to_list() == [0.1] * 5
    assert std.tail(5).to_list() == [0.0] * 5
    assert skew.tail(5).is_nan().all()


def test_huge_value_that_left_was_never_there():
    windows = [Window(kind, 4, 4) for kind in SINGLE]
    tail = [1.0, 2.5, 2.0, 4.0, 1.5]

    after = compute(pl.Series([1e15, *tail]), *windows)
    never = compute(pl.Series([3.0, *tail]), *windows)

    assert [bits(one.tail(2)) for one in after] == [bits(one.tail(2)) for one in never]


@pytest.mark.parametrize(
    ("values", "window", "last"),
    [
        ([1e10 + 0.25, *[45.25] * 5], Window("std", 3, 3), 0.0),  # polars#9383
        ([0.6, 0.81, 0.6, 0.6, 0.6], Window("mean", 3, 3), 0.6),  # polars#21358
        ([0.1, 0.2, -0.3, 0.0, 0.0, 0.0], Window("sum", 3, 3), 0.0),  # polars#24738
        ([1e8, 1.1, 1.1, 1.1, 1.1], Window("var", 3, 3), 0.0),  # pandas#53289
        ([3.0e11, 0.3, 0.3, 0.3], Window("mean", 3, 3), 0.3),  # pandas#61071
        ([5e16, 1.0, 1.0, 1.0], Window("std", 2, 2), 0.0),  # pandas#28244
    ],
)
def test_no_residue_of_reported_cases(values, window, last):
    [actual] = compute(pl.Series(values), window)

    assert actual[-1] == last


def test_correlation_with_itself_is_one(walk):
    [actual] = compute((walk, walk), Window("corr", 20, 20))

    assert set(actual.drop_nulls().fill_nan(1.0).to_list()) == {1.0}


def test_window_wider_than_the_series_is_null():
    [whole, part] = compute(pl.Series([1.0, 2.0]), Window("mean", 5, 5), Window("mean", 5, 1))

    assert whole.to_list() == [None, None]
    assert part.to_list() == [1.0, 1.5]


@pytest.mark.parametrize("kind", [*SINGLE, *DOUBLE])
def test_no_rows_give_no_rows(kind):
    empty = pl.Series([], dtype=pl.Float64)

    [actual] = compute(inputs_of(kind, empty), Window(kind, 3, 3))

    assert actual.len() == 0


VALUES = st.one_of(
    st.none(),
    st.sampled_from([0.0, 0.1, 1.0, 1e15, -1.0, NAN, INF, -INF, 1e-9]),
    st.floats(-1e6, 1e6),
)
WINDOWS = st.builds(
    lambda kind, size, part, ddof, bias: Window(
        kind, size, max(1, size - part), ddof=ddof, bias=bias
    ),
    st.sampled_from(SINGLE),
    st.integers(1, 40),
    st.integers(0, 6),
    st.integers(0, 1),
    st.booleans(),
)


@given(st.lists(VALUES, min_size=1, max_size=70), WINDOWS, st.lists(VALUES, max_size=50), st.data())
def test_bits_depend_on_the_window_alone(values, window, before, data):
    series = pl.Series(values, dtype=pl.Float64)
    [alone] = compute(series, window)
    cut = data.draw(st.integers(0, len(values)))

    earlier = pl.Series([*before, *values], dtype=pl.Float64)
    bounds = [0, len(before), len(earlier)]
    [beside] = compute(earlier, window, starts=bounds)
    reach = max(0, cut - window.size + 1)
    tail = series.slice(reach)
    [increment] = compute(tail, window, starts=[0, len(tail)], skips=[cut - reach])
    chunked = pl.concat([series.head(cut), series.slice(cut)], rechunk=False)
    [in_chunks, _] = compute(chunked, window, Window("mean", 7, 7))

    assert bits(beside.slice(len(before))) == bits(alone)
    assert bits(in_chunks) == bits(alone)
    if reach == 0 or cut - reach == window.size - 1:
        assert bits(increment) == bits(alone.slice(cut))


@given(st.integers(1, 6), st.integers(1, 30), st.sampled_from(DOUBLE), st.integers(1, 12))
def test_pairs_of_many_series_have_the_bits_of_each(count, rows, kind, size):
    rng = np.random.default_rng(count * 100 + rows)
    left = pl.Series(rng.integers(0, 3, count * rows) / 7)
    right = pl.Series(rng.normal(size=count * rows))
    window = Window(kind, size, size)

    [together] = compute((left, right), window, starts=np.arange(count + 1) * rows)

    for index in range(count):
        part = slice(index * rows, (index + 1) * rows)
        [alone] = compute((left[part], right[part]), window)
        assert bits(together[part]) == bits(alone)


def test_blocks_and_threads_change_no_bit(walk):
    many = pl.concat([walk] * 50)
    windows = [Window(kind, size, size) for kind in SINGLE for size in (3, 50, 129)]

    whole = compute(many, *windows)
    tail = compute(many.tail(5_000), *windows)

    for one, other in zip(whole, tail, strict=True):
        assert bits(one.tail(4_800)) == bits(other.tail(4_800))


def test_jobs_of_one_shape_run_under_each_other(walk):
    windows = (Window("mean", 5, 5), Window("std", 20, 20), Window("max", 7, 7))
    columns = [walk.head(300), walk.slice(300, 300), walk.slice(900, 300).cast(pl.Float32)]
    layout = Layout.of([0, 100, 300], [50, 20])

    together = rolling([Job((one,), windows) for one in columns], layout)

    for one, made in zip(columns, together, strict=True):
        [alone] = rolling([Job((one,), windows)], layout)
        assert [bits(x) for x in made] == [bits(x) for x in alone]
        assert [x.dtype for x in made] == [one.dtype] * 3


def test_results_share_no_memory_with_inputs(walk):
    before = walk.to_list()

    [made] = compute(walk, Window("min", 1, 1))

    assert made.to_list() == before
    assert walk.to_list() == before
