from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from rangebar_enrich._trial.comparison import (
    first_change,
    first_differences,
    input_scale,
    is_same,
    shown,
)


@pytest.mark.parametrize(
    ("one", "other", "row"),
    [
        ([1.0, 2.0], [1.0, 2.0], None),
        ([1.0, 2.0], [1.0, 2.0 + 1e-12], None),
        ([1.0, 2.0], [1.0, 2.1], 1),
        ([1.0, None], [1.0, 2.0], 1),
        ([None, 1.0], [None, 1.0], None),
        ([math.nan, 1.0], [math.nan, 1.0], None),
        ([math.nan, 1.0], [None, 1.0], 0),
        ([math.inf, 1.0], [math.inf, 1.0], None),
        ([math.inf, 1.0], [-math.inf, 1.0], 0),
        ([1, 2], [1, 3], 1),
        (["a", "b"], ["a", None], 1),
        ([[1.0], [2.0]], [[1.0], [3.0]], 1),
    ],
    ids=str,
)
def test_first_change(one, other, row):
    actual = first_change(pl.Series(one), pl.Series(other), 2, scale=100.0)
    assert actual == row


def test_first_change_looks_at_the_leading_rows_only():
    one, other = pl.Series([1.0, 2.0]), pl.Series([1.0, 3.0])
    assert first_change(one, other, 1, scale=1.0) is None


def column(*values):
    return np.array(values, dtype=float)[:, None]


@pytest.mark.parametrize(
    ("before", "after", "row"),
    [
        (column(1.0, 2.0), column(1.0, 2.0 + 1e-10), None),
        (column(1.0, 2.0), column(1.0, 2.0 + 1e-8), 1),
        (column(math.nan, 1.0), column(math.nan, 1.0), None),
        (column(math.nan, 1.0), column(0.0, 1.0), 0),
        (column(math.inf, 1.0), column(-math.inf, 1.0), 0),
        (column(1e9, 1.0), column(1e9, 1.5), None),
    ],
    ids=str,
)
def test_first_differences(before, after, row):
    found = first_differences(before, after)

    assert [one.row for one in found] == ([] if row is None else [row])


def test_rounding_of_what_was_read_is_no_difference():
    before, after = column(0.0, 0.0), column(0.0, 1e-13)

    assert first_differences(before, after, scale=100.0) == []
    assert len(first_differences(before, after)) == 1


def test_both_comparisons_have_one_tolerance():
    one = [1.0, 5.0, 100.0]
    for step in (1e-9, 5e-8, 2e-7):
        other = [1.0, 5.0 + step, 100.0]
        found = first_differences(column(*one), column(*other), scale=100.0)
        change = first_change(pl.Series(one), pl.Series(other), 3, scale=100.0)
        assert (change is not None) is bool(found)


def test_input_scale_leaves_fixed_point_out():
    frame = pl.DataFrame({"close": [-7.0, 3.0], "turnover": [1e17, 1e18], "count": [10**9, 1]})

    assert input_scale(frame) == 7.0
    assert input_scale(frame, pl.DataFrame({"x": [math.nan, 90.0]})) == 90.0
    assert input_scale(frame[["turnover"]]) == 0.0


def test_is_same_means_the_bits():
    assert is_same(column(1.0, math.nan), column(1.0, math.nan)).tolist() == [True]
    assert is_same(column(1.0), column(1.0 + 1e-15)).tolist() == [False]
    assert is_same(column(1.0), column(1.0, 2.0)).tolist() == [False]


@pytest.mark.parametrize(
    ("value", "text"), [(None, "null"), (math.nan, "null"), (0.1, "0.1"), (3, "3"), ("a", "a")]
)
def test_shown(value, text):
    assert shown(value) == text
