"""One exact text for each family of errors: what is wrong, the lines, the hint."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pytest

import rangebar_enrich as rbe
from rangebar_enrich import errors


def _raised(kind, call):
    with pytest.raises(kind, match=r".") as caught:
        call()
    return str(caught.value)


def _run(provider, bars=None):
    bars = pa.table({"open": [1.0, 2.0], "close": [1.0, 2.0]}) if bars is None else bars
    return rbe.enrich_bars(bars, "A", 50, providers=[provider], on_error="raise")


def test_bars_error_text(momentum):
    bars = pa.table({"close": ["a"], "volume": ["b"]})

    assert _raised(errors.BarColumnError, lambda: _run(momentum, bars)) == (
        "2 bar column(s) are not numbers:\n"
        "- 'close': got String, expected float64\n"
        "- 'volume': got String, expected float64\n"
        "Hint: cast them to float64 before enrichment."
    )


def test_bar_order_error_text(momentum):
    bars = pa.table({"close": [1.0] * 4, "close_time": [10, 30, 20, 15]})

    assert _raised(errors.BarOrderError, lambda: _run(momentum, bars)) == (
        "Bars are out of time order: 2 row(s) of 'close_time' are earlier than the row before,"
        " the first in row 2 of A@50: 20 after 30.\n"
        "Hint: sort the bars by 'close_time' within each series."
    )


def test_series_conflict_error_text(momentum):
    bars = pa.table({"close": [1.0], "symbol": ["B"]})

    assert _raised(errors.SeriesConflictError, lambda: _run(momentum, bars)) == (
        "Argument 'symbol' is 'A', but the column says 'B'.\n"
        "Hint: drop the argument or the column, whichever is wrong."
    )


def test_unsupported_bars_error_text(momentum):
    assert _raised(errors.UnsupportedBarsError, lambda: _run(momentum, [1.0])) == (
        "Bars of type 'builtins.list' cannot be read.\n"
        "Hint: pass an Arrow table, batch or reader, a Polars or pandas DataFrame, or a LazyFrame."
    )


def test_declaration_error_text(native):
    provider = native("bad", {"worse_a": pl.col("close")}, min_bars=-1)

    assert _raised(errors.DeclarationError, lambda: _run(provider)) == (
        "Provider 'bad' breaks its declaration in 2 place(s):\n"
        "- 'columns': 'worse_a' does not start with 'bad_'\n"
        "- 'min_bars': got -1, expected a whole number of rows, 0 or more\n"
        "Hint: mend the attributes; the contract is in docs/providers.md."
    )


def test_compile_error_text(native):
    provider = native("bad", {"bad_a": pl.col("colse"), "bad_b": pl.col("bad_a")})

    assert _raised(errors.CompileError, lambda: _run(provider)) == (
        "Provider 'bad' 1.0.0: 2 fault(s):\n"
        "- 'bad_a': reads unknown column 'colse' (did you mean 'close'?)\n"
        "- 'bad_b': reads unknown column 'bad_a' (a provider cannot read its own columns;"
        " repeat the expression)"
    )


def test_run_error_text(native):
    def explode(_):
        msg = "no luck"
        raise ValueError(msg)

    provider = native("bad", {"bad_a": pl.col("close").map_batches(explode, pl.Float64)})

    assert _raised(errors.RunError, lambda: _run(provider)) == "Provider 'bad': ValueError: no luck"


def test_legacy_run_error_text(legacy):
    def enrich(view):
        view["close"] = 0.0
        view["tmp"] = 1.0
        return view

    assert _raised(errors.RunError, lambda: _run(legacy("old", ["old_a"], enrich))) == (
        "Provider 'old' 2.0.0: 3 fault(s):\n"
        "- 'close': changed\n"
        "- 'old_a': declared, but not added\n"
        "- 'tmp': added, but not declared\n"
        "Hint: a legacy provider adds its columns in place and changes nothing else."
    )


def test_dependency_error_text(native):
    broken = native("a", {"a_a": pl.col("nowhere")})
    reader = native("b", {"b_a": pl.col("a_a")})
    result = rbe.Enricher([broken, reader]).run(pa.table({"close": [1.0]}))

    assert result.outcomes[1].error == "Provider 'b' reads columns of 'a', which failed."
