"""One bar has one value through the store too."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pytest
from corpus.features import SCALES, make_pack

import rangebar_enrich as rbe

from .conftest import make_bars

SERIES = {"symbol": "XRPETH", "threshold_decimal_bps": 50}
TOLERANCE = 1e-9


@pytest.fixture
def plugin():
    """Return the real legacy plugin, with the unstable period that was measured for it."""
    module = pytest.importorskip("atr_adaptive_laguerre.rangebar_plugin")
    provider = module.LaguerreFeatureProvider()
    provider.lookback = 200
    return provider


@pytest.fixture
def providers(plugin):
    return [*make_pack(), plugin]


@pytest.fixture(params=[pytest.param("real", marks=pytest.mark.slow), "simulated"])
def bars(request):
    if request.param == "real":
        return pa.table(request.getfixturevalue("real_batch")(50)).slice(0, 900)
    return make_bars(600, seed=5)


def test_store_gives_what_one_run_gives(store, bars, providers):
    enricher = rbe.Enricher(providers)
    third = bars.num_rows // 3
    for start, stop in ((0, third), (third, third + 1), (third + 1, bars.num_rows)):
        store.write(bars.slice(start, stop - start), **SERIES)
        store.enrich_new(enricher, "XRPETH", 50, rows=211)
    stored = store.read_polars("XRPETH", 50, plugin_features=True)
    result = enricher.run(store.read("XRPETH", 50))
    expected = pl.DataFrame(result.table)
    ran = [one for one in result.outcomes if one.ok]
    assert len(ran) >= 0.8 * len(result.outcomes)
    scales = expected.select(scale.alias(name) for name, scale in SCALES.items())
    for column in (name for one in ran for name in one.columns):
        got, want = stored[column], expected[column]
        assert got.is_null().equals(want.is_null()), column
        if column in SCALES:
            error = ((got - want).abs() / scales[column]).drop_nulls()
            assert (error <= TOLERANCE).all(), column
        else:
            assert got.equals(want), column
