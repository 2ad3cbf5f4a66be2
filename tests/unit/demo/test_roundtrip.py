from __future__ import annotations

import pyarrow as pa
import pytest

from rangebar_enrich.demo.roundtrip import find_differences

FIELD = pa.field("x_a", pa.float64(), metadata={"provider": "x"})
PRICES = {name: [1.0, 2.0, 3.0] for name in ("open", "high", "low", "close", "volume")}


@pytest.fixture
def enriched() -> pa.Table:
    table = pa.table({"close_time": [1_000_999, 2_000_000, 3_000_001], **PRICES})
    return table.append_column(FIELD, pa.array([None, 0.1, 0.0]))


def stored(values=(None, 0.1, 0.0), times=(1_000, 2_000, 3_000), **prices):
    columns = {"close_time_ms": list(times), **PRICES, **prices, "x_a": list(values)}
    return pa.table(columns)


def test_find_differences_of_equal_bars_are_none(enriched):
    assert list(find_differences(enriched, stored())) == []


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (stored().slice(1), "2 rows came back for 3 that were written"),
        (stored(times=(1_001, 2_000, 3_000)), "the close times differ"),
        (stored(values=(None, 0.1, -0.0)), "column 'x_a' differs in 1 rows"),
        (stored(values=(0.0, 0.1, 0.0)), "column 'x_a' differs in 1 rows"),
        (stored(values=(None, 0.1, float("nan"))), "column 'x_a' differs in 1 rows"),
        (stored(low=[1.0, 2.0, 3.0000000000000004]), "column 'low' differs in 1 rows"),
        (stored().drop_columns("x_a"), "column 'x_a' did not come back"),
    ],
    ids=["rows", "times", "sign-of-zero", "null", "nan", "price", "absent"],
)
def test_find_differences_names_each(enriched, other, expected):
    assert list(find_differences(enriched, other)) == [expected]
