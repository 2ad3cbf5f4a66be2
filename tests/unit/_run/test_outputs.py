from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from rangebar_enrich._bars.feature import STACKED_ROWS
from rangebar_enrich._bars.series import SeriesKey, SeriesSplit
from rangebar_enrich._plan.planner import Planner
from rangebar_enrich._provider.declaration import declare_all
from rangebar_enrich._run.events import outcomes_of
from rangebar_enrich._run.outputs import feature_columns
from rangebar_enrich._run.settings import Settings
from rangebar_enrich._run.workspace import SeriesRun


def _declared(native, warm_up):
    made = {column: pl.col("close") for column in warm_up}
    return declare_all([native("p", made, min_bars=warm_up, version="3.1")])[0]


def _split(lengths, order=None):
    keys = tuple(SeriesKey(f"S{i}", 50) for i in range(len(lengths)))
    starts = np.cumsum([0, *lengths], dtype=np.int64)
    return SeriesSplit(keys, starts, None if order is None else np.array(order, dtype=np.uint32))


def _columns(declarations, values, split, before):
    settings = Settings(Planner(declarations))
    plan = settings.planner.plan((("close", pl.Float64()),), None, None)
    runs = [
        SeriesRun(key, plan, rows, earlier)
        for key, rows, earlier in zip(split.keys, split.lengths.tolist(), before, strict=True)
    ]
    made = feature_columns(declarations, outcomes_of(settings, []), values, split, runs)
    return {one.name: one.array.to_pylist() for one in made}, made


def test_warm_up_and_nan_are_null_and_infinity_is_kept(native):
    declarations = _declared(native, {"p_a": 2, "p_b": 0})
    values = {
        "p_a": [pl.Series([1.0, 2.0, 3.0, float("inf")])],
        "p_b": [pl.Series([1, None, 0, 5], dtype=pl.Int8)],
    }

    made, _ = _columns(declarations, values, _split([4]), [0])

    assert made == {"p_a": [None, None, 3.0, float("inf")], "p_b": [1.0, None, 0.0, 5.0]}


@pytest.mark.parametrize("rows", [STACKED_ROWS, STACKED_ROWS + 1], ids=["few", "many"])
def test_few_rows_and_many_give_the_same(native, rows):
    declarations = _declared(native, {"p_a": 7, "p_b": 0})
    numbers = np.random.default_rng(5).normal(size=rows)
    numbers[::10] = np.nan
    flags = pl.Series(numbers > 0)

    made, _ = _columns(
        declarations, {"p_a": [pl.Series(numbers)], "p_b": [flags]}, _split([rows]), [3]
    )

    expected = [None if np.isnan(x) or i < 4 else x for i, x in enumerate(numbers.tolist())]
    assert made["p_a"] == expected
    assert made["p_b"] == [float(x) for x in flags.to_list()]


@pytest.mark.parametrize("pieces", [1, 2], ids=["together", "apart"])
def test_warm_up_counts_from_the_start_of_each_series(native, pieces):
    declarations = _declared(native, {"p_a": 2})
    whole = pl.Series([1.0, 2.0, 3.0, 4.0, 5.0])
    values = [whole] if pieces == 1 else [whole[:3], whole[3:]]

    made, _ = _columns(declarations, {"p_a": values}, _split([3, 2]), [0, 1])

    assert made["p_a"] == [None, None, 3.0, None, 5.0]


def test_rows_go_back_to_the_order_of_the_table(native):
    declarations = _declared(native, {"p_a": 1})
    values = {"p_a": [pl.Series([1.0, 3.0]), pl.Series([2.0, 4.0])]}

    made, _ = _columns(declarations, values, _split([2, 2], order=[0, 2, 1, 3]), [0, 0])

    assert made["p_a"] == [None, None, 3.0, 4.0]


def test_no_rows_give_every_column(native):
    declarations = _declared(native, {"p_a": 2, "p_b": 0})

    made, _ = _columns(declarations, {}, _split([0]), [0])

    assert made == {"p_a": [], "p_b": []}


def test_field_says_who_made_a_column_and_how_it_went(native):
    declarations = _declared(native, {"p_a": 0})

    _, [made] = _columns(declarations, {"p_a": [pl.Series([1.0])]}, _split([1]), [0])

    assert made.field.metadata == {b"provider": b"p", b"version": b"3.1", b"status": b"ok"}
