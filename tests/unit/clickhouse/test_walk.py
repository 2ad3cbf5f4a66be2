from __future__ import annotations

import numpy as np
import pytest

from rangebar_enrich.clickhouse.walk import cut, inside, spans
from rangebar_enrich.clickhouse.worklist import Run


def runs(*bounds):
    return [Run(first, last, 1) for first, last in bounds]


def test_inside_marks_the_rows_of_runs():
    times = np.array([1, 3, 5, 7, 9])
    assert inside(times, runs((3, 5), (8, 20))).tolist() == [False, True, True, False, True]


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        pytest.param(None, 4, {"a": [(1, 4)], "b": [(2, 3)]}, id="up-to"),
        pytest.param(5, None, {"a": [(5, 6), (8, 9)]}, id="from"),
        pytest.param(7, 7, {}, id="between"),
    ],
)
def test_cut_leaves_what_lies_inside(first, last, expected):
    found = cut({"a": runs((1, 6), (8, 9)), "b": runs((2, 3))}, first, last)
    shown = {name: [(one.first_ms, one.last_ms) for one in some] for name, some in found.items()}
    assert shown == expected


def test_spans_join_what_overlaps():
    found = spans({"a": runs((1, 4), (10, 12)), "b": runs((3, 6), (12, 13))})
    assert found == [(1, 6), (10, 13)]
