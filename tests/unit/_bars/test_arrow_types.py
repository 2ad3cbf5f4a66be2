from __future__ import annotations

from decimal import Decimal

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from rangebar_enrich._bars.arrow_types import as_plain, plain_type, textual

PLAIN = [pa.int64(), pa.float16(), pa.string_view(), pa.list_(pa.int64()), pa.null(), pa.bool_()]
DECODED = [
    (pc.run_end_encode(pa.array(["a", "a"])), pa.string()),
    (pc.run_end_encode(pa.array([1, 1]).dictionary_encode().cast(pa.int64())), pa.int64()),
    (pa.array([1, 2]).cast(pa.decimal256(30, 2)), pa.decimal128(30, 2)),
    (pa.array([1, 2]).cast(pa.decimal256(50, 2)), pa.float64()),
    (pa.array([Decimal(100), None], pa.decimal128(5, -2)), pa.float64()),
]
NONE = [
    pa.dense_union([pa.field("a", pa.int64())]),
    pa.month_day_nano_interval(),
    pa.list_view(pa.int64()),
    pa.list_(pa.decimal256(50, 2)),
    pa.struct([("a", pa.run_end_encoded(pa.int32(), pa.string()))]),
]


@pytest.mark.parametrize("kind", PLAIN, ids=str)
def test_plain_types_are_kept(kind):
    column = pa.chunked_array([pa.nulls(2, kind)])
    assert plain_type(kind) == kind
    assert as_plain(column) is column


@pytest.mark.parametrize(("array", "kind"), DECODED, ids=str)
def test_what_can_be_decoded_is(array, kind):
    column = pa.chunked_array([array, array.slice(1), array.slice(0, 0)])
    actual = as_plain(column)
    assert actual.type == kind == plain_type(array.type)
    assert [str(v) for v in pl.Series(actual.cast(pa.string()))] == [
        str(v) for v in pl.Series(pa.array(column.to_pylist()).cast(kind).cast(pa.string()))
    ]


@pytest.mark.parametrize("kind", NONE, ids=str)
def test_what_cannot_be_decoded_has_no_type(kind):
    assert plain_type(kind) is None


def test_views_are_no_views_in_text():
    column = pa.chunked_array([pa.array(["a", None], pa.string_view())])
    assert textual(column).type == pa.large_string()
    assert textual(column.cast(pa.binary_view())).type == pa.large_binary()
