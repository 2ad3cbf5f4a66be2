from __future__ import annotations

import ast
import inspect
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rangebar_enrich
from rangebar_enrich import errors

PACKAGE = Path(rangebar_enrich.__file__).parent
HEAVY = ["pandas", "clickhouse_connect", "chdb", "numba", "plotly", "typer", "rich", "rangebar"]

# Who may import whom: each line only from the lines below it. Rooms of one line know nothing of each other.
LAYERS = [
    set(line.split())
    for line in """
    cli
    demo
    conformance clickhouse
    rangebar_enrich
    expression_provider features
    engine
    _stream
    _run
    _plan _recursion
    _windows
    reach
    _trial
    _expr _provider
    _bars
    protocol hooks errors
    """.strip().splitlines()
]
ROOT = Path(__file__).resolve().parents[2]
HOUSE = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
OUTSIDERS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.py")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
ENGINE = "engine _stream _run _plan".split()


def _modules():
    return {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(
            ".__init__"
        ): (path)
        for path in sorted(PACKAGE.rglob("*.py"))
    }


MODULES = _modules()


def _is_for_types(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _running(node):
    """Yield the nodes of code that runs: what stands there for type checkers only does not."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not _is_for_types(child):
            yield from _running(child)


def _imports(name):
    """Return what a module imports of the package, inside functions too."""
    found = set()
    for node in _running(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names if one.name.startswith("rangebar_enrich")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rangebar_enrich"):
            names = [f"{node.module}.{one.name}" for one in node.names]
            found |= {one if one in MODULES else node.module for one in names}
    return found


def _room(name):
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def _layer(name):
    return next(place for place, rooms in enumerate(LAYERS) if _room(name) in rooms)


def test_every_room_has_its_layer():
    assert {_room(name) for name in MODULES} <= set().union(*LAYERS)


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_downwards(name):
    upwards = [
        other
        for other in _imports(name)
        if _room(other) != _room(name) and _layer(other) <= _layer(name)
    ]

    assert upwards == []


def test_modules_import_each_other_in_no_circle():
    state: dict[str, str] = {}

    def visit(name, path):
        if state.get(name) == "done":
            return
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        for other in sorted(_imports(name) - {name}):
            visit(other, [*path, name])
        state[name] = "done"

    for name in MODULES:
        visit(name, [])


@pytest.mark.parametrize("name", [name for name in MODULES if _room(name) in ENGINE])
def test_engine_knows_no_database(name):
    assert not {_room(other) for other in _imports(name)} & {"clickhouse", "cli", "demo"}


@pytest.mark.parametrize("name", [name for name in MODULES if _room(name) == "clickhouse"])
def test_store_knows_no_provider_code(name):
    allowed = {"clickhouse", "_bars", "hooks", "errors"}
    # NOTE: these compute features for stored bars.
    if name.removeprefix("rangebar_enrich.clickhouse.") in {"backfill", "demand", "tally"}:
        allowed |= {"engine", "_run"}

    assert {_room(other) for other in _imports(name)} <= allowed


@pytest.mark.parametrize("name", MODULES)
def test_imports_are_absolute(name):
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))

    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_of_a_size_to_read(name):
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= 400


def test_few_modules_stand_at_the_top():
    assert len([name for name in MODULES if MODULES[name].parent == PACKAGE]) <= 8


@pytest.mark.parametrize("path", OUTSIDERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_private_rooms_are_imported_by_nobody_outside(path):
    private = (
        r"(from|import) +rangebar_enrich(\.\w+)*\._|from +rangebar_enrich(\.\w+)* +import +_[a-z]"
    )

    assert re.findall(private, path.read_text(encoding="utf-8")) == []


def _map():
    """Return the rooms that docs/house.md draws, each with what is said of it."""
    drawn = HOUSE.partition("```\n")[2].partition("```")[0]
    lines = re.sub(r"\n {10,}", " ", drawn).splitlines()
    found = {}
    for line in lines:
        names = re.match(r"(?:\w+(?:/|\.py) +)+", line + " ")[0]
        for name in names.split():
            found[name.removesuffix("/").removesuffix(".py")] = line[len(names) :]
    return found


def test_map_names_every_room_and_no_other():
    assert _map().keys() == {_room(name) for name in MODULES} - {"rangebar_enrich"}


def test_map_names_only_modules_that_exist():
    said = {
        f"{room}.{one}"
        for room, text in _map().items()
        if room.startswith("_") or room in {"cli", "clickhouse"}
        for one in text.partition(":")[0].split(", ")
    }
    said |= {f"{room}.{one}" for room, one in re.findall(r"`(_\w+)\.(\w+)`", HOUSE)}
    paths = re.findall(r"`(\w+/[\w/]+\.py)`", HOUSE)

    assert sorted(one for one in said if f"rangebar_enrich.{one}" not in MODULES) == []
    assert [one for one in paths if not any((at / one).is_file() for at in (ROOT, PACKAGE))] == []


def test_map_fits_one_screen():
    assert len(HOUSE.splitlines()) <= 55


def test_engine_calls_no_map_elements():
    calls = [
        name
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "map_elements"
    ]

    assert calls == []


def test_import_is_light():
    code = (
        "import sys; import rangebar_enrich;"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []


def test_run_without_pandas_bars_is_light():
    code = (
        "import sys; import polars as pl; import rangebar_enrich as rbe\n"
        "class P:\n"
        "    name, version, columns, min_bars = 'p', '1', ('p_a',), 1\n"
        "    def expressions(self, context): return [pl.col('close').alias('p_a')]\n"
        "bars = pl.DataFrame({'close': [1.0], 'close_time': [10**15]})\n"
        "rbe.enrich_bars(bars, providers=[P()])\n"
        "rbe.enrich_bars(bars.to_arrow(), providers=[P()])\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []


def test_exports_are_the_namespace():
    submodules = {name.split(".")[1] for name in MODULES if "." in name}
    public = {
        name
        for name in vars(rangebar_enrich)
        if not name.startswith("_") and name not in submodules | {"annotations"}
    }

    assert list(rangebar_enrich.__all__) == sorted(rangebar_enrich.__all__)
    assert set(rangebar_enrich.__all__) == public


def test_exports_are_documented():
    bare = [
        name
        for name in rangebar_enrich.__all__
        if not inspect.getdoc(getattr(rangebar_enrich, name))
    ]

    assert bare == []


def test_version_is_that_of_the_package():
    assert re.fullmatch(r"\d+\.\d+\.\d+", rangebar_enrich.__version__)
    with pytest.raises(AttributeError, match=r"has no attribute 'nothing'"):
        _ = rangebar_enrich.nothing


def _errors():
    return [
        one
        for _, one in inspect.getmembers(errors, inspect.isclass)
        if issubclass(one, errors.RangebarEnrichError)
    ]


@pytest.mark.parametrize("kind", _errors())
def test_error_pickles(kind):
    error = kind("line 1\n- 'a': got 1, expected 2\nHint: do this.")
    for name in ("provider", "code", "violations"):
        if hasattr(error, name):
            setattr(error, name, ("x",))

    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes

    assert type(copy) is kind
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


@pytest.mark.parametrize(
    "kind", [one for one in _errors() if one is not errors.RangebarEnrichError]
)
def test_error_is_also_the_builtin_a_caller_expects(kind):
    assert issubclass(kind, (ValueError, TypeError, RuntimeError, ImportError))


def test_error_tree_is_drawn_whole():
    drawn = set(re.findall(r"\b\w+Error\b", errors.__doc__)) - {
        "ValueError",
        "TypeError",
        "RuntimeError",
        "ImportError",
    }

    assert drawn == {one.__name__ for one in _errors()}


def test_message_has_head_ten_lines_and_hint():
    text = errors.message("12 fault(s):", [f"'{i}'" for i in range(12)], "mend them.")

    lines = text.splitlines()
    assert (lines[0], lines[-1]) == ("12 fault(s):", "Hint: mend them.")
    assert lines[1:-1] == [*[f"- '{i}'" for i in range(10)], "- … and 2 more"]
    assert errors.message("head") == "head"
