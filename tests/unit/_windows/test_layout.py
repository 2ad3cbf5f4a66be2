from __future__ import annotations

import numpy as np
import pytest

from rangebar_enrich._windows.layout import Layout


@pytest.mark.parametrize(
    ("starts", "skips"),
    [
        ([0, 10], []),
        ([0, 10], [9]),
        ([0, 3, 3, 50], [1, 0, 20]),
        ([0, 40_000], []),
        ([0, 5, 60_000, 60_010], [2, 30, 0]),
        (list(range(0, 90_001, 90)), [89] * 1_000),
    ],
)
@pytest.mark.parametrize("reach", [0, 4, 130])
def test_tiles_hold_every_result_once(starts, skips, reach):
    layout = Layout.of(starts, skips)
    column = np.arange(starts[-1], dtype=np.float64)
    made = np.full(layout.results, -1.0)

    for tile in layout.tiles(reach):
        rows = tile.take(column, np.nan)
        assert rows.shape[-1] == reach + tile.results
        tile.put(rows[..., reach:], made)

    assert made.tolist() == layout.row_of.tolist()


def test_rows_before_a_series_are_filled():
    [tile] = Layout.of([0, 2, 5]).tiles(3)

    taken = tile.take(np.arange(5.0), -1.0)

    assert taken.tolist() == [[-1, -1, -1, -1, 0, 1], [-1, -1, -1, 2, 3, 4]]


def test_head_is_what_reaches_before_the_series():
    layout = Layout.of([0, 4, 10], [1, 0])

    head, places = layout.head(2)

    assert head.row_of.tolist() == [1, 4, 5]
    assert places.tolist() == [0, 3, 4]


def test_repeated_columns_stand_one_after_the_other():
    layout = Layout.of([0, 2, 5], [1, 1]).repeated(2)

    assert layout.row_of.tolist() == [1, 3, 4, 6, 8, 9]
    assert layout.start_of.tolist() == [0, 2, 2, 5, 7, 7]
