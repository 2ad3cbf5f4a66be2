from __future__ import annotations

import ast
from pathlib import Path

import pytest

import rangebar_enrich.reach

MODULES = sorted(Path(rangebar_enrich.reach.__file__).parent.glob("*.py"))
BELOW = tuple(f"rangebar_enrich.{room}" for room in ("reach", "_trial", "_expr", "_bars"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_reach_imports_nothing_above_it(path):
    names = [
        name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for name in (
            [f"rangebar_enrich.{alias.name}" for alias in node.names]
            if node.module == "rangebar_enrich"
            else [node.module]
        )
    ]
    assert [
        name for name in names if name.startswith("rangebar_enrich") and not name.startswith(BELOW)
    ] == []


def test_exports_are_listed():
    public = {
        name
        for name in vars(rangebar_enrich.reach)
        if name[0].isupper() or callable(getattr(rangebar_enrich.reach, name))
    }
    assert public - {"annotations"} == set(rangebar_enrich.reach.__all__)
