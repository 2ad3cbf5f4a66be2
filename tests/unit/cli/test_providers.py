from __future__ import annotations

import pytest

from rangebar_enrich._provider.discovery import reset_provider_cache


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Put two installed packages on the path: one with a good provider, one that is broken."""
    source = (
        "class Good:\n    name = 'cligood'; version = '1.5'; columns = ('cligood_a', 'cligood_b')\n"
    )
    source += (
        "    min_bars = {'cligood_a': 3, 'cligood_b': 9}\n    def expressions(self, context): ...\n"
    )
    (tmp_path / "cli_good.py").write_text(source)
    for name, value in (("cligood", "cli_good:Good"), ("clibroken", "cli_absent:Broken")):
        info = tmp_path / f"{name}-2.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-pkg\nVersion: 2.0\n")
        entry = f"[rangebar.feature_providers]\n{name} = {value}\n"
        (info / "entry_points.txt").write_text(entry)
    monkeypatch.syspath_prepend(tmp_path)
    reset_provider_cache()
    yield
    reset_provider_cache()


def test_providers_list_what_is_installed(packages, monkeypatch, run):
    monkeypatch.setenv("RANGEBAR_ENRICH_PROVIDERS", "cligood")
    code, out, err = run("providers")
    lines = [line.split() for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert lines[1] == "cligood 1.5 native 2 3 to 9 cligood-pkg 2.0 ok".split()
    assert lines[-1] == ["cligood:", "cligood_a", "cligood_b"]


def test_providers_show_what_is_broken_and_exit_with_1(packages, monkeypatch, run):
    monkeypatch.setenv("RANGEBAR_ENRICH_PROVIDERS", "cligood,clibroken")
    code, out, err = run("providers")
    assert code == 1
    assert "left_out" in out
    assert "No module named 'cli_absent'" in err


def test_providers_json_is_one_document(packages, monkeypatch, run_json):
    monkeypatch.setenv("RANGEBAR_ENRICH_PROVIDERS", "cligood,clibroken")
    code, actual = run_json("providers")
    good, broken = actual["providers"]
    assert code == 1
    assert good == {
        "name": "cligood",
        "version": "1.5",
        "kind": "native",
        "columns": ["cligood_a", "cligood_b"],
        "min_bars": {"cligood_a": 3, "cligood_b": 9},
        "package": "cligood-pkg 2.0",
        "status": "ok",
        "error": None,
    }
    assert (broken["name"], broken["status"]) == ("clibroken", "left_out")


def test_providers_say_when_none_is_installed(no_plugins, run):
    code, out, _ = run("providers")
    assert code == 0
    assert "no provider is installed" in out
