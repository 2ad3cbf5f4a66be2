from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import rangebar_enrich as rbe
from rangebar_enrich.clickhouse.rewrite import Rewriter
from rangebar_enrich.errors import WriteFailedError

from .conftest import make_bars

SERIES = {"symbol": "BTCUSDT", "threshold_decimal_bps": 250}
CLOSE = pl.col("close")


class Provider:
    def __init__(self, name, version="1", min_bars=0, **exprs):
        self.name, self.version, self.min_bars = name, version, min_bars
        self._exprs = {f"{name}_{key}": expr for key, expr in exprs.items()}
        self.columns = tuple(self._exprs)

    def expressions(self, context):
        return self._exprs


def finite(version="1"):
    spread = CLOSE.rolling_std(5)
    return Provider("finite", version, 5, mean=CLOSE.rolling_mean(5), ratio=CLOSE / spread)


def held():
    return Provider("held", ema=CLOSE.ewm_mean(span=4), total=pl.col("volume").cum_sum())


def whole():
    return Provider("whole", spread=CLOSE.ewm_std(span=4))


def above():
    return Provider("above", twice=pl.col("finite_mean") * 2)


def broken():
    def fail(series):
        msg = "no such luck"
        raise ValueError(msg)

    return Provider("broken", x=CLOSE.map_batches(fail, return_dtype=pl.Float64))


def fill(store, *providers, **options):
    return store.enrich_new(rbe.Enricher(providers), "BTCUSDT", 250, **options)


def assert_stored_equals_one_run(store, *providers):
    stored = store.read("BTCUSDT", 250, plugin_features=True)
    enricher = rbe.Enricher(providers)
    expected = enricher.run(store.read("BTCUSDT", 250)).table
    for column in enricher.columns:
        actual, wanted = stored[column], expected[column]
        assert actual.is_null().equals(wanted.is_null()), column
        np.testing.assert_allclose(actual.to_numpy(), wanted.to_numpy(), rtol=1e-9, atol=1e-9)


def test_backfill_equals_one_run_over_the_series(store):
    bars = make_bars(90)
    everyone = [finite(), held(), whole(), above()]
    for start, stop in ((0, 40), (40, 41), (41, 90)):
        store.write(bars.slice(start, stop - start), **SERIES)
        assert fill(store, *everyone, rows=17).rows == stop - start
    assert_stored_equals_one_run(store, *everyone)


def test_backfill_again_finds_nothing(store):
    store.write(make_bars(20), **SERIES)
    fill(store, finite())
    again = fill(store, finite())
    assert (again.rows, again.first_ms, dict(again.providers)) == (0, None, {})


def test_backfill_of_no_bars(store):
    store.ensure_table()
    assert fill(store, finite()).rows == 0


def test_backfill_of_a_new_version_leaves_the_others(store):
    store.write(make_bars(30), **SERIES)
    fill(store, finite(), held())
    before = store.read("BTCUSDT", 250, plugin_features=True)
    result = fill(store, finite("2"), held())
    assert dict(result.providers) == {"finite": 30}
    after = store.read("BTCUSDT", 250, plugin_features=True)
    assert after["held_ema"].equals(before["held_ema"])
    versions = {one.provider: (one.version, one.rows) for one in store.provenance("BTCUSDT", 250)}
    assert versions == {"finite": ("2", 30), "held": ("1", 30)}
    assert after.schema.field("finite_mean").metadata[b"version"] == b"2"


def test_backfill_reads_only_the_history_it_needs(store):
    bars = make_bars(60)
    store.write(bars.slice(0, 50), **SERIES)
    fill(store, finite())
    store.client.command(f"TRUNCATE TABLE {store.table}_states")
    store.write(bars.slice(50), **SERIES)
    result = fill(store, finite())
    assert (result.rows, result.read) == (10, 10 + 6)
    assert_stored_equals_one_run(store, finite())


def test_backfill_broken_off_is_completed_by_the_next(store, monkeypatch):
    store.write(make_bars(40), **SERIES)
    original, calls = Rewriter.write, []

    def fail_at_the_second(self, *args, **options):
        calls.append(1)
        if len(calls) == 2:
            msg = "the database went away"
            raise WriteFailedError(msg)
        return original(self, *args, **options)

    monkeypatch.setattr(Rewriter, "write", fail_at_the_second)
    with pytest.raises(WriteFailedError, match="the database went away"):
        fill(store, finite(), rows=15)
    monkeypatch.undo()
    assert fill(store, finite(), rows=15).rows == 25
    assert_stored_equals_one_run(store, finite())


def test_backfill_leaves_what_failed_outdated(store):
    store.write(make_bars(20), **SERIES)
    result = fill(store, finite(), broken())
    told = {one.provider: one.status for one in result.outcomes}
    assert told["finite"] == "ok"
    assert told["broken"] != "ok"
    assert store.outdated("BTCUSDT", 250, provider="broken", version="1").rows == 20


def test_backfill_tries_a_failure_again_when_there_is_reason_to(store):
    bars = make_bars(21)
    store.write(bars.slice(0, 20), **SERIES)
    fill(store, finite(), broken())
    assert dict(fill(store, finite(), broken()).providers) == {}
    again = fill(store, finite(), broken(), retry_failed=True)
    assert dict(again.providers) == {"broken": 20}
    store.write(bars.slice(20), **SERIES)
    after = fill(store, finite(), broken())
    assert (dict(after.providers), after.rows) == ({"finite": 1, "broken": 21}, 1)


def test_backfill_keeps_the_builder_s_version(store):
    bars = make_bars(30)
    store.write(bars.slice(0, 10), **SERIES, version="9.0.0")
    store.write(bars.slice(10), **SERIES, version="9.1.0")
    fill(store, finite())
    read = store.read("BTCUSDT", 250, columns=["close_time_ms", "rangebar_version"])
    assert read["rangebar_version"].to_pylist() == ["9.0.0"] * 10 + ["9.1.0"] * 20


def test_backfill_of_one_mode_leaves_the_other(store):
    bars = make_bars(20)
    store.write(bars, **SERIES, ouroboros_mode="month")
    store.write(bars, **SERIES, ouroboros_mode="week", mode_guard="off")
    assert fill(store, finite(), ouroboros_mode="week").rows == 20
    outdated = store.outdated("BTCUSDT", 250, provider="finite", version="1")
    assert outdated.rows == 20
