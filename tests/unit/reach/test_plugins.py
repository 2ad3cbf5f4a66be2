from __future__ import annotations

import inspect
import sys
import textwrap
from functools import cache
from math import inf

import polars as pl
import pytest

import rangebar_enrich as rbe
from rangebar_enrich._expr import tree
from rangebar_enrich._expr.plugin import plugin_call
from rangebar_enrich.conformance import check_provider
from rangebar_enrich.errors import DeclarationError
from rangebar_enrich.reach import (
    declare_plugin,
    elementwise,
    finite,
    forget_plugins,
    reach_of,
    recursive,
    whole,
)

CLOSE = pl.col("close")
KEY = {"symbol": "SIM", "threshold_decimal_bps": 250}


@pytest.fixture(autouse=True)
def _forget():
    forget_plugins()
    yield
    forget_plugins()


@pytest.fixture
def call(tmp_path):
    """Return a function that makes an expression of a library which is never run."""
    from polars.plugins import register_plugin_function

    library = tmp_path / "oracle" / "oracle.so"
    library.parent.mkdir()
    library.touch()

    def make(*inputs, symbol="look", **arguments):
        return register_plugin_function(
            plugin_path=library, function_name=symbol, args=list(inputs), kwargs=arguments or None
        )

    return make


@pytest.mark.parametrize(
    ("reach", "past", "future"),
    [(finite(4), 4, 0), (elementwise, 0, 0), (recursive, inf, 0), (whole, inf, inf)],
    ids=["finite", "elementwise", "recursive", "whole"],
)
def test_declared_reach_is_that_of_the_call(reach, past, future, call):
    declare_plugin("oracle", "look", reach)

    actual = reach_of(call(CLOSE))

    assert (actual.past, actual.future, actual.opaque) == (past, future, False)
    assert actual.declared == {"oracle"}
    assert actual.is_causal is None
    assert "the reach of `look` is declared for oracle, not proven" in actual.reasons


def test_declared_reach_adds_up_with_what_is_around_it(call):
    declare_plugin("oracle", "*", lambda arguments: finite(arguments["period"] - 1))

    actual = reach_of(call(CLOSE.shift(2), pl.col("high"), period=10).rolling_mean(5))

    assert str(actual) == "causal as declared for oracle: reads 15 rows back"
    assert reach_of(pl.col("x").diff(), known={"x": actual}).declared == {"oracle"}


def test_undeclared_call_is_opaque_and_says_what_to_do(call):
    actual = reach_of(call(CLOSE))

    assert actual.opaque
    assert "declare_plugin" in actual.reasons[0]


def test_symbol_goes_before_the_library_and_the_latest_counts(call):
    declare_plugin("oracle", "look", finite(1))
    declare_plugin("oracle", "*", whole)
    assert reach_of(call(CLOSE)).past == 1

    declare_plugin("oracle", "look", finite(2))

    assert reach_of(call(CLOSE)).past == 2
    assert reach_of(call(CLOSE, symbol="other")).future == inf


def test_author_declares_by_entry_point(call, tmp_path, monkeypatch):
    source = "from rangebar_enrich.reach import finite\nREACH = {'look': finite(7)}\n"
    (tmp_path / "oracle_reach.py").write_text(source)
    info = tmp_path / "oracle-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: oracle\nVersion: 1.0\n")
    entry = "[rangebar_enrich.plugins]\noracle = oracle_reach:REACH\n"
    (info / "entry_points.txt").write_text(entry)
    monkeypatch.syspath_prepend(tmp_path)

    assert reach_of(call(CLOSE)).past == 7

    declare_plugin("oracle", "look", finite(8))
    assert reach_of(call(CLOSE)).past == 8
    sys.modules.pop("oracle_reach")


def test_broken_entry_point_leaves_calls_opaque(call, tmp_path, monkeypatch, caplog):
    info = tmp_path / "oracle-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: oracle\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rangebar_enrich.plugins]\noracle = no_module:REACH\n")
    monkeypatch.syspath_prepend(tmp_path)

    assert reach_of(call(CLOSE)).opaque
    assert "the plugin declarations of 'oracle' cannot be loaded" in caplog.text


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        (lambda _: 5, r"^The reach declared for 'look' of 'oracle' is none: got 5\nHint: finite"),
        (
            lambda made: made["absent"],
            r"^The reach declared for 'look' of 'oracle' fails: KeyError",
        ),
        (finite(-1), r"is none: got PluginReach\(past=-1"),
    ],
    ids=["number", "raises", "negative"],
)
def test_declaration_that_is_none_is_an_error(declared, text, call):
    declare_plugin("oracle", "look", declared)

    with pytest.raises(DeclarationError, match=text):
        reach_of(call(CLOSE))


def test_arguments_that_would_run_code_are_not_read(call):
    node = tree.decode(call(CLOSE, kind=textwrap.dedent))

    assert plugin_call(node).arguments == {}
    assert plugin_call({"Column": "close"}) is None


@cache
def _imported():
    """Import the plugin, and take from Polars' expressions the namespace that it adds to them."""
    made = pytest.importorskip("polars_talib")
    namespace = vars(pl.Expr)["ta"]
    del pl.Expr.ta
    return made, namespace


@pytest.fixture
def talib(monkeypatch):
    made, namespace = _imported()
    monkeypatch.setattr(pl.Expr, "ta", namespace, raising=False)
    return made


def _plugin(native, exprs, min_bars=20):
    return native(
        "outer", {f"outer_{name}": expr for name, expr in exprs.items()}, min_bars=min_bars
    )


def test_every_lookback_of_polars_talib_is_that_of_talib(talib):
    abstract = pytest.importorskip("talib.abstract")
    names = [name for group in talib.__function_groups__.values() for name in group]

    for name in names:
        function = getattr(talib, name)
        given = inspect.signature(function).parameters.values()
        expr = function(*[CLOSE for one in given if one.default is one.empty])
        found = plugin_call(tree.decode(expr))
        original = abstract.Function(name.upper())
        kinds = {key: type(value) for key, value in original.parameters.items()}
        original.set_parameters(
            {key: kinds[key](value) for key, value in found.arguments["params"].items()}
        )
        is_unstable = "unstable period" in str(original.function_flags).lower()
        reach = reach_of(expr)
        assert found.arguments["lookback"] == original.lookback, name
        assert reach.future == 0, name
        assert reach.past in {original.lookback, inf}, name
        assert reach.past == inf or not is_unstable, name
    assert len(names) == 201


def test_finite_plugin_goes_on_and_is_computed_once(talib, native, make_bars):
    strength = talib.willr(timeperiod=14)
    provider = _plugin(native, {"r": strength, "mean": strength.rolling_max(3)})
    enricher, bars = rbe.Enricher([provider]), make_bars(300)
    whole_table = enricher.run(bars, **KEY).table

    live = enricher.live(history=bars.slice(0, 200), history_is_complete=True, **KEY)
    made = live.push(bars.slice(200))
    short = enricher.run(bars.slice(200), history=bars.slice(150, 50), **KEY).table

    assert made.column("outer_mean").equals(whole_table.column("outer_mean").slice(200))
    assert short.column("outer_r").equals(whole_table.column("outer_r").slice(200))
    assert enricher.history_bars == 20
    text = enricher.explain(bars)
    assert "causal as declared for polars_talib: reads 15 rows back" in text
    assert text.count("shared from") == 1


def test_recursive_plugin_needs_the_whole_series(talib, native):
    enricher = rbe.Enricher([_plugin(native, {"rsi": talib.rsi(timeperiod=14)})])

    assert enricher.history_bars is None
    assert "outer" in enricher.not_continued()


def test_declaration_that_lies_is_caught_and_named(talib, native):
    declare_plugin("polars_talib", "willr", finite(3))
    provider = _plugin(native, {"r": talib.willr(timeperiod=14)})

    failed = {
        one.check: one.detail for one in check_provider(provider).results if one.status == "failed"
    }

    assert (
        "'outer_r': 3 earlier bars (declared for polars_talib) do not fix it" in failed["lookback"]
    )
