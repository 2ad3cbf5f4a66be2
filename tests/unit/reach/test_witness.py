from __future__ import annotations

import polars as pl
import pytest

from rangebar_enrich._expr import tree
from rangebar_enrich.reach import Witness, reach_of, reaches_of
from rangebar_enrich.reach.result import Reach
from rangebar_enrich.reach.witness import compute, find_witnesses

CLOSE = pl.col("close")


def _trap(_: object) -> object:
    msg = "foreign code ran"
    raise AssertionError(msg)


def _witness(expr: pl.Expr) -> Witness:
    witness = reach_of(expr).witness
    assert witness is not None
    return witness


def test_a_witness_is_small():
    witness = _witness(CLOSE.shift(-1))
    assert witness.frame.columns == ["close"]
    assert witness.frame.height == witness.row + 2
    assert (witness.row, witness.before, witness.ahead) == (0, None, 1)


def test_a_witness_reads_as_a_sentence():
    frame = pl.DataFrame({"close": [1.0, 2.5]})
    cut = Witness("x", frame, frame.head(1), 1, 0, None, 2.5)
    replaced = Witness("x", frame, frame.reverse(), 1, 0, 1.0, 2.5)
    assert str(cut) == "row 0 is null while the table ends at row 0, and 2.5 once row 1 has come"
    assert str(replaced) == "row 0 is 1 or 2.5, depending on what row 1 has brought"


def test_witnesses_are_the_same_every_time():
    one, other = (_witness(CLOSE - CLOSE.quantile(0.9)) for _ in range(2))
    assert str(one) == str(other)
    assert one.frame.equals(other.frame)


@pytest.mark.parametrize("rows", [30, 200, 1500])
def test_a_far_look_needs_a_long_table(rows):
    assert _witness(CLOSE.shift(-rows)).frame.height > rows
    assert reach_of(CLOSE.rolling_mean(rows, center=True)).is_causal is False
    assert reach_of(CLOSE.get(rows)).is_causal is False


@pytest.mark.parametrize("level", [0.001, 1e5, -40.0])
def test_values_lie_where_the_expression_looks(level):
    expr = CLOSE - CLOSE.filter(CLOSE.is_between(level - abs(level) / 50, level)).last()
    assert reach_of(expr).is_causal is False


def test_weights_are_kept_from_gaps(capfd):
    assert (
        reach_of(CLOSE.rolling_sum(3, weights=[1, 2, 1], center=True).is_null()).is_causal is False
    )
    assert "panicked" not in capfd.readouterr().err


def test_one_that_fails_does_not_spoil_the_batch():
    exprs = {
        "fails": CLOSE.str.to_uppercase().reverse(),
        "has another length": CLOSE.head(3),
        "is out of bounds": CLOSE.gather([50_000]).first() + CLOSE,
        "leaks": CLOSE - CLOSE.mean(),
    }
    reaches = reaches_of(exprs)
    assert {name: reach.is_causal for name, reach in reaches.items()} == {
        "fails": None,
        "has another length": None,
        "is out of bounds": None,
        "leaks": False,
    }


def test_columns_that_two_expressions_use_differently():
    x = pl.col("x")
    exprs = {"text": x.str.len_chars().max(), "list": x.list.sum().max(), "number": x.log().max()}
    reaches = reaches_of(exprs)
    assert [reach.is_causal for reach in reaches.values()] == [False, False, False]


def test_a_column_of_unknown_type_is_tried_as_several():
    exprs = {
        "flags": (pl.col("flags") & 1).last(),
        "side": pl.when(pl.col("side") == "buy").then(1).sum(),
    }
    assert [reach.is_causal for reach in reaches_of(exprs).values()] == [False, False]


def test_foreign_code_is_never_run():
    exprs = {
        "batches": CLOSE.map_batches(_trap).mean(),
        "rolling": CLOSE.rolling_map(_trap, 3).shift(-1),
        "folded": pl.fold(pl.lit(0), _trap, [CLOSE]).mean(),
        "picklable": pl.map_batches(["close"], _trap).mean(),
        "leaks": CLOSE.mean(),
    }
    reaches = reaches_of(exprs)
    assert [reach.is_causal for reach in reaches.values()] == [None, None, None, None, False]


def test_a_name_made_by_python_is_not_run():
    reach = reach_of(CLOSE.mean().name.map(_trap))
    assert reach.is_causal is not True


def test_several_columns_at_once():
    assert reach_of(pl.col("open", "close").shift(-1)).is_causal is False
    assert reach_of(pl.selectors.float().mean(), schema={"x": pl.Float64()}).is_causal is False


@pytest.mark.parametrize(
    "dtype",
    [
        pl.Int8(),
        pl.UInt64(),
        pl.Float32(),
        pl.Boolean(),
        pl.String(),
        pl.Categorical(),
        pl.Enum(["a", "b"]),
        pl.Date(),
        pl.Time(),
        pl.Duration("ms"),
        pl.Datetime("ns", "UTC"),
        pl.Decimal(20, 4),
        pl.Binary(),
        pl.List(pl.Int64()),
        pl.Array(pl.Float64(), 2),
        pl.Struct({"a": pl.Int64(), "b": pl.String()}),
        pl.List(pl.Struct({"a": pl.Float64()})),
        pl.Int128(),
    ],
    ids=str,
)
def test_a_column_of_any_dtype(dtype):
    assert reach_of(pl.col("x").shift(-1), schema={"x": dtype}).is_causal is False
    assert reach_of(pl.col("x").shift(1), schema={"x": dtype}).is_causal is True


@pytest.mark.parametrize("dtype", [pl.Object(), pl.Null()], ids=str)
def test_a_column_that_can_not_be_made_up_proves_nothing(dtype):
    exprs = {"odd": pl.col("x").last(), "leaks": CLOSE.last()}
    reaches = reaches_of(exprs, schema={"x": dtype})
    assert [reach.is_causal for reach in reaches.values()] == [None, False]


def test_find_witnesses_has_no_proof_against_a_causal_expression():
    cancels = CLOSE.sum() - CLOSE.cum_sum(reverse=True) + CLOSE
    node = tree.decode(cancels)
    assert node is not None
    assert find_witnesses({"x": node}, {}) == {}


def test_compute_gives_nothing_where_one_fails():
    frame = pl.DataFrame({"close": [1.0, 2.0]})
    assert compute(frame, {"sound": CLOSE, "broken": pl.col("absent")}) == {}
    assert compute(frame, {"mean": CLOSE.mean()})["mean"].to_list() == [1.5, 1.5]


def test_a_reach_without_proof_can_not_tell():
    assert Reach(future=2).is_causal is None
    assert Reach(opaque=True).is_causal is None
    assert Reach(past=5).is_causal is True
