from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "rangebar-momentum"

pytest.importorskip("hatchling")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Install the example without a network, and return the environment that sees it."""
    target = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", target]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, EXAMPLE], check=True)
    return os.environ | {"PYTHONPATH": str(target), "RANGEBAR_ENRICH_PROVIDERS": "momentum"}


def run(env, *args):
    return subprocess.run(
        [sys.executable, *args], env=env, capture_output=True, text=True, check=False
    )


def test_example_package_is_discovered(installed):
    code = "from rangebar_enrich.cli import main; main()"
    done = run(installed, "-c", code, "providers", "--json")
    (actual,) = json.loads(done.stdout)["providers"]
    assert (actual["name"], actual["kind"], actual["status"]) == ("momentum", "native", "ok")
    assert actual["package"] == "rangebar-momentum 1.0.0"


def test_example_package_enriches_without_being_named(installed):
    code = (
        "import rangebar_enrich as rbe\n"
        "from rangebar_enrich.demo import build_bars, simulate_trades\n"
        "bars = build_bars(simulate_trades(20_000), symbol='SIM', threshold_decimal_bps=100)\n"
        "enriched = rbe.enrich_bars(bars)\n"
        "print(*enriched.column_names[30:], [enriched.column(30 + n).null_count for n in range(3)])"
    )
    done = run(installed, "-c", code)
    names = "momentum_return_20 momentum_zscore_20 momentum_up_share_20"
    assert done.stdout == f"{names} [20, 20, 20]\n", done.stderr


@pytest.mark.slow
def test_example_package_passes_its_own_tests(installed):
    args = (
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir",
        EXAMPLE,
        EXAMPLE / "tests",
    )
    done = run(installed, "-m", "pytest", *args)
    assert done.returncode == 0, done.stdout + done.stderr


def test_example_package_readme_is_short():
    assert len((EXAMPLE / "README.md").read_text(encoding="utf-8").splitlines()) <= 20
