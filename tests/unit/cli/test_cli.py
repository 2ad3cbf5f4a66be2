from __future__ import annotations

import subprocess
import sys

import pytest

import rangebar_enrich
from rangebar_enrich.cli import COMMANDS


def run_python(code, *args):
    return subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, check=False
    )


def test_help_lists_every_command(run):
    code, out, _ = run("--help")
    assert code == 0
    assert all(f" {command} " in out for command in COMMANDS)


def test_no_command_shows_help_and_exits_with_2(run):
    code, out, err = run()
    assert code == 2
    assert "Usage: rangebar-enrich" in out + err


def test_version_is_the_packages(run):
    assert run("--version") == (0, f"rangebar-enrich {rangebar_enrich.__version__}\n", "")


def test_help_loads_nothing_heavy():
    heavy = "{'pandas', 'chdb', 'clickhouse_connect', 'plotly', 'rangebar', 'numba'}"
    code = (
        "import sys\nfrom rangebar_enrich.cli import main\n"
        f"try: main(['--help'])\nexcept SystemExit: print(sorted({heavy} & sys.modules.keys()))"
    )
    done = run_python(code)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("module", ["typer", "rich"])
def test_missing_cli_extra_is_named(module):
    code = (
        f"import sys; sys.modules[{module!r}] = None; from rangebar_enrich.cli import main; main()"
    )
    done = run_python(code, "providers", "--no-such-option")
    assert done.returncode == 1
    assert done.stderr.endswith("Hint: pip install 'rangebar-enrich[cli]'\n")


def test_verbose_shows_the_log(work):
    args = ["-v", "enrich", "bars.parquet", "out.parquet", "--provider", "cli_providers:Failing"]
    done = run_python("from rangebar_enrich.cli import main; main()", *args)
    assert done.returncode == 1
    assert "ERROR rangebar_enrich" in done.stderr
