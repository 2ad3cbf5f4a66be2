from __future__ import annotations

import math
import operator
import pickle
import struct
import sys
from types import SimpleNamespace

import polars as pl
import pytest
from corpus.expressions import CAUSAL, LEAKING
from corpus.operators import FOREIGN, build, builders, native
from corpus.trees import expressions
from hypothesis import given
from hypothesis import strategies as st

from rangebar_enrich._expr import tree

CLOSE = pl.col("close")
FEATURES = {f"leaking {name}": expr for name, expr in LEAKING.items()} | CAUSAL


def _explode(value: object) -> object:
    msg = f"a UDF ran on {value}"
    raise AssertionError(msg)


def _no_pickle(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "cloudpickle", None)


def _pickle_all(monkeypatch) -> None:
    """Stand in for cloudpickle: every function pickles, as another one."""
    fake = SimpleNamespace(dumps=lambda *_, **__: pickle.dumps(_explode))
    monkeypatch.setitem(sys.modules, "cloudpickle", fake)


def _node(expr: pl.Expr) -> tree.Node:
    node = tree.decode(expr)
    assert node is not None
    return node


@pytest.mark.parametrize("expr", FEATURES.values(), ids=FEATURES.keys())
def test_encode_gives_the_expression_back(expr):
    node = _node(expr)
    assert tree.encode(node).meta.eq(expr)
    assert tree.pack(_node(tree.encode(node))) == tree.pack(node)


@given(expressions())
def test_encode_gives_random_expressions_back(expr):
    node = _node(expr)
    assert tree.encode(node).meta.eq(expr)
    assert tree.pack(tree.rebuild(node, tree.children(node))) == tree.pack(node)


@given(st.floats(), st.sampled_from([pl.Float64, None]))
def test_encode_keeps_every_bit_of_a_float(value, dtype):
    actual = pl.select(tree.encode(_node(pl.lit(value, dtype=dtype)))).item()
    both_nan = math.isnan(actual) and math.isnan(value)
    assert both_nan or struct.pack("d", actual) == struct.pack("d", value)


@given(st.floats(width=32))
def test_encode_keeps_single_precision(value):
    expr = pl.lit(value, dtype=pl.Float32)
    actual = pl.select(tree.encode(_node(expr)).alias("x"))
    assert actual.equals(pl.select(expr.alias("x")))


@given(st.integers(-(2**127), 2**127 - 1))
def test_integer_reads_all_128_bits(value):
    node = _node(pl.lit(value))
    assert tree.integer(node) == value
    assert tree.integer(_node(tree.encode(node))) == value


@pytest.mark.parametrize(
    "values", [[1, None], [1.5, math.nan], [[1], [2, 3]], ["a", None]], ids=str
)
def test_encode_keeps_a_literal_series(values):
    series = pl.Series("x", values)
    actual = pl.select(tree.encode(_node(pl.lit(series)))).to_series()
    assert actual.equals(series, check_names=True, check_dtypes=True)


@pytest.mark.parametrize("builder", native().values(), ids=native().keys())
def test_children_of_every_operator_are_known(builder):
    for part in tree.walk(_node(build(builder))):
        assert tree.is_known_shape(part)
        assert tree.rebuild(part, tree.children(part)) == part


@pytest.mark.parametrize(
    ("expr", "names"),
    [
        (CLOSE.cast(pl.Float32), ["close"]),
        (CLOSE.shift(1, fill_value=pl.col("f")), ["close", "f"]),
        (CLOSE.sum().over("k", order_by="t"), ["close", "k", "t"]),
        (CLOSE.sum().rolling("t", period="3i"), ["close", "t"]),
        (pl.when(pl.col("p")).then(pl.col("x")).otherwise(pl.col("y")), ["p", "x", "y"]),
        (CLOSE.sort_by("x", "y"), ["close", "x", "y"]),
        (CLOSE.filter(pl.col("p")).slice(1, 2), ["close", "p"]),
        (CLOSE.cast(pl.dtype_of("only_its_dtype")), ["close"]),
        (pl.col("a", "b").sum(), ["a", "b"]),
        (pl.col("l").list.filter(pl.element() > 1), ["l"]),
    ],
    ids=str,
)
def test_columns_are_those_whose_rows_are_read(expr, names):
    assert tree.columns(_node(expr)) == tuple(names)


def test_columns_by_rule_need_a_schema():
    assert tree.selects_by_rule(_node(pl.selectors.float().mean()))
    assert not tree.selects_by_rule(_node(pl.col("a", "b").mean()))


def test_rebuild_leaves_the_node_as_it_was():
    node = _node(CLOSE.shift(1))
    before = tree.pack(node)
    moved = tree.rebuild(node, [{"Column": "open"}, tree.children(node)[1]])
    assert tree.encode(moved).meta.eq(pl.col("open").shift(1))
    assert tree.pack(node) == before


def test_rebuild_counts_children():
    with pytest.raises(ValueError, match="zip"):
        tree.rebuild(_node(CLOSE.shift(1)), [{"Column": "open"}])


def test_walk_gives_parents_first():
    names = [tree.operator(part) for part in tree.walk(_node((CLOSE + 1).abs()))]
    assert names == ["Function.Abs", "BinaryExpr.Plus", "Column", "Literal"]


@pytest.mark.parametrize(
    ("expr", "name"),
    [
        (CLOSE, "Column"),
        (pl.len(), "Len"),
        (CLOSE + 1, "BinaryExpr.Plus"),
        (CLOSE.std(), "Agg.Std"),
        (CLOSE.shift(1), "Function.Shift"),
        (CLOSE.is_in([1.0]), "Function.Boolean.IsIn"),
        (CLOSE.rolling_std(3), "Function.RollingExpr.Std"),
        (CLOSE.rolling_max_by("t", "3i"), "Function.RollingExprBy.MaxBy"),
        (CLOSE.backward_fill(), "Function.FillNullWithStrategy.Backward"),
        (CLOSE.shuffle(), "Function.Random.Shuffle"),
        (CLOSE.cumulative_eval(pl.element().sum()), "Eval.Cumulative"),
    ],
    ids=str,
)
def test_operator_names(expr, name):
    assert tree.operator(_node(expr)) == name


@pytest.mark.parametrize(
    ("expr", "value"),
    [
        (pl.lit(3), 3),
        (-pl.lit(3), -3),
        (pl.lit(3).neg().alias("x"), -3),
        (pl.lit(-1).cast(pl.Int8), -1),
        (pl.lit(-1).cast(pl.UInt8), None),
        (pl.lit(300).cast(pl.Int8), None),
        (pl.lit(1, dtype=pl.UInt16), 1),
        (pl.lit(2) + 3, 5),
        (pl.lit(2) - pl.lit(3) * 2, -4),
        (pl.lit(2.0), None),
        (pl.lit("2"), None),
        (pl.lit(True), None),  # noqa: FBT003
        (pl.lit(2) + CLOSE, None),
        (CLOSE, None),
    ],
    ids=str,
)
def test_integer_of_whole_numbers(expr, value):
    assert tree.integer(_node(expr)) == value


def test_decode_has_no_form_for_a_function_that_does_not_pickle(monkeypatch):
    _no_pickle(monkeypatch)
    assert tree.decode(CLOSE.map_batches(_explode)) is None


@pytest.mark.parametrize("name", sorted(FOREIGN))
def test_decode_or_has_udf_finds_every_python_function(name, monkeypatch):
    _no_pickle(monkeypatch)
    node = tree.decode(build(builders()[name]))
    assert node is None or tree.has_udf(node)


@pytest.mark.parametrize(
    "expr",
    [
        CLOSE.map_batches(_explode) + 1,
        CLOSE.rolling_map(_explode, 3),
        pl.fold(pl.lit(0), operator.add, [CLOSE]),
        pl.reduce(operator.add, [CLOSE]),
        pl.cum_fold(pl.lit(0), operator.add, [CLOSE]),
        CLOSE.name.map(str.upper),
        CLOSE.list.eval(pl.element().map_batches(_explode)),
        CLOSE.cast(pl.dtype_of(CLOSE.map_batches(_explode))),
    ],
    ids=["batches", "rolling", "fold", "reduce", "cum_fold", "name", "in a list", "in a dtype"],
)
def test_has_udf_where_functions_pickle(expr, monkeypatch):
    _pickle_all(monkeypatch)
    assert tree.has_udf(_node(expr))


def test_has_udf_of_a_plugin_library():
    body = {"input": [{"Column": "x"}], "function": {"FfiPlugin": {"lib": "l", "symbol": "s"}}}
    assert tree.has_udf({"Alias": [{"Function": body}, "y"]})


def test_has_udf_is_not_fooled_by_names():
    assert not tree.has_udf(_node(pl.col("AnonymousFunction").alias("FfiPlugin")))


def test_decode_refuses_what_is_too_deep():
    shallow = deep = CLOSE
    for _ in range(150):
        shallow += 1
    for _ in range(2000):
        deep += 1
    assert tree.decode(shallow) is not None
    assert tree.decode(deep) is None


def test_pack_tells_trees_apart():
    one, other = _node(CLOSE + math.nan), _node(CLOSE + math.inf)
    assert tree.pack(one) == tree.pack(_node(CLOSE + math.nan))
    assert tree.pack(one) != tree.pack(other)
