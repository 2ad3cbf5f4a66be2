from __future__ import annotations

import pyarrow as pa
import pytest

START_MS = 1_704_067_200_000


@pytest.fixture
def bars() -> pa.Table:
    """Three good bars under the table's names."""
    return pa.table(
        {
            "close_time_ms": [START_MS + 1000, START_MS + 2000, START_MS + 3000],
            "open_time_ms": [START_MS, START_MS + 1000, START_MS + 2000],
            "open": [100.0, 101.0, 100.5],
            "high": [101.5, 101.0, 102.0],
            "low": [99.5, 100.0, 100.0],
            "close": [101.0, 100.5, 101.5],
            "volume": [5.0, 0.0, 7.5],
        }
    )
