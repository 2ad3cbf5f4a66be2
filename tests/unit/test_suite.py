"""The suite's own promises: the same examples, whatever ran before and however hashes fall."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest
from corpus.tried import tried
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]


def _examples():
    drawn = []

    @settings(max_examples=200, derandomize=True)
    @given(st.tuples(st.integers(), st.text(), st.floats()))
    def body(values):
        drawn.append(values)

    body()
    return repr(drawn)


def _load(folder, name):
    path = folder / f"{name}.py"
    path.write_text("".join(f"a{n} = {n * 1_000_003}; b{n} = 'word {n}'\n" for n in range(300)))
    spec = importlib.util.spec_from_file_location(name, path)
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


def test_examples_do_not_depend_on_loaded_modules(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    before = _examples()
    _load(tmp_path, "numbers_and_words")

    assert _examples() == before


def _script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tests" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BROKEN = """
from hypothesis import given, strategies as st

@given(st.integers())
def test_numbers_are_small(number):
    assert number < 1000
"""


@pytest.mark.slow
def test_fuzz_shows_the_seed_and_the_shrunk_input_of_a_find(tmp_path, monkeypatch, capsys):
    fuzz = _script("fuzz")
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (folder / "test_broken.py").write_text(BROKEN)
    monkeypatch.setattr(fuzz, "TESTS", folder)

    assert fuzz.main(5, 77) == 1

    told = capsys.readouterr().out
    assert "seed 77; again with: python -m pytest" in told
    assert "number=1000" in told


def test_fuzz_that_has_no_time_finds_nothing():
    assert _script("fuzz").main(0, 1) == 0


def _report(percent, **missing):
    files = {
        f"rangebar_enrich/{room}/a.py": {"missing_lines": lines} for room, lines in missing.items()
    }
    return {"files": files, "totals": {"percent_covered": percent}}


def test_coverage_gate_says_where_it_is_short():
    short = _script("coverage_gate").shortfalls(_report(91.0, _plan=[3, 4, 5, 9], cli=[1]))

    assert short[0] == "rangebar_enrich/_plan/a.py: lines 3-5, 9 are never run"
    assert short[1].startswith("91.0 % of all lines are run")
    assert short[-1] == "rangebar_enrich/cli/a.py: lines 1"


def test_coverage_gate_is_content_with_what_is_promised():
    assert _script("coverage_gate").shortfalls(_report(92.5, _run=[], cli=[1])) == []


def test_properties_are_tried_less_often_in_the_house_profile():
    few, many = tried(3, 500).max_examples, settings.get_profile("full").max_examples

    assert few == (3 if settings.get_current_profile_name() == "house" else 500)
    assert settings.get_profile("house").max_examples < many


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "README.md", ".ci/run"])
def test_targets_that_are_named_exist(page):
    targets = re.findall(
        r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"(?:^ *|`)make ([a-z-]+)", text, re.MULTILINE)

    assert named
    assert set(named) <= set(targets)


def test_workflows_need_no_secret_and_end():
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        text = path.read_text(encoding="utf-8")
        assert "secrets." not in text
        assert "permissions:\n  contents: read\n" in text
        assert text.count("runs-on:") == text.count("timeout-minutes:")


def test_decisions_are_short():
    lengths = {
        path.name: len(path.read_text(encoding="utf-8").splitlines())
        for path in (ROOT / "docs" / "decisions").glob("*.md")
    }

    assert len(lengths) >= 4
    assert max(lengths.values()) <= 60
