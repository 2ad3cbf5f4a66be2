from __future__ import annotations

import polars as pl

import rangebar_enrich as rbe

KEY = {"symbol": "SIM", "threshold_decimal_bps": 250}


def test_result_is_shown_in_a_line(bars, momentum, native):
    broken = native("broken", lambda _: 1 / 0, columns=("broken_a",))

    well, ill = (rbe.Enricher(which).run(bars, **KEY) for which in ([momentum], [momentum, broken]))

    assert repr(well) == "EnrichmentResult(120 bars, 2 features)"
    assert repr(ill) == "EnrichmentResult(120 bars, 3 features, broken: failed)"


def test_failed_are_those_that_are_not_ok(bars, momentum, native):
    broken = native("broken", {"broken_a": pl.col("close").gather(10_000)}, min_bars=0)

    result = rbe.Enricher([momentum, broken]).run(bars, **KEY)

    assert [one.provider for one in result.failed] == ["broken"]
    assert [one.ok for one in result.outcomes] == [True, False]
