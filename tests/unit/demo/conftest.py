from __future__ import annotations

from pathlib import Path

import pytest

REAL_TRADES = "xrpeth-aggtrades-2019-10-11.parquet"


@pytest.fixture(scope="session")
def real_trades() -> Path:
    for folder in Path(__file__).resolve().parents:
        path = folder.parent / "shared" / "data" / REAL_TRADES
        if (folder / "pyproject.toml").is_file() and path.is_file():
            return path
    pytest.skip("the exchange trades of ../shared/data are absent")
