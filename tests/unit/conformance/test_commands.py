from __future__ import annotations

import json
import sys

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from rangebar_enrich.cli import build_app
from rangebar_enrich.cli.check import progress

MODULE = """
import polars as pl

class Sound:
    name, version, columns, min_bars = "sound", "1", ("sound_x",), 4
    def expressions(self, context):
        yield pl.col("close").rolling_mean(5).alias("sound_x")

class Peeking(Sound):
    name, columns = "peeking", ("peeking_x",)
    def expressions(self, context):
        yield pl.col("close").shift(-1).alias("peeking_x")
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    (tmp_path / "conforming_module.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return lambda *args: CliRunner().invoke(build_app(), [str(one) for one in args])


def test_check_of_a_sound_provider_exits_with_0(run):
    result = run("check", "conforming_module:Sound")

    assert result.exit_code == 0
    assert "conforms: 16 of 16 checks ran; 16 passed" in result.stdout


def test_check_of_a_broken_provider_exits_with_1_and_shows_why(run):
    result = run("check", "conforming_module:Peeking")

    assert result.exit_code == 1
    assert "no_look_ahead, failed:" in result.stdout
    assert "Smallest frame, 2 bars" in result.stdout


def test_check_prints_json(run):
    document = json.loads(run("check", "conforming_module:Peeking", "--json").stdout)

    assert document["provider"] == "peeking"
    assert document["passed"] is False
    assert len(document["results"]) == 16


def test_check_runs_one_check_alone(run):
    result = run("check", "conforming_module:Peeking", "--only", "pickling", "--only", "prefix")

    assert result.exit_code == 0
    assert "conforms: 2 of 2 checks ran" in result.stdout


def test_progress_is_one_line_of_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)

    with progress(2) as on_check:
        on_check("prefix")
        on_check("pickling")

    assert capsys.readouterr().err == ("\r\x1b[K1/2 prefix …\r\x1b[K2/2 pickling …\r\x1b[K")


def test_progress_is_silent_elsewhere(capsys):
    with progress(2) as on_check:
        assert on_check is None

    assert capsys.readouterr().err == ""


def test_check_takes_bars_of_a_file(run, tmp_path, make_bars):
    pq.write_table(make_bars(100), tmp_path / "bars.parquet")

    result = run("check", "conforming_module:Sound", "--bars", tmp_path / "bars.parquet")

    assert result.exit_code == 0
    assert "in 18 series" in result.stdout


@pytest.mark.parametrize(
    "args",
    [
        ["check"],
        ["check", "conforming_module"],
        ["check", "conforming_module:Missing"],
        ["check", "no_such_module:Sound"],
        ["check", "conforming_module:Sound", "--bars", "absent.parquet"],
        ["check", "conforming_module:Sound", "--only", "warmup"],
        ["explain", "conforming_module:Missing"],
    ],
)
def test_wrong_calls_exit_with_2(run, args):
    assert run(*args).exit_code == 2


def test_explain_shows_the_reach(run):
    result = run("explain", "conforming_module:Sound")

    assert result.exit_code == 0
    assert "sound_x" in result.stdout


def test_explain_of_a_refused_provider_exits_with_1(run):
    result = run("explain", "conforming_module:Peeking")

    assert result.exit_code == 1
    assert "peeking_x" in result.stdout
