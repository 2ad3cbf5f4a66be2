from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def _panels(picture):
    """Return what a picture shows: the names in it, and how many lines it has."""
    root = ET.fromstring(picture.read_text(encoding="utf-8"))  # noqa: S314 - our own
    texts = [one.text for one in root.iter(f"{SVG}text") if one.get("fill") != "#888"]
    return texts, len(list(root.iter(f"{SVG}polyline")))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    pytest.importorskip("rangebar._core")
    folder = tmp_path_factory.mktemp("pictures")
    script = ROOT / "examples" / "draw_packs.py"
    subprocess.run([sys.executable, script, folder], check=True, cwd=ROOT)
    return folder


@pytest.mark.parametrize("pack", ["ta", "microstructure"])
def test_picture_is_what_the_script_draws(pack, drawn):
    page = (ROOT / "docs" / f"{pack}.md").read_text(encoding="utf-8")

    shown = _panels(ROOT / "docs" / "pictures" / f"{pack}.svg")

    assert f"(pictures/{pack}.svg)" in page
    assert shown == _panels(drawn / f"{pack}.svg")
    assert shown[1] >= 9
