from __future__ import annotations

import polars as pl
import pytest

from rangebar_enrich._expr import tree
from rangebar_enrich.reach.guess import guess_dtypes


@pytest.mark.parametrize(
    ("expr", "dtype"),
    [
        (pl.col("x").str.head(1), pl.String()),
        (pl.col("x").list.first(), pl.List(pl.Float64())),
        (pl.col("x").dt.hour(), pl.Datetime("us")),
        (pl.col("close").filter("x"), pl.Boolean()),
        (pl.when("x").then(1), pl.Boolean()),
        (~pl.col("x"), pl.Boolean()),
        (pl.col("x") & 4, pl.Int64()),
        (pl.col("close").first().over("x"), pl.Int64()),
        (pl.col("close").rolling_sum_by("x", "5i"), pl.Int64()),
        (pl.col("close").rolling_sum_by("x", "5m"), pl.Datetime("us")),
        (pl.col("close").sum().rolling("x", period="5m"), pl.Datetime("us")),
        (pl.col("close").ewm_mean_by("x", half_life="5i"), pl.Int64()),
        (pl.col("x") == "buy", pl.Enum(["buy", "not buy"])),
        (pl.col("x") + 1, None),
    ],
    ids=str,
)
def test_guess_dtypes_from_use(expr, dtype):
    node = tree.decode(expr)
    assert node is not None
    assert guess_dtypes([node]).get("x") == dtype


def test_guess_leaves_prices_alone():
    node = tree.decode(pl.col("close").over("volume"))
    assert node is not None
    assert guess_dtypes([node]) == {}
