from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rangebar_enrich.clickhouse.chunks import chunk_bounds

ZONES = [UTC, ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata")]


def month(time_ms: int, zone) -> tuple[int, int]:
    moment = datetime.fromtimestamp(time_ms / 1000, zone)
    return moment.year, moment.month


@given(
    st.lists(st.integers(946_684_800_000, 1_893_456_000_000), max_size=60, unique=True),
    st.integers(1, 7),
    st.sampled_from(ZONES),
)
def test_chunks_cover_all_rows_one_month_each(times, rows, zone):
    values = np.array(sorted(times), dtype=np.int64)
    bounds = list(chunk_bounds(values, zone, rows=rows))
    covered = [row for start, stop in bounds for row in range(start, stop)]
    assert covered == list(range(len(values)))
    for start, stop in bounds:
        assert 0 < stop - start <= rows
        assert len({month(int(time), zone) for time in values[start:stop]}) == 1


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_chunks_cut_at_the_first_of_the_month(zone):
    edge = int(datetime(2024, 3, 1, tzinfo=zone).timestamp() * 1000)
    values = np.array([edge - 2, edge - 1, edge, edge + 1])
    assert list(chunk_bounds(values, zone)) == [(0, 2), (2, 4)]


def test_chunks_of_nothing():
    assert list(chunk_bounds(np.array([], dtype=np.int64))) == []
