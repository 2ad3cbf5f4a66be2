from __future__ import annotations

import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rangebar_enrich._provider.discovery import reset_provider_cache
from rangebar_enrich.cli import main

PROVIDERS = """
import polars as pl

class Good:
    name, version, columns, min_bars = "good", "1.0", ("good_return",), 1
    def expressions(self, context):
        return [pl.col("close").pct_change().alias("good_return")]

class Failing:
    name, version, columns, min_bars = "failing", "1.0", ("failing_a",), 0
    def expressions(self, context):
        raise RuntimeError("no licence")

class Unprefixed:
    name, version, columns, min_bars = "unprefixed", "1.0", ("a",), 0
    def expressions(self, context):
        return [pl.col("close").alias("a")]
"""


@pytest.fixture
def bars() -> pa.Table:
    rng = np.random.default_rng(4)
    closes = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.0025, 61)))
    times = 1_704_672_000_000_000 + np.arange(60) * 1_000_000
    opens, closes = closes[:-1], closes[1:]
    columns = {
        "open_time": times,
        "close_time": times + 999_000,
        "open": opens,
        "high": np.maximum(opens, closes),
        "low": np.minimum(opens, closes),
        "close": closes,
        "volume": rng.lognormal(size=60),
    }
    metadata = {"symbol": "SIM", "threshold_decimal_bps": "250", "mine": "kept"}
    return pa.table(columns).replace_schema_metadata(metadata)


@pytest.fixture
def work(bars, tmp_path, monkeypatch):
    """Return a working directory with bars and a module of providers, as a user has."""
    pq.write_table(bars, tmp_path / "bars.parquet")
    (tmp_path / "cli_providers.py").write_text(PROVIDERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("cli_providers", None)


@pytest.fixture
def no_plugins(monkeypatch):
    monkeypatch.setenv("RANGEBAR_ENRICH_PROVIDERS", "none-of-them")
    reset_provider_cache()
    yield
    reset_provider_cache()


@pytest.fixture
def run(capsys):
    """Return a function that runs a command line and returns exit code, stdout and stderr."""

    def call(*args):
        with pytest.raises(SystemExit) as stopped:
            main([str(arg) for arg in args])
        out, err = capsys.readouterr()
        return stopped.value.code or 0, out, err

    return call


@pytest.fixture
def run_json(run):
    """Return a function that runs a command line with `--json` and reads what it prints."""

    def call(*args):
        code, out, _ = run(*args, "--json")
        return code, json.loads(out)

    return call
