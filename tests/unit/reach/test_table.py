from __future__ import annotations

import polars as pl
import pytest
from corpus import brute
from corpus.operators import (
    EXPR,
    FOREIGN,
    FUNCTIONS,
    NAMESPACES,
    NOT_FUNCTIONS,
    NOT_OPERATORS,
    build,
    builders,
    native,
)
from hypothesis import settings

from rangebar_enrich._expr import tree
from rangebar_enrich.reach import reach_of
from rangebar_enrich.reach.table import LEAVES, ROLLING_BY, SCOPES, TABLE, is_known

TABLES = brute.tables()
TRIED = TABLES[1:3] if settings.get_current_profile_name() == "house" else TABLES  # holes, ties
SCHEMA = dict(TABLES[0].schema)


def _public(owner: object) -> set[str]:
    return {name for name in dir(owner) if not name.startswith("_")}


def test_builders_cover_the_methods_of_expr():
    assert _public(pl.Expr) - EXPR.keys() - NOT_OPERATORS == set()


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_builders_cover_the_namespace(namespace):
    assert _public(getattr(pl.col("a"), namespace)) - NAMESPACES[namespace].keys() == set()


def test_builders_cover_the_functions():
    functions = {name for name in _public(pl) if name[0].islower() and callable(getattr(pl, name))}
    assert functions - FUNCTIONS.keys() - NOT_FUNCTIONS == set()


@pytest.mark.parametrize("name", native())
def test_every_operator_is_classified(name):
    node = tree.decode(build(builders()[name]))
    assert node is not None
    assert [part for part in tree.walk(node) if not is_known(tree.operator(part))] == []


@pytest.mark.parametrize("name", native())
def test_classes_agree_with_brute_force(name):
    expr = build(builders()[name])
    reach = reach_of(expr, schema=SCHEMA)
    if reach.is_causal:
        assert not brute.leaks(expr, TRIED)
    if reach.past < TABLES[0].height and not reach.opaque:
        assert not brute.needs_more_past(expr, int(reach.past), TRIED)


@pytest.mark.parametrize(
    "name", sorted(FOREIGN - {"Expr.name.map", "Expr.name.strip_prefix", "Expr.name.strip_suffix"})
)
def test_python_functions_are_opaque(name):
    reach = reach_of(build(builders()[name]))
    assert reach.opaque
    assert reach.is_causal is None


def test_a_python_function_of_the_name_leaves_the_values_alone():
    assert reach_of(pl.col("a").shift(1).name.strip_prefix("x")).past == 1


def test_an_operator_has_one_class():
    assert TABLE.keys() & (ROLLING_BY | SCOPES | LEAVES) == set()
    assert set() == ROLLING_BY & SCOPES


def test_an_unknown_operator_is_opaque(monkeypatch):
    monkeypatch.delitem(TABLE, "Function.Sign")
    reach = reach_of(pl.col("close").sign() + 1)
    assert reach.opaque
    assert reach.is_causal is None
    assert reach.reasons == (
        '`pl.col("close").sign()`: the operator Function.Sign is not in the table of this version',
    )


def test_an_unknown_form_is_opaque(monkeypatch):
    monkeypatch.setattr(tree, "options", lambda _: {"renamed_by_a_later_polars": 5})
    assert reach_of(pl.col("close").rolling_mean(5)).opaque
