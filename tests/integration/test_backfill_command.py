from __future__ import annotations

import json
import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from rangebar_enrich.demo import build_bars, simulate_trades

pytest.importorskip("chdb")
pytest.importorskip("rangebar")

TREND = "rangebar_enrich.demo.providers:TrendProvider"
FLOW = "rangebar_enrich.demo.providers:FlowProvider"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a directory with bars that were loaded with one provider's features."""
    made = tmp_path_factory.mktemp("backfill")
    bars = build_bars(simulate_trades(40_000), symbol="SIM", threshold_decimal_bps=250)
    pq.write_table(bars, made / "bars.parquet")
    assert run(made, "load", "bars.parquet", "--provider", TREND).returncode == 0
    return made


def run(folder, *args):
    """Run the command in a process of its own: the embedded engine knows one path in each."""
    env = os.environ | {"COLUMNS": "80", "RANGEBAR_ENRICH_URL": f"chdb://{folder / 'store'}"}
    command = [sys.executable, "-c", "from rangebar_enrich.cli import main; main()", *args]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_migrate_then_backfill_then_nothing_to_do(folder):
    rows = pq.read_metadata(folder / "bars.parquet").num_rows
    both = ("--provider", TREND, "--provider", FLOW, "--json")
    added = run(folder, "migrate", *both)
    assert json.loads(added.stdout)["added"] == ["flow_imbalance_10", "flow_pace_50"]
    assert json.loads(run(folder, "migrate", *both).stdout)["added"] == []
    first = run(folder, "backfill", *both)
    assert first.returncode == 0
    (series,) = map(json.loads, first.stdout.splitlines())
    assert (series["rows"], series["outdated"]) == (rows, {"flow": rows})
    (again,) = map(json.loads, run(folder, "backfill", *both).stdout.splitlines())
    assert (again["rows"], again["outdated"]) == (0, {})


def test_backfill_of_another_symbol_looks_at_nothing(folder):
    done = run(folder, "backfill", "--provider", TREND, "--symbol", "OTHER")
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 series looked at in rangebar_cache.range_bars" in done.stdout


def test_backfill_without_a_provider_is_a_wrong_call(folder, monkeypatch):
    monkeypatch.setenv("RANGEBAR_ENRICH_PROVIDERS", "none-of-them")
    done = run(folder, "backfill")
    assert done.returncode == 2
    assert "no provider is installed or named" in " ".join(done.stderr.split())
