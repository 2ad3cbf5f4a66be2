from __future__ import annotations

import pickle

import polars as pl
import pytest

import rangebar_enrich as rbe
from rangebar_enrich.errors import ProviderError


def _faults(provider, bars):
    with pytest.raises(ProviderError, match=provider.name) as caught:
        rbe.Enricher([provider], on_error="raise").run(bars)
    return caught.value.faults


@pytest.mark.parametrize(
    ("made", "promise", "column"),
    [
        ({"x_b": pl.col("close")}, "columns", None),
        ({"x_a": pl.col("absent")}, "columns", "x_a"),
        ({"x_a": pl.col("data_source")}, "dtypes", "x_a"),
        ({"x_a": pl.col("close").mean()}, "row_preserving", "x_a"),
    ],
    ids=["undeclared", "unknown", "text", "aggregate"],
)
def test_native_fault_says_which_promise_it_breaks(native, bars, made, promise, column):
    faults = _faults(native("x", made, columns=("x_a",)), bars)

    assert (faults[-1].promise, faults[-1].column) == (promise, column)


def _reordered(bars):
    bars["x_a"] = 1.0
    return bars.iloc[::-1]


def _changed(bars):
    bars["x_a"] = 1.0
    bars["close"] = bars["close"] + 1.0
    return bars


@pytest.mark.parametrize(
    ("enrich", "promise"),
    [
        (lambda bars: bars, "columns"),
        (lambda bars: bars.assign(x_a="much"), "dtypes"),
        (_reordered, "row_preserving"),
        (_changed, "existing_columns_read_only"),
    ],
    ids=["nothing", "text", "reordered", "changed"],
)
def test_legacy_fault_says_which_promise_it_breaks(legacy, bars, enrich, promise):
    faults = _faults(legacy("x", ("x_a",), enrich), bars)

    assert [fault.promise for fault in faults] == [promise]


def test_error_with_faults_pickles(native, bars):
    with pytest.raises(ProviderError, match="x_a") as caught:
        rbe.Enricher([native("x", {"x_a": pl.col("absent")})], on_error="raise").run(bars)

    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes

    assert copy.faults == caught.value.faults
