from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rangebar_enrich.cli import main

pytest.importorskip("chdb")
pytest.importorskip("rangebar")


def plain(text):
    """Return a message without the box that typer draws around it."""
    return " ".join(text.replace("│", " ").split())


def run(*args, folder, **env):
    """Run the command in a process of its own: the embedded engine knows one path in each."""
    return subprocess.run(
        [sys.executable, "-c", "from rangebar_enrich.cli import main; main()", *map(str, args)],
        cwd=folder,
        env=os.environ | {"COLUMNS": "80"} | env,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def real_trades() -> Path:
    root = Path(__file__).resolve().parents[2]
    path = root.parent / "shared" / "data" / "xrpeth-aggtrades-2019-10-11.parquet"
    if not path.is_file():
        pytest.skip("the exchange trades of ../shared/data are absent")
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run the demo twice in one directory."""
    folder = tmp_path_factory.mktemp("demo")
    return folder, run("demo", folder=folder), run("demo", folder=folder)


def test_demo_runs_the_whole_job(runs):
    folder, first, _ = runs
    assert (first.returncode, first.stderr) == (0, "")
    assert "SIM7 at 250 dbps (0.25 %)" in first.stdout
    assert "Equal to what was enriched: bit for bit, null for null." in first.stdout
    assert "<html>" in (folder / "demo" / "chart.html").read_text(encoding="utf-8")[:200]


def test_demo_shows_three_good_providers(runs):
    lines = [line.split() for line in runs[1].stdout.splitlines()]
    statuses = [line for line in lines if line[-1:] == ["ok"]]
    assert [line[0] for line in statuses[:2]] == ["trend", "flow"]
    assert len(statuses) == 3


def test_demo_times_every_stage(runs):
    stages = ["simulate trades", "build bars", "enrich", "write", "read back", "chart"]
    assert all(f"\n{stage} " in runs[1].stdout for stage in stages)


def test_demo_again_leaves_the_same_rows(runs):
    folder, first, second = runs
    rows = pq.read_metadata(folder / "demo" / "bars.parquet").num_rows
    assert f"Stored rows of the series: 0 before, {rows:,} after." in first.stdout
    same = f"{rows:,} before, {rows:,} after; a repeated run leaves the same rows."
    assert (second.returncode, same in second.stdout) == (0, True)


def test_demo_output_fits_80_columns(runs):
    assert (
        max(len(line.rstrip()) for line in runs[1].stdout.splitlines() if "chdb://" not in line)
        <= 80
    )


@pytest.mark.slow
def test_demo_tells_of_other_rows_under_its_key(tmp_path):
    first = run("demo", "--symbol", "SAME", "--seed", "1", folder=tmp_path)
    second = run("demo", "--symbol", "SAME", "--seed", "2", folder=tmp_path)
    assert (first.returncode, second.returncode) == (0, 1)
    assert "what came back is not what was enriched" in second.stderr
    assert "choose another --symbol or --output" in second.stderr


@pytest.mark.slow
@pytest.mark.real_data
def test_demo_takes_a_file_of_real_trades(real_trades, tmp_path):
    done = run("demo", "--trades", real_trades, "--dbps", "50", "--output", "a b", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "XRPETH at 50 dbps" in done.stdout
    assert pq.read_metadata(tmp_path / "a b" / "bars.parquet").num_rows == 3_064


@pytest.mark.parametrize(
    ("name", "text", "code", "told"),
    [
        ("absent.csv", None, 2, "does not exist"),
        ("BTC-bad.csv", "open,high\n1,2\n", 1, "Trades lack 4 needed column(s)"),
        ("trades.csv", "p,q,T,m\n1.0,1.0,1704672000000,true\n", 1, "does not tell the symbol"),
        ("BTC-few.csv", "p,q,T,m\n1.0,1.0,1704672000000,true\n", 1, "No bar closed: 1 trades"),
    ],
    ids=["absent", "columns", "symbol", "no-bar"],
)
def test_demo_refuses_trades_it_cannot_use(tmp_path, monkeypatch, capsys, name, text, code, told):
    if text:
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["demo", "--trades", name])
    errors = capsys.readouterr().err
    assert stopped.value.code == code
    assert told in plain(errors)
    assert "Traceback" not in errors


@pytest.mark.slow
def test_load_twice_leaves_the_same_rows(runs, tmp_path):
    bars = runs[0] / "demo" / "bars.parquet"
    url = {"RANGEBAR_ENRICH_URL": f"chdb://{tmp_path / 'store'}"}
    args = ("load", bars, "--provider", "rangebar_enrich.demo.providers:TrendProvider")
    loads = [run(*args, folder=tmp_path, **url) for _ in range(2)]
    rows = pq.read_metadata(bars).num_rows
    assert [done.returncode for done in loads] == [0, 0]
    assert f"{rows:,} bars stored in rangebar_cache.range_bars" in loads[0].stdout
    count = (
        "from rangebar_enrich.clickhouse import BarStore\n"
        "with BarStore.connect() as store:\n"
        "    bars = store.read('SIM7', 250, plugin_features=True)\n"
        "print(bars.num_rows, bars.column('trend_return_20').null_count)"
    )
    env = os.environ | url
    done = subprocess.run(
        [sys.executable, "-c", count], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{rows} 20\n"


def test_load_needs_to_know_the_series(runs, tmp_path):
    table = pq.read_table(runs[0] / "demo" / "bars.parquet").replace_schema_metadata(None)
    pq.write_table(table, tmp_path / "bars.parquet")
    done = run("load", "bars.parquet", folder=tmp_path)
    assert done.returncode == 2
    assert "--symbol and --threshold" in plain(done.stderr)


@pytest.mark.slow
def test_load_tells_of_a_database_that_cannot_be_opened(runs, tmp_path):
    (tmp_path / "taken").write_text("a file, not a directory")
    bars = Path(runs[0]) / "demo" / "bars.parquet"
    done = run("load", bars, "--url", f"chdb://{tmp_path}/taken", "--json", folder=tmp_path)
    assert done.returncode == 1
    assert '"error": ' in done.stdout
    assert "Traceback" not in done.stderr
