"""Bars of the real builder from real trades, through a native and the real legacy provider."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import rangebar_enrich as rbe

pytestmark = pytest.mark.real_data

BARS = {5: 5368, 50: 3064, 250: 341}


@pytest.fixture(scope="module")
def laguerre():
    return pytest.importorskip("atr_adaptive_laguerre.rangebar_plugin").LaguerreFeatureProvider()


def _addresses(table):
    return [chunk.buffers()[1].address for column in table.columns for chunk in column.chunks]


@pytest.mark.parametrize("threshold", BARS)
def test_builders_batch_is_taken_as_it_is(threshold, real_batch, laguerre, momentum, half_range):
    batch = real_batch(threshold)
    raw = pa.table(batch)

    result = rbe.Enricher([momentum, laguerre, half_range]).run(
        batch, symbol="XRPETH", threshold_decimal_bps=threshold
    )

    table = result.table
    assert [one.status for one in result.outcomes] == ["ok", "ok", "ok"]
    assert table.num_rows == BARS[threshold]
    assert table.select(raw.column_names).equals(raw, check_metadata=True)
    assert _addresses(table.select(raw.column_names)) == _addresses(raw)
    assert table.column_names == [
        *raw.column_names,
        *momentum.columns,
        *laguerre.columns,
        *half_range.columns,
    ]


def test_native_features_equal_bare_expressions(real_batch, momentum):
    bars = pa.table(real_batch(50))

    key = {"symbol": "XRPETH", "threshold_decimal_bps": 50}
    table = rbe.Enricher([momentum], windows="polars").run(bars, **key).table
    ours = rbe.Enricher([momentum]).run(bars, **key).table

    bare = pl.DataFrame(bars).lazy().select(momentum.expressions(rbe.BarContext()))
    for name, series in bare.collect(engine="in-memory").to_dict().items():
        expected = series.fill_nan(None).to_list()
        assert table[name].to_pylist() == [None] * 20 + expected[20:]
        assert ours[name].to_pylist()[20:] == pytest.approx(expected[20:], rel=1e-9, abs=1e-9)


def test_laguerre_features_equal_the_plugin_alone(real_batch, laguerre):
    bars = pa.table(real_batch(250))
    frame = pl.DataFrame(bars).to_pandas()
    frame.index = frame["close_time"].to_numpy().astype("datetime64[us]")
    alone = laguerre.enrich(frame.tz_localize("UTC"), "XRPETH", 250)

    table = rbe.enrich_bars(bars, "XRPETH", 250, providers=[laguerre])

    assert laguerre.min_bars == 30
    for column in laguerre.columns:
        actual = table[column].to_numpy()
        assert np.isnan(actual[:30]).all()
        np.testing.assert_array_equal(actual[30:], alone[column].to_numpy("float64")[30:])


def test_enriching_real_bars_twice_gives_the_same(real_batch, laguerre, momentum):
    enricher = rbe.Enricher([laguerre, momentum])
    once = enricher.run(real_batch(250), symbol="XRPETH", threshold_decimal_bps=250).table

    twice = enricher.run(once, symbol="XRPETH", threshold_decimal_bps=250).table

    assert twice.equals(once, check_metadata=True)


def test_thresholds_in_one_table_equal_each_alone(real_batch, laguerre, momentum):
    tables = [
        pa.table(real_batch(threshold)).append_column(
            "threshold_decimal_bps", pa.array([threshold] * BARS[threshold], pa.uint32())
        )
        for threshold in BARS
    ]
    joined = pa.concat_tables(tables)
    by_time = joined.take(pa.array(np.argsort(joined["close_time"].to_numpy(), kind="stable")))
    enricher = rbe.Enricher([momentum, laguerre])

    together = enricher.run(by_time, symbol="XRPETH").table

    for threshold, one in zip(BARS, tables, strict=True):
        mine = together.filter(pa.compute.equal(together["threshold_decimal_bps"], threshold))
        alone = enricher.run(one, symbol="XRPETH").table
        assert mine.combine_chunks().equals(alone.combine_chunks())


def test_pandas_of_real_bars_is_changed_in_place(real_batch, laguerre, momentum):
    frame = pa.table(real_batch(250)).to_pandas()
    expected = rbe.enrich_bars(real_batch(250), "XRPETH", 250, providers=[laguerre, momentum])

    assert rbe.enrich_bars(frame, "XRPETH", 250, providers=[laguerre, momentum]) is frame

    for column in (*laguerre.columns, *momentum.columns):
        np.testing.assert_array_equal(frame[column].to_numpy(), expected[column].to_numpy())


def test_found_plugin_runs_without_being_named(real_batch, monkeypatch, laguerre):
    monkeypatch.setenv("RANGEBAR_ENRICH_PROVIDERS", "laguerre")
    rbe.reset_provider_cache()

    table = rbe.enrich_bars(real_batch(250), "XRPETH", 250)

    assert table.column_names[-len(laguerre.columns) :] == list(laguerre.columns)
