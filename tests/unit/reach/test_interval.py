from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from rangebar_enrich.reach.interval import (
    CONSTANT,
    ROW,
    SERIES,
    Interval,
    Shape,
    mirror,
    union,
    window,
)

OFFSETS = st.integers(-50, 50) | st.sampled_from([-inf, inf])
INTERVALS = st.builds(
    lambda one, other: Interval(min(one, other), max(one, other)), OFFSETS, OFFSETS
)


def test_window_reads_that_a_row_exists():
    there_and_back = window(window(ROW, -1, -1), 1, 1)
    back_and_there = window(window(ROW, 1, 1), -1, -1)
    assert (there_and_back.past, there_and_back.future) == (0, 1)
    assert (back_and_there.past, back_and_there.future) == (1, 0)


@given(INTERVALS, st.integers(0, 20), st.integers(0, 20))
def test_window_never_shrinks(span, before, after):
    wide = window(span, -before, after)
    assert wide.low <= min(span.low, 0)
    assert wide.high >= max(span.high, 0)


@given(INTERVALS, st.integers(-20, 20))
def test_mirror_turns_a_shift_around(span, rows):
    turned = mirror(window(mirror(span), rows, rows))
    assert turned == window(span, -rows, -rows)


@given(st.lists(INTERVALS, min_size=1))
def test_union_holds_each_part(spans):
    whole = union(spans)
    assert whole.low == min(span.low for span in spans)
    assert whole.high == max(span.high for span in spans)


def test_union_of_constants_is_one():
    assert union([CONSTANT, CONSTANT]) == CONSTANT
    assert union([CONSTANT, ROW]) == ROW


def test_union_of_both_directions_reads_everything():
    assert union([ROW, mirror(ROW)]).future == inf


def test_union_with_a_literal_series_has_no_known_length():
    assert union([ROW, SERIES]).shape is Shape.UNKNOWN


def test_a_mirrored_column_reads_both_ways():
    assert (mirror(ROW).past, mirror(ROW).future) == (inf, inf)
