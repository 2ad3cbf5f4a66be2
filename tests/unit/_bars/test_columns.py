from __future__ import annotations

import ast
from pathlib import Path

import polars as pl
import pytest

import rangebar_enrich
from rangebar_enrich._bars.columns import (
    BAR_COLUMNS,
    BAR_DTYPES,
    BUILDER_COLUMNS,
    OHLCV,
    RESERVED,
    SERIES_COLUMNS,
    TIME_UNITS,
    Role,
    names_of,
    spellings,
)

PACKAGE = Path(rangebar_enrich.__file__).parent


def test_columns_have_one_name_each():
    names = [column.name for column in BAR_COLUMNS]
    assert len(names) == len(set(names))
    assert all(name == name.lower() for name in names)


def test_every_role_has_columns():
    assert {role: bool(names_of(role)) for role in Role} == dict.fromkeys(Role, True)
    assert names_of(*Role) == tuple(BAR_DTYPES)


def test_derived_lists_say_what_they_say():
    assert OHLCV == ("open", "high", "low", "close", "volume")
    assert SERIES_COLUMNS == ("symbol", "threshold_decimal_bps", "ouroboros_mode")
    assert list(TIME_UNITS.items()) == [
        ("close_time", "us"),
        ("close_time_ms", "ms"),
        ("open_time", "us"),
        ("open_time_ms", "ms"),
    ]
    assert {*BUILDER_COLUMNS, "timestamp", "lookback_hurst", "intra_bull_cv"} < RESERVED


def test_builder_columns_are_those_of_a_real_batch(bars):
    real = pl.DataFrame(bars).schema
    assert dict(real) == dict(BUILDER_COLUMNS)


def test_pieces_of_the_table_stand_in_one_module():
    """A name that only the table knows is spelt out nowhere else."""
    told = {name for name in BAR_DTYPES if name.startswith(("lookback_", "intra_"))}
    telling = {name.partition("_")[2] for name in told} - {"ofi", "duration_us", "trade_count"}
    for path in PACKAGE.rglob("*.py"):
        if path.parts[-2:] == ("_bars", "columns.py") or "features" in path.parts:
            continue  # a pack may compute what the builder does, under its own names
        words = {
            word
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            for word in node.value.split()
        }
        assert len(words & telling) < 3, path


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["close", "Close"], {"close": "close", "Close": "Close"}),
        (["Close", "x"], {"close": "Close", "x": "x"}),
        (["CLOSE"], {"CLOSE": "CLOSE"}),
        (["Symbol"], {"Symbol": "Symbol"}),
    ],
    ids=str,
)
def test_spellings(names, expected):
    assert spellings(names) == expected
