from __future__ import annotations

import polars as pl
import pytest

from rangebar_enrich._bars.fit import fitted
from rangebar_enrich.errors import BarColumnError

FITS = [
    (pl.Series([1, None]), pl.UInt32),
    (pl.Series([1, 2], dtype=pl.UInt32), pl.Int64),
    (pl.Series([1, 2**53]), pl.Float64),
    (pl.Series([None, None]), pl.String),
    (pl.Series([None, None]), pl.UInt32),
    (pl.Series([None, None], dtype=pl.Float64), pl.Int64),
    (pl.Series(["a", None], dtype=pl.Categorical), pl.String),
    (pl.Series(["a", None]), pl.Enum(["a", "b"])),
]
FITS_NOT = [
    (pl.Series([1, -1]), pl.UInt32),
    (pl.Series([1, 2**40]), pl.UInt32),
    (pl.Series([1, 2**53 + 1]), pl.Float64),
    (pl.Series([1.0, 2.0]), pl.Int64),
    (pl.Series([1.0, 2.0], dtype=pl.Float32), pl.Float64),
    (pl.Series(["1", "2"]), pl.Int64),
    (pl.Series(["a", "c"]), pl.Enum(["a", "b"])),
    (pl.Series([1, 2]).cast(pl.Datetime("ms")), pl.Datetime("us")),
]
TEXTS = {"head": "{} column(s) differ:", "hint": "give them."}


@pytest.mark.parametrize(("series", "dtype"), FITS)
def test_values_that_fit_are_the_same(series, dtype):
    frame = pl.DataFrame({"other": [0, 0], "x": series})
    actual = fitted(frame, {"x": dtype}, **TEXTS)
    assert actual.columns == ["x"]
    assert actual["x"].dtype == dtype
    assert actual["x"].to_list() == series.to_list()


@pytest.mark.parametrize(("series", "dtype"), FITS_NOT)
def test_values_that_would_be_others_are_refused(series, dtype):
    with pytest.raises(BarColumnError, match=r"^1 column\(s\) differ:\n- 'x': got "):
        fitted(pl.DataFrame({"x": series}), {"x": dtype}, **TEXTS)


def test_every_column_that_differs_is_named():
    with pytest.raises(BarColumnError) as caught:  # noqa: PT011 the whole text is compared below
        fitted(pl.DataFrame({"x": [1.5]}), {"x": pl.Int64(), "y": pl.String()}, **TEXTS)
    assert str(caught.value) == (
        "2 column(s) differ:\n"
        "- 'x': got Float64, expected Int64\n"
        "- 'y': got nothing, expected String\n"
        "Hint: give them."
    )
