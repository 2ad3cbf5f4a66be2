from __future__ import annotations

import math

import numpy as np
import polars as pl
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from rangebar_enrich._bars.feature import WarmUp, feature_array

NUMBERS = st.none() | st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 1.5, 1e-300])
LENGTHS = st.lists(st.integers(0, 25), min_size=1, max_size=5)


def _naive(values, lengths, before, rows):
    """Read the promise off row by row."""
    place = [b + i for length, b in zip(lengths, before, strict=True) for i in range(length)]
    return [
        None if at < rows or value is None or math.isnan(value) else value
        for value, at in zip(values, place, strict=True)
    ]


def _same(actual, expected):
    return [(x, math.copysign(1, x)) if x is not None else None for x in actual] == [
        (x, math.copysign(1, x)) if x is not None else None for x in expected
    ]


@st.composite
def _series_of_bars(draw):
    lengths = draw(LENGTHS)
    before = [draw(st.integers(0, 10)) for _ in lengths]
    values = [draw(NUMBERS) for _ in range(sum(lengths))]
    return values, lengths, before


def _laid_out(values, offset, cut):
    """Return the values as a Polars series of two chunks, its first one sliced by `offset`."""
    padded = pl.Series("x", [7.0, None, math.nan] * 3 + values, dtype=pl.Float64)
    front = padded[9 - offset :][offset:]
    cut = min(cut, len(front))
    return pl.concat([front[:cut], front[cut:]], rechunk=False)


@given(_series_of_bars(), st.integers(0, 12), st.integers(0, 9), st.integers(0, 40))
def test_feature_array_equals_a_naive_reading(case, rows, offset, cut):
    values, lengths, before = case
    warm_up = WarmUp(np.array(lengths, dtype=np.int64), before)
    whole = _laid_out(values, offset, cut)
    ends = np.cumsum(lengths)
    apart = [whole[int(end - rows) : int(end)] for end, rows in zip(ends, lengths, strict=True)]

    for pieces in ([whole], apart):
        array = feature_array(pieces, warm_up.bitmaps(rows, len(pieces)))

        assert array.type == pa.float64()
        array.validate(full=True)
        assert _same(array.to_pylist(), _naive(values, lengths, before, rows))


@given(st.integers(0, 2**32 - 1), st.integers(1, 70))
def test_warm_up_longer_than_the_bars_masks_them_all(rows, height):
    warm_up = WarmUp(np.array([height], dtype=np.int64), [0])

    array = feature_array([pl.Series([1.0] * height)], warm_up.bitmaps(rows, 1))

    assert array.null_count == min(rows, height)


def test_feature_array_shares_the_data_of_the_series():
    series = pl.Series(np.arange(100.0))
    warm_up = WarmUp(np.array([100], dtype=np.int64), [0])

    data = feature_array([series], warm_up.bitmaps(20, 1)).chunk(0).buffers()[1]

    assert data.address == pa.chunked_array(series).chunk(0).buffers()[1].address


def test_feature_array_leaves_the_series_alone():
    series = pl.Series([1.0, math.nan, 3.0])
    warm_up = WarmUp(np.array([3], dtype=np.int64), [0])

    assert feature_array([series], warm_up.bitmaps(1, 1)).to_pylist() == [None, None, 3.0]
    assert str(series.to_list()) == "[1.0, nan, 3.0]"


def test_feature_array_casts_booleans_and_integers():
    flags, counts = pl.Series([True, None]), pl.Series([2**53, None], dtype=pl.UInt64)

    assert feature_array([flags, counts], [None, None]).to_pylist() == [1.0, None, 2.0**53, None]
