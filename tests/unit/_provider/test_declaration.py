from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from rangebar_enrich._provider.declaration import (
    Declaration,
    Kind,
    Rejection,
    cause,
    declare,
    declare_all,
)
from rangebar_enrich.errors import DeclarationError, RunError


def _provider(**changes):
    attributes = {"name": "p", "version": "1.0", "columns": ("p_a", "p_b"), "min_bars": 3}
    attributes |= {"expressions": lambda _context: []} | changes
    return SimpleNamespace(**{key: value for key, value in attributes.items() if value is not ...})


def test_declaration_holds_what_the_provider_says():
    made = declare(_provider(lookback=np.int64(40), requires=["q_a"]))

    assert isinstance(made, Declaration)
    assert (made.kind, made.name, made.version) == (Kind.NATIVE, "p", "1.0")
    assert (made.columns, dict(made.warm_up)) == (("p_a", "p_b"), {"p_a": 3, "p_b": 3})
    assert (made.lookback, made.requires) == (40, ("q_a",))


def test_kind_is_legacy_where_only_enrich_is_there():
    assert declare(_provider(expressions=..., enrich=abs)).kind is Kind.LEGACY
    assert declare(_provider(enrich=abs)).kind is Kind.NATIVE


@pytest.mark.parametrize(
    ("lookback", "min_bars", "expected"),
    [(None, 5, None), (3, 5, 5), (9, {"p_a": 2, "p_b": 7}, 9), (0, 0, 0)],
)
def test_declared_values_are_fixed_by_lookback_and_warm_up(lookback, min_bars, expected):
    assert declare(_provider(lookback=lookback, min_bars=min_bars)).fixed_by == expected


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"name": "P"}, r"'name': got 'P', expected text like \[a-z\]"),
        ({"version": " "}, r"'version': got ' ', expected text such as"),
        ({"version": ...}, r"'version': missing"),
        ({"columns": "p_a"}, r"'columns': got 'p_a', expected a tuple"),
        ({"columns": ("p_a", "q_b")}, r"'columns': 'q_b' does not start with 'p_'"),
        ({"columns": ("p_a", "p_a")}, r"'columns': 'p_a' is declared twice"),
        ({"min_bars": True}, r"'min_bars': got True, expected a whole number"),
        ({"min_bars": {"p_a": 1}}, r"'min_bars': 'p_b' has no entry"),
        ({"lookback": -1}, r"'lookback': got -1, expected a whole number of bars"),
        ({"requires": "q_a"}, r"'requires': got 'q_a', expected a tuple"),
        ({"expressions": ...}, r"'expressions': missing"),
    ],
)
def test_fault_is_told(changes, fault):
    made = declare(_provider(**changes))

    assert isinstance(made, Rejection)
    with pytest.raises(DeclarationError, match=fault):
        raise made.error


def test_every_fault_is_told_at_once():
    made = declare(_provider(name="p", version=3, columns=("x",), min_bars=-1))

    assert str(made.error).count("\n- ") == 3
    assert str(made.error).startswith("Provider 'p' breaks its declaration in 3 place(s):")


def test_reading_an_attribute_may_raise():
    class Explosive:
        name, columns, min_bars, expressions = "p", ("p_a",), 0, abs

        @property
        def version(self):
            msg = "no version today"
            raise RuntimeError(msg)

    assert "'version': reading it raised RuntimeError: no version today" in str(
        declare(Explosive()).error
    )


def test_class_is_instantiated_and_its_constructor_may_raise():
    class Picky:
        def __init__(self, needed):
            self.needed = needed

    made = declare(Picky)

    assert (made.name, made.version) == ("Picky", None)
    assert "Its constructor raised TypeError" in str(made.error)


@pytest.mark.parametrize(
    ("second", "fault"),
    [
        ({"version": "2.0"}, r"'name': another provider, version 1.0, has the name 'p'"),
        ({"name": "p_a", "columns": ("p_a_x",)}, None),
        ({"name": "p_x", "columns": ("p_x_a",)}, None),
    ],
)
def test_first_of_two_keeps_its_name(second, fault):
    declared, rejected = declare_all([_provider(), _provider(**second)])

    assert declared[0].name == "p"
    assert len(rejected) == (fault is not None)
    if fault is not None:
        with pytest.raises(DeclarationError, match=fault):
            raise rejected[0].error


def test_first_of_two_keeps_its_columns():
    wide, narrow = _provider(columns=("p_x_a",)), _provider(name="p_x", columns=("p_x_a",))

    declared, rejected = declare_all([wide, narrow])

    assert [made.name for made in declared] == ["p"]
    assert "'columns': 'p_x_a' is declared by provider 'p' too" in str(rejected[0].error)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("bad value\nand more"), "ValueError: bad value"),
        (ValueError(), "ValueError: no message"),
        (RunError.of("p", "head\n- line"), "head - line"),
        (
            pl.exceptions.ComputeError("no\n\nThis error occurred in the following context"),
            "ComputeError: no",
        ),
    ],
)
def test_cause_is_one_line(error, line):
    assert cause(error) == line
