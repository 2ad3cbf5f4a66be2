from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from rangebar_enrich.clickhouse.marks import Marks, with_follows

MARKS = Marks(
    stamp_ms=50, first_ms=10, last_ms=None, begins=False, is_current=True, providers=("p",)
)


def rows(**more):
    return pa.table({"close_time_ms": [10, 20, 30], **more})


def facts(table):
    return {name: table[name].to_pylist() for name in ("_bar_at", "_made_p")}


@pytest.mark.parametrize(
    ("changes", "bar_at", "made"),
    [
        pytest.param({}, [50, 50, 50], [50, 50, 50], id="first-of-all"),
        pytest.param({"last_ms": 20}, [50, 50, 50], [0, 0, 50], id="before-stored-bars"),
        pytest.param({"begins": True}, [0, 50, 50], [0, 50, 50], id="run-began-in-the-middle"),
        pytest.param({"is_current": False}, [50, 50, 50], [0, 0, 0], id="read-too-early"),
    ],
)
def test_new_bars_know_what_came_before(changes, bar_at, made):
    marked = replace(MARKS, **changes).mark_new(rows())
    assert facts(marked) == {"_bar_at": bar_at, "_made_p": made}


def test_equal_bars_keep_when_they_changed():
    stored = rows(_bar_at=[7, 0, 9])
    assert facts(MARKS.mark_same(stored)) == {"_bar_at": [7, 0, 9], "_made_p": [50, 50, 50]}


def test_changed_bars_are_known_to_nobody():
    marked = MARKS.mark_changed(rows(_bar_at=[7, 8, 9], _made_other=[9, 9, 9]))
    assert facts(marked) == {"_bar_at": [50, 50, 50], "_made_p": [0, 0, 0]}
    assert marked["_made_other"].to_pylist() == [0, 0, 0]


def test_bars_without_features_are_never_unknown():
    marked = replace(MARKS, begins=True, is_current=False, providers=()).mark_new(rows())
    assert marked["_bar_at"].to_pylist() == [50, 50, 50]


@pytest.mark.parametrize(("before", "first"), [(None, 0), (5, 5)])
def test_bars_follow_each_other(before, first):
    assert with_follows(rows(), before)["_follows"].to_pylist() == [first, 10, 20]
