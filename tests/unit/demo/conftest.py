from __future__ import annotations

from pathlib import Path

import pytest

REAL_TRADES = "xrpeth-aggtrades-2019-10-11.parquet"


@pytest.fixture(scope="session")
def real_trades() -> Path:
    path = Path(__file__).resolve().parents[3].parent / "shared" / "data" / REAL_TRADES
    if not path.is_file():
        pytest.skip("the exchange trades of ../shared/data are absent")
    return path
