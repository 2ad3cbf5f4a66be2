from __future__ import annotations

import polars as pl
import pytest

from rangebar_enrich._plan.compile import asked, compile_provider, compiled, named_expressions
from rangebar_enrich._plan.plan import Plan
from rangebar_enrich._provider.declaration import declare, declare_all
from rangebar_enrich.errors import CompileError
from rangebar_enrich.protocol import BarContext

CLOSE = pl.col("close")
CONTEXT = BarContext("SIM", 250, {"close": pl.Float64(), "text": pl.String()})


def _declared(native, made, **more):
    return declare(native("p", made, **more))


@pytest.mark.parametrize(
    "made",
    [
        {"p_b": CLOSE, "p_a": CLOSE + 1},
        [(CLOSE + 1).alias("p_a"), CLOSE.alias("p_b")],
        lambda _: iter([CLOSE.alias("p_b"), (CLOSE + 1).alias("p_a")]),
    ],
    ids=["mapping", "list", "generator"],
)
def test_expressions_stand_in_declared_order_under_their_names(made, native):
    exprs = named_expressions(_declared(native, made, columns=("p_a", "p_b")), CONTEXT)

    assert list(exprs) == ["p_a", "p_b"]
    assert [expr.meta.output_name() for expr in exprs.values()] == ["p_a", "p_b"]
    assert exprs["p_a"].meta.undo_aliases().meta.eq(CLOSE + 1)


@pytest.mark.parametrize(
    ("made", "fault"),
    [
        (CLOSE, r"expressions\(\) returned polars\.expr\.expr\.Expr, expected a list"),
        ([CLOSE.alias("p_a")], r"'p_b': declared, but no expression makes it"),
        ({"p_a": CLOSE, "p_b": 3}, r"'p_b': got int, expected pl\.Expr"),
        ({"p_a": CLOSE, "p_b": pl.all()}, r"'p_b': may give several columns"),
        ([CLOSE.alias("p_a")] * 2, r"'p_a': made by 2 expressions"),
        ([pl.element(), CLOSE.alias("p_b")], r"has no name \(.*\); end it with \.alias\(\)"),
        (lambda _: 1 / 0, r"expressions\(\) raised ZeroDivisionError"),
    ],
    ids=["expression", "missing", "number", "several", "doubled", "unnamed", "raises"],
)
def test_form_is_checked(made, fault, native):
    with pytest.raises(CompileError, match=fault) as caught:
        named_expressions(_declared(native, made, columns=("p_a", "p_b")), CONTEXT)

    assert caught.value.provider == "p"


@pytest.mark.parametrize(
    ("expr", "fault"),
    [
        (pl.col("colse"), r"reads unknown column 'colse' \(did you mean 'close'\?\)"),
        (pl.col("p_b"), r"\(a provider cannot read its own columns; repeat the expression\)"),
        (pl.col("text"), r"'p_a': has dtype String, expected a number or boolean"),
        (pl.col("text") - CLOSE, r"'p_a': \w+: .*"),
    ],
    ids=["unknown", "own", "text", "schema"],
)
def test_what_is_read_and_made_is_checked(expr, fault, native):
    made = _declared(native, {"p_a": expr, "p_b": CLOSE})

    with pytest.raises(CompileError, match=fault):
        compile_provider(made, named_expressions(made, CONTEXT), CONTEXT.columns)


def test_every_broken_column_is_told(native):
    exprs = {"p_a": pl.col("x"), "p_b": pl.col("y")}

    with pytest.raises(CompileError, match=r"2 fault\(s\):\n- 'p_a': .*\n- 'p_b': "):
        compile_provider(_declared(native, exprs), exprs, CONTEXT.columns)


def test_reads_are_the_columns_named(native):
    made = _declared(native, {"p_a": CLOSE.rolling_mean(3) + pl.col("volume")})
    schema = {**CONTEXT.columns, "volume": pl.Float64()}

    compiled_one = compile_provider(made, named_expressions(made, CONTEXT), schema)

    assert compiled_one.reads == {"close", "volume"}


def test_passes_keep_failures_apart_and_ask_once(native, legacy):
    good = native("good", {"good_a": CLOSE})
    bad = native("bad", {"bad_a": pl.col("nowhere")})
    silent = native("silent", lambda _: 1 / 0, columns=("silent_a",))
    wishful = legacy("wishful", ["wishful_a"], abs, requires=("nothing_there",))
    declarations = tuple(declare_all([good, bad, silent, wishful])[0])

    plan = compiled(asked(Plan(declarations, CONTEXT)))

    assert plan.compiled.keys() == {"good"}
    assert plan.failures.keys() == {"bad", "silent", "wishful"}
    assert "'nothing_there' is not there and nobody makes it" in str(plan.failures["wishful"])
    assert len(good.contexts) == 1
