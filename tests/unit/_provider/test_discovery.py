from __future__ import annotations

import sys
import textwrap

import pytest

import rangebar_enrich as rbe
from rangebar_enrich._provider.discovery import PACKS, PROVIDERS_VARIABLE, discover
from rangebar_enrich.errors import DeclarationError, DiscoveryError

PROVIDER = """
    import polars as pl

    class Provider:
        name, version, columns, min_bars = "{name}", "{version}", ("{name}_a",), 0

        def expressions(self, context):
            return [pl.col("close").alias("{name}_a")]
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a package of one module with one entry point."""
    monkeypatch.syspath_prepend(tmp_path)
    installed = []

    def add(package, name, *, entry=None, source=PROVIDER, version="1.0.0", attribute="Provider"):
        module = f"fake_{package}".replace("-", "_")
        source = textwrap.dedent(source).format(name=name, version=version)
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{package.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        )
        group = "[rangebar.feature_providers]"
        (info / "entry_points.txt").write_text(f"{group}\n{entry or name} = {module}:{attribute}\n")
        installed.append(entry or name)
        monkeypatch.setenv(PROVIDERS_VARIABLE, ",".join(installed))
        return module

    yield add
    for module in [name for name in sys.modules if name.startswith("fake_")]:
        del sys.modules[module]


def _names(providers):
    return [one.name for one in providers]


def test_providers_are_found_sorted_by_name(install):
    install("package-b", "zeta")
    install("package-a", "alpha", entry="later")

    assert _names(rbe.discover_providers()) == ["alpha", "zeta"]


def test_providers_that_are_found_run(install, bars):
    install("package-b", "zeta")
    install("package-a", "alpha")

    table = rbe.enrich_bars(bars)

    assert table.column_names == [*bars.column_names, "alpha_a", "zeta_a"]
    assert rbe.Enricher().columns == ("alpha_a", "zeta_a")


def test_discovery_is_lazy_cached_and_reset(install, bars):
    module = install("package", "alpha")
    rbe.enrich_bars(bars, providers=[])
    assert module not in sys.modules

    first = rbe.discover_providers()
    install("another", "beta")

    assert rbe.discover_providers()[0] is first[0]
    assert _names(rbe.discover_providers()) == ["alpha"]
    rbe.reset_provider_cache()
    assert _names(rbe.discover_providers()) == ["alpha", "beta"]


def test_reset_reaches_enrich_bars(install, bars):
    install("package", "alpha")
    assert rbe.enrich_bars(bars).column_names[-1] == "alpha_a"

    install("another", "beta")
    rbe.reset_provider_cache()

    assert rbe.enrich_bars(bars).column_names[-2:] == ["alpha_a", "beta_a"]


def test_changing_the_list_does_not_change_the_cache(install):
    install("package", "alpha")

    rbe.discover_providers().clear()

    assert _names(rbe.discover_providers()) == ["alpha"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("alpha", ["alpha"]),
        (" alpha , gamma ,", ["alpha", "gamma"]),
        ("-beta,-laguerre,-momentum", ["alpha", "gamma"]),
        ("alpha,beta,-beta", ["alpha"]),
    ],
)
def test_what_is_not_allowed_is_not_imported(rule, expected, install, monkeypatch):
    for name in ("alpha", "beta", "gamma"):
        install(f"package-{name}", name)
    monkeypatch.setenv(PROVIDERS_VARIABLE, rule)

    assert _names(rbe.discover_providers()) == expected

    imported = {name.removeprefix("fake_package_") for name in sys.modules if "fake_" in name}
    assert imported == set(expected)


def test_unknown_names_of_the_rule_are_told(install, monkeypatch, caplog):
    install("package", "alpha")
    monkeypatch.setenv(PROVIDERS_VARIABLE, "alpha,alhpa")

    assert _names(rbe.discover_providers()) == ["alpha"]
    assert f"{PROVIDERS_VARIABLE} names unknown entry points: alhpa" in caplog.text


@pytest.mark.parametrize("entries", [("same", "same"), ("one", "two")], ids=["entry", "provider"])
def test_two_packages_of_one_name_are_both_left_out(entries, install, caplog):
    for package, entry in zip(("first-package", "second-package"), entries, strict=True):
        install(package, "same", entry=entry)
    install("third", "alpha")

    assert _names(rbe.discover_providers()) == ["alpha"]

    errors = [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]
    assert len(errors) == 1
    assert "2 packages claim the provider name 'same'; all are left out" in errors[0]
    assert "'first-package'" in errors[0]
    assert "'second-package'" in errors[0]
    with pytest.raises(DiscoveryError, match=r"2 packages claim the provider name 'same'"):
        rbe.discover_providers(strict=True)


BROKEN = {
    "import": ("import no_such_module_anywhere", r"ModuleNotFoundError: No module named"),
    "module raises": ("raise ValueError('at import')", r"ValueError: at import"),
    "syntax": ("def broken(:", r"SyntaxError"),
    "attribute": ("x = 1", r"AttributeError: module 'fake_bad' has no attribute 'Provider'"),
    "constructor": (
        "class Provider:\n    def __init__(self):\n        raise OSError('no key')",
        r"OSError: no key",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_package_that_cannot_be_loaded_is_left_out_and_announced(
    case, install, bars, events, caplog
):
    source, text = BROKEN[case]
    install("bad", "bad", source=source)
    install("good", "good")

    table = rbe.enrich_bars(bars, "XRPETH", 50)

    assert table.column_names == [*bars.column_names, "good_a"]
    failures = [one for one in events if one.event is rbe.HookEvent.PLUGIN_ENRICH_FAILED]
    assert [one.details["provider_name"] for one in failures] == ["bad"]
    assert "Provider 'bad' of package 'bad' cannot be loaded" in caplog.text
    outcome = rbe.Enricher().run(bars).outcomes[-1]
    assert (outcome.provider, outcome.status, outcome.columns) == ("bad", "left_out", ())
    with pytest.raises(DiscoveryError, match=text):
        rbe.discover_providers(strict=True)
    with pytest.raises(ImportError, match=text):
        rbe.discover_providers(strict=True)


def test_broken_declaration_is_left_out_and_announced(install, bars, events):
    source = PROVIDER.replace('("{name}_a",)', '("wrong",)')
    install("bad", "bad", source=source)

    assert rbe.enrich_bars(bars).column_names == bars.column_names

    assert [one.event.name for one in events] == ["PLUGIN_ENRICH_FAILED", "PLUGIN_ENRICH_COMPLETE"]
    with pytest.raises(DeclarationError, match=r"'wrong' does not start with 'bad_'"):
        rbe.discover_providers(strict=True)


def test_strict_tells_of_all_that_are_broken(install):
    for name in ("one", "two"):
        install(name, name, source="raise ValueError('at import')")

    with pytest.raises(
        DiscoveryError, match=r"2 providers cannot be used:\n- .*'one'.*\n- .*'two'"
    ):
        rbe.discover_providers(strict=True)


def test_strict_with_nothing_broken_gives_the_list(install):
    install("package", "alpha")

    assert _names(rbe.discover_providers(strict=True)) == ["alpha"]


def test_entry_point_may_be_an_instance_or_a_function(install):
    made = "\n    provider = Provider()\n\n    def make():\n        return Provider()\n"
    install("one", "alpha", source=PROVIDER + made, attribute="provider")
    install("two", "beta", source=PROVIDER + made, attribute="make")

    assert _names(rbe.discover_providers(strict=True)) == ["alpha", "beta"]


def test_package_and_version_are_known(install):
    install("some-package", "alpha", entry="entry", version="3.2.1")

    found = discover().found[0]

    assert (found.package, found.package_version) == ("some-package", "3.2.1")
    assert (found.entry_point, found.declaration.name) == ("entry", "alpha")


def test_enricher_of_found_providers_raises_if_asked(install, bars):
    install("bad", "bad", source="raise ValueError('at import')")

    with pytest.raises(DiscoveryError, match=r"'bad' of package 'bad' cannot be loaded"):
        rbe.enrich_bars(bars, on_error="raise")


def test_packs_run_only_where_they_are_named(install, monkeypatch):
    install("package", "alpha")

    assert _names(rbe.discover_providers()) == ["alpha"]
    for rule, expected in {
        "ta": ["ta"],
        "alpha,ta": ["alpha", "ta"],
        "alpha,+ta": ["alpha", "ta"],
        "+ta,+alpha158,-laguerre,-momentum": ["alpha", "alpha158", "ta"],
        "alpha158,ta,-ta": ["alpha158"],
    }.items():
        monkeypatch.setenv(PROVIDERS_VARIABLE, rule)
        rbe.reset_provider_cache()
        assert _names(rbe.discover_providers()) == expected, rule


def test_packs_say_which_package_they_are_of(monkeypatch):
    monkeypatch.setenv(PROVIDERS_VARIABLE, "ta")

    (found,) = discover().found

    assert (found.package, found.package_version) == ("rangebar-enrich", rbe.__version__)


def test_installed_package_has_its_name_before_a_pack(install):
    install("package", "ta")

    (provider,) = rbe.discover_providers(strict=True)

    assert provider.columns == ("ta_a",)


@pytest.mark.parametrize("pack", PACKS, ids=lambda pack: pack.name)
def test_pack_is_a_provider_of_its_name(pack):
    assert pack.load()().name == pack.name
