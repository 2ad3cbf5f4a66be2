from __future__ import annotations

import pytest
from corpus import brute
from corpus.expressions import CAUSAL, FOREIGN_CAUSAL, FOREIGN_LEAKING, LEAKING
from corpus.tried import thinned

from rangebar_enrich.reach import Reach, reaches_of

TABLES = brute.tables()


@pytest.fixture(scope="module")
def leaking() -> dict[str, Reach]:
    return reaches_of(LEAKING)


@pytest.fixture(scope="module")
def causal() -> dict[str, Reach]:
    return reaches_of(CAUSAL)


@pytest.mark.parametrize("name", thinned(LEAKING, keep=2))
def test_label_of_a_leaking_expression(name):
    assert brute.leaks(LEAKING[name], TABLES)


@pytest.mark.parametrize("name", thinned(CAUSAL, keep=2))
def test_label_of_a_causal_expression(name):
    assert brute.column(TABLES[0], CAUSAL[name]) is not None
    assert not brute.leaks(CAUSAL[name], TABLES)


@pytest.mark.parametrize("name", FOREIGN_LEAKING)
def test_label_of_a_leaking_function(name):
    assert brute.leaks(FOREIGN_LEAKING[name], TABLES)


@pytest.mark.parametrize("name", FOREIGN_CAUSAL)
def test_label_of_a_causal_function(name):
    assert not brute.leaks(FOREIGN_CAUSAL[name], TABLES)


def test_leaking_expressions_are_never_called_causal(leaking):
    assert [name for name, reach in leaking.items() if reach.is_causal is True] == []


def test_leaking_expressions_are_proven(leaking):
    unproven = [name for name, reach in leaking.items() if reach.is_causal is not False]
    assert len(unproven) <= 0.05 * len(LEAKING), unproven


def test_causal_expressions_are_never_refused(causal):
    assert [name for name, reach in causal.items() if reach.is_causal is False] == []


def test_causal_expressions_are_proven(causal):
    unproven = [name for name, reach in causal.items() if reach.is_causal is not True]
    assert len(unproven) <= 0.1 * len(CAUSAL), unproven


def test_verdicts_do_not_need_a_schema(leaking):
    schema = dict(TABLES[0].schema)
    typed = reaches_of(LEAKING, schema=schema)
    assert [name for name, reach in typed.items() if reach.is_causal is not False] == []
    assert {name: reach.future for name, reach in typed.items()} == {
        name: reach.future for name, reach in leaking.items()
    }


@pytest.mark.parametrize("name", CAUSAL)
def test_past_is_never_too_short(name, causal):
    past = causal[name].past
    if past < TABLES[0].height:
        assert not brute.needs_more_past(CAUSAL[name], int(past), TABLES)


@pytest.mark.parametrize(
    ("name", "past"),
    [
        ("shift", 1),
        ("return", 5),
        ("shift back and forth", 1),
        ("diff of three", 3),
        ("z-score", 4),
        ("stochastic", 5),
        ("correlation", 5),
        ("centred and moved", 4),
        ("window of a window", 1 + 3 + 2),
        ("forward fill with a limit", 2),
        ("window by row number", 3),
        ("reversed, moved, reversed", 2),
        ("peak, one bar later", 2),
        ("range", 0),
        ("sorted by time", 2),
    ],
)
def test_past_is_exact_where_it_can_be(name, past, causal):
    assert causal[name].past == past


def test_functions_are_opaque():
    reaches = reaches_of(FOREIGN_LEAKING | FOREIGN_CAUSAL)
    assert all(reach.opaque and reach.is_causal is None for reach in reaches.values())
