from __future__ import annotations

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

import rangebar_enrich as rbe
from rangebar_enrich.errors import CompileError, UnsupportedBarsError


def _watched(frame, collected):
    def note(batch):
        collected.append(batch.height)
        return batch

    return frame.lazy().map_batches(note, schema=frame.schema)


def test_lazy_collects_nothing(bars, momentum, events):
    collected = []
    lazy = _watched(pl.DataFrame(bars), collected)

    enriched = rbe.enrich_bars(lazy, providers=[momentum])

    assert isinstance(enriched, pl.LazyFrame)
    assert (collected, events) == ([], [])
    assert enriched.collect().height == bars.num_rows
    assert collected == [bars.num_rows]


def test_lazy_equals_eager(bars, momentum, half_range, native):
    reader = native("reader", {"reader_sum": pl.col("momentum_zscore_20").cum_sum()})
    providers = [reader, momentum, half_range]
    frame = pl.DataFrame(bars)

    actual = rbe.enrich_bars(frame.lazy(), providers=providers).collect(engine="in-memory")

    exact = rbe.Enricher(providers, windows="polars").run(frame).to_caller()
    assert_frame_equal(actual, exact, check_exact=True)
    assert_frame_equal(actual, rbe.enrich_bars(frame, providers=providers), rel_tol=1e-9)


def test_lazy_equals_eager_within_each_series(make_bars, momentum, half_range, native):
    provider = native(
        "many",
        {
            "many_sum": pl.col("volume").cum_sum(),
            "many_flag": pl.lit(1.0),
            "many_row": pl.int_range(pl.len()),
            "many_nan": pl.col("close") * float("nan"),
        },
        min_bars=4,
    )
    tables = [
        make_bars(50, seed=seed, symbol=symbol, threshold_decimal_bps=threshold)
        for seed, (symbol, threshold) in enumerate([("A", 50), ("B", 50), ("A", 250)])
    ]
    frame = pl.DataFrame(pa.concat_tables(tables))
    providers = [momentum, provider, half_range]

    actual = rbe.enrich_bars(frame.lazy(), providers=providers).collect(engine="in-memory")

    assert_frame_equal(actual, rbe.enrich_bars(frame, providers=providers), rel_tol=1e-12)
    assert actual["many_sum"].null_count() == 4 * len(tables)
    assert actual["many_nan"].null_count() == actual.height


def test_lazy_replaces_own_old_columns(bars, momentum):
    once = rbe.enrich_bars(pl.DataFrame(bars), providers=[momentum])
    stale = once.with_columns(pl.lit(9.0).alias("momentum_return_20")).select(
        "momentum_return_20", pl.exclude("momentum_return_20")
    )

    actual = rbe.enrich_bars(stale.lazy(), providers=[momentum]).collect(engine="in-memory")

    assert_frame_equal(actual, once)


def test_lazy_refuses_legacy_providers(bars, momentum, legacy):
    old = legacy("old", ["old_a"], lambda view: view)

    with pytest.raises(UnsupportedBarsError, match=r"iter_batches") as caught:
        rbe.enrich_bars(pl.DataFrame(bars).lazy(), providers=[momentum, old])

    assert isinstance(caught.value, TypeError)
    assert str(caught.value) == (
        "1 legacy provider(s) cannot run on a LazyFrame:\n"
        "- 'old'\n"
        "Hint: collect it, or walk the file with Enricher.iter_batches()."
    )


def test_lazy_isolates_what_does_not_compile(bars, momentum, native, events, caplog):
    broken = native("broken", {"broken_a": pl.col("no_such_column")})
    reader = native("reader", {"reader_a": pl.col("broken_a") + 1})
    lazy = pl.DataFrame(bars).lazy()

    with pytest.warns(rbe.ProviderWarning, match=r"2 provider\(s\) are null.*: 'broken', 'reader'"):
        plan = rbe.enrich_bars(lazy, providers=[broken, momentum, reader])
    actual = plan.collect(engine="in-memory")

    healthy = rbe.enrich_bars(lazy, providers=[momentum]).collect(engine="in-memory")
    assert actual.columns == [*bars.column_names, "broken_a", *momentum.columns, "reader_a"]
    assert_frame_equal(actual.select(healthy.columns), healthy, check_exact=True)
    assert actual["broken_a"].null_count() == actual["reader_a"].null_count() == bars.num_rows
    assert actual.schema["broken_a"] == pl.Float64
    assert "no_such_column" in caplog.text
    assert events == []


def test_lazy_raises_what_does_not_compile_if_asked(bars, native):
    broken = native("broken", {"broken_a": pl.col("no_such_column")})

    with pytest.raises(CompileError, match=r"reads unknown column 'no_such_column'"):
        rbe.enrich_bars(pl.DataFrame(bars).lazy(), providers=[broken], on_error="raise")


def test_lazy_failure_at_run_time_raises_in_the_callers_collect(bars, native):
    def explode(_):
        msg = "only when it runs"
        raise ValueError(msg)

    late = native("late", {"late_a": pl.col("close").map_batches(explode, return_dtype=pl.Float64)})

    enriched = rbe.enrich_bars(pl.DataFrame(bars).lazy(), providers=[late])

    with pytest.raises(ValueError, match=r"only when it runs"):
        enriched.collect(engine="in-memory")


def test_lazy_tells_providers_the_arguments(bars, native):
    seen = native("seen", {"seen_a": pl.col("close")})

    rbe.enrich_bars(pl.DataFrame(bars).lazy(), "XRPETH", 50, providers=[seen])

    assert (seen.contexts[0].symbol, seen.contexts[0].threshold_decimal_bps) == ("XRPETH", 50)
    assert seen.contexts[0].columns["close"] == pl.Float64


def test_lazy_reads_integer_prices_as_float_and_keeps_them(native):
    lazy = pl.LazyFrame({"close": [1, 2, 3]})
    half = native("half", {"half_close": pl.col("close") // 2})

    actual = rbe.enrich_bars(lazy, providers=[half]).collect(engine="in-memory")

    assert actual.schema == {"close": pl.Int64, "half_close": pl.Float64}
    assert actual["half_close"].to_list() == [0.0, 1.0, 1.0]
