from __future__ import annotations

import sys

import pytest
import typer

from rangebar_enrich.cli.provider_spec import load_provider
from rangebar_enrich.demo.providers import TrendProvider
from rangebar_enrich.errors import DiscoveryError

MODULE = """
import sys
class Good:
    name = "good"
class Group:
    Inner = Good
def make(): return Good()
ready = Good()
class Bad:
    def __init__(self): raise RuntimeError("no licence")
"""


@pytest.fixture(autouse=True)
def local_modules(tmp_path, monkeypatch):
    (tmp_path / "spec_local.py").write_text(MODULE)
    (tmp_path / "spec_broken.py").write_text("import spec_nowhere\n")
    (tmp_path / "spec_raising.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name in ("spec_local", "spec_broken", "spec_raising"):
        sys.modules.pop(name, None)


def test_load_provider_makes_an_installed_class():
    provider = load_provider("rangebar_enrich.demo.providers:TrendProvider")
    assert isinstance(provider, TrendProvider)


@pytest.mark.parametrize("attribute", ["Good", "Group.Inner", "make", "ready"])
def test_load_provider_finds_modules_of_the_directory(attribute):
    assert load_provider(f"spec_local:{attribute}").name == "good"


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("spec_local", "not of the form module:Class"),
        (":Good", "not of the form module:Class"),
        ("spec_local:", "not of the form module:Class"),
        ("spec_absent:Good", "there is no module 'spec_absent'"),
        ("spec_absent.inner:Good", "there is no module 'spec_absent'"),
        ("spec_local:Absent", "'spec_local' has no 'Absent'"),
    ],
)
def test_load_provider_refuses_a_wrong_spec(spec, match):
    with pytest.raises(typer.BadParameter, match=match):
        load_provider(spec)


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("spec_broken:Good", "ModuleNotFoundError: No module named 'spec_nowhere'"),
        ("spec_raising:Good", "ZeroDivisionError"),
        ("spec_local:Bad", "RuntimeError: no licence"),
    ],
    ids=["import", "module", "constructor"],
)
def test_load_provider_names_what_broke(spec, match):
    with pytest.raises(DiscoveryError, match=match):
        load_provider(spec)
