from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUNNER = Path(__file__).with_name("page.py")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
SLOW = {"providers.md", "alpha158.md", "microstructure.md", "daily_job.md", "ta.md"}


def run(page, folder):
    store = folder / "store"
    work = folder / "work"
    work.mkdir()
    env = os.environ | {
        "COLUMNS": "100",
        "HOME": str(folder),
        "NO_COLOR": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "RANGEBAR_ENRICH_URL": f"chdb://{store}",
    }
    return subprocess.run(
        [sys.executable, RUNNER, page],
        cwd=work,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(
            page,
            id=str(page.relative_to(ROOT)),
            marks=[pytest.mark.slow] if page.name in SLOW else [],
        )
        for page in PAGES
    ],
)
def test_page_runs_and_prints_what_it_shows(page, tmp_path):
    done = run(page, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def page_of(folder, text):
    page = folder / "page.md"
    page.write_text(text.replace("~~~", "```"))
    return run(page, folder)


def test_runner_shares_a_namespace_and_files(tmp_path):
    text = "~~~python file=mine.py\nx = 2\n~~~\n~~~python\nimport mine\nprint(x + mine.x)\n~~~\n\n~~~text\n4\n~~~\n"
    done = page_of(tmp_path, text)
    assert done.stdout == "2 blocks\n", done.stderr


def test_runner_runs_hidden_setup(tmp_path):
    done = page_of(tmp_path, "<!-- python\nx = 1\n-->\n~~~python\nassert x == 1\n~~~\n")
    assert done.stdout == "2 blocks\n", done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "~~~python\nprint(1)\n~~~\nIt prints:\n\n~~~text\n2\n~~~\n",
        "~~~python\nraise ValueError('no')\n~~~\n",
        "~~~console\n$ false\n~~~\n",
        "~~~console\n$ echo one\ntwo\n~~~\n",
        "~~~python\nprint('a')\nprint('b')\n~~~\n~~~text\na\n~~~\n",
        "~~~python\n1\n",
    ],
    ids=["output", "raises", "exit-code", "console-output", "more-output", "open-fence"],
)
def test_runner_fails_where_a_page_is_wrong(tmp_path, text):
    assert page_of(tmp_path, text).returncode != 0


@pytest.mark.parametrize(
    ("actual", "expected", "same"),
    [
        ("a 12 b\n", "a … b", True),
        ("a\nx\ny\nb\n", "a\n…\nb", True),
        ("a\nb\n", "a\n…\nb", True),
        ("a  \n", "a", True),
        ("a\nb\n", "a\n…", True),
        ("ab\n", "a", False),
        ("a\nb\n", "a…", False),
        ("a.b\n", "a?b", False),
    ],
)
def test_runner_matches_wildcards(actual, expected, same):
    spec = importlib.util.spec_from_file_location("docs_page", RUNNER)
    page = importlib.util.module_from_spec(spec)
    sys.modules["docs_page"] = page
    spec.loader.exec_module(page)
    assert page.matches(actual, expected) is same
