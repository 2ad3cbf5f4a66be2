"""Bars of the real builder from real trades, through the engine, into the table and back."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import rangebar_enrich as rbe
from rangebar_enrich.clickhouse.columns import (
    BUILDER,
    FIXED_POINT_TO_QUOTE,
    MICROSECONDS_TO_MS,
)

pytestmark = pytest.mark.real_data
BARS = {5: 5368, 50: 3064, 250: 341}


def as_stored(name: str, column: pa.ChunkedArray) -> list:
    """Return what the mapping table promises of a builder column."""
    conversion = BUILDER[name].conversion
    if conversion == MICROSECONDS_TO_MS:
        return [value // 1000 for value in column.to_pylist()]
    if conversion == FIXED_POINT_TO_QUOTE:
        return (column.to_numpy() / 1e16).tolist()
    return column.to_pylist()


@pytest.mark.parametrize("threshold", BARS)
def test_every_builder_column_comes_back(store, real_batch, threshold):
    batch = pa.table(real_batch(threshold))
    result = store.write(batch, symbol="XRPETH", threshold_decimal_bps=threshold, verify=True)
    assert (batch.num_rows, result.rows) == (BARS[threshold], BARS[threshold])
    assert set(batch.column_names) == set(BUILDER)
    actual = store.read("XRPETH", threshold)
    for name in batch.column_names:
        assert actual[BUILDER[name].target].to_pylist() == as_stored(name, batch[name])


def test_batch_of_the_builder_is_taken_as_it_is(store, real_batch):
    store.write(real_batch(250), symbol="XRPETH", threshold_decimal_bps=250)
    assert store.count("XRPETH", 250) == 341


def test_enriched_bars_come_back_bit_for_bit(store, real_batch, momentum):
    result = rbe.Enricher([momentum]).run(real_batch(50), symbol="XRPETH", threshold_decimal_bps=50)
    store.write(result, symbol="XRPETH", threshold_decimal_bps=50)
    actual = store.read("XRPETH", 50, columns=momentum.columns)
    for name in momentum.columns:
        stored, made = actual[name], result.table[name]
        assert stored.is_null().equals(made.is_null())
        bits = [column.drop_null().to_numpy().view(np.int64) for column in (stored, made)]
        assert np.array_equal(*bits)
    version = store.read("XRPETH", 50, plugin_features=True).schema.field(momentum.columns[0])
    assert version.metadata[b"provider"] == momentum.name.encode()
