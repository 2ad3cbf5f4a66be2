from __future__ import annotations

import random

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus.tried import tried
from hypothesis import given
from hypothesis import strategies as st

import rangebar_enrich as rbe
from rangebar_enrich._run import execution
from rangebar_enrich.errors import BarOrderError, RunError, SeriesConflictError

close, volume = pl.col("close"), pl.col("volume")


@pytest.fixture(scope="module")
def providers(native, legacy):
    def widen(view):
        view["old_mean"] = view["close"].rolling(6).mean()
        return view

    return [
        native("lag", {"lag_a": close.shift(3), "lag_b": close > close.rolling_max(4).shift(1)}),
        native("sums", {"sums_a": volume.cum_sum(), "sums_b": close.ewm_mean(span=4)}, min_bars=2),
        native("next", {"next_a": pl.col("sums_b").diff() + pl.col("lag_a")}, min_bars=5),
        legacy("old", ["old_mean"], widen, min_bars=6, lookback=6),
    ]


@pytest.fixture(scope="module")
def mixed(make_bars):
    """Return five series, their rows mixed at random with each one's own in order."""
    tables = [
        make_bars(rows, seed=rows, symbol=symbol, threshold_decimal_bps=50)
        for rows, symbol in [(70, "A"), (1, "B"), (40, "C"), (9, "D"), (25, "E")]
    ]
    owner = np.repeat(np.arange(5), [table.num_rows for table in tables])
    random.Random(4).shuffle(owner)
    order = np.argsort(np.argsort(owner, kind="stable"), kind="stable")
    return pa.concat_tables(tables).take(pa.array(order))


def _agree(actual, expected, columns):
    for column in columns:
        got, want = actual[column], expected[column]
        assert got.is_null().equals(want.is_null()), column
        assert ((got - want).abs() <= 1e-9 * want.abs().max()).drop_nulls().all(), column


@tried(4, 20)
@given(rows=st.integers(1, 160))
def test_batches_equal_one_run(rows, mixed, providers):
    enricher = rbe.Enricher(providers)
    expected = enricher.run(mixed)

    walk = enricher.iter_batches(mixed, rows=rows)
    tables = list(walk)

    made = pa.concat_tables(tables)
    assert made.select(mixed.column_names).equals(mixed)
    assert made.schema.equals(expected.table.schema, check_metadata=True)
    _agree(pl.DataFrame(made), pl.DataFrame(expected.table), enricher.columns)
    assert (walk.outcomes, walk.rows) == (expected.outcomes, mixed.num_rows)


def test_first_batch_of_many_short_series_runs_in_one_frame(mixed, native):
    enricher = rbe.Enricher(
        [native("lag", {"lag_a": close.shift(3), "lag_b": close.rolling_max(4)})]
    )

    made = pa.concat_tables(enricher.iter_batches(mixed, rows=60))

    assert made.equals(enricher.run(mixed).table)


def test_providers_learn_the_series(mixed, native):
    seen = native(
        "seen",
        lambda context: [close.shift(1).alias(f"seen_{context.symbol.lower()}")],
        columns=["seen_a"],
    )
    walk = rbe.Enricher([seen]).iter_batches(mixed, rows=30)

    made = pl.DataFrame(pa.concat_tables(walk))

    is_a = pl.Series(mixed.column("symbol")) == "A"
    assert made.filter(is_a)["seen_a"].null_count() == 1
    assert made.filter(~is_a)["seen_a"].null_count() == (~is_a).sum()
    (outcome,) = walk.outcomes
    assert outcome.status == "partial"
    assert {key.symbol for key in outcome.failed_series} == {"B", "C", "D", "E"}


def test_a_failure_stays_in_its_series_and_batch(mixed, native, momentum, caplog, events):
    def fail(series):
        if 40 in set(series.to_list()):
            msg = "forty"
            raise ValueError(msg)
        return series

    row = pl.col("row")
    flaky = native("flaky", {"flaky_a": row.map_batches(fail, return_dtype=pl.Int64)}, lookback=0)
    table = mixed.append_column("row", pa.array(range(mixed.num_rows)))
    symbol = table.column("symbol")[40].as_py()
    walk = rbe.Enricher([flaky, momentum]).iter_batches(table, rows=30)

    tables = list(walk)

    statuses = [made.field("flaky_a").metadata[b"status"] for made in tables]
    assert statuses[0] == b"ok"
    assert statuses[1] == b"partial"
    bad, good = walk.outcomes
    assert (bad.status, good.status) == ("partial", "ok")
    assert f"the first {symbol}@50" in bad.error
    assert bad.error.startswith("in ")
    assert "from row 30 on" in bad.error
    second = pl.DataFrame(tables[1])
    assert second.filter(pl.col("flaky_a").is_null())["symbol"].unique().to_list() == [symbol]
    assert "forty" in caplog.text
    complete = [one for one in events if one.event is rbe.HookEvent.PLUGIN_ENRICH_COMPLETE]
    assert [one.details["bar_count"] for one in complete] == [30, 30, 30, 30, 25]


def test_what_fails_in_every_batch_has_failed(bars, native):
    lost = native("lost", {"lost_a": close.ewm_std(span=5)})
    walk = rbe.Enricher([lost]).iter_batches(bars, rows=50)

    tables = list(walk)

    (outcome,) = walk.outcomes
    assert outcome.status == "short_history"
    assert outcome.error.startswith("in 3 of 3 batches, the first from row 0 on: Provider 'lost'")
    assert all(made.column("lost_a").null_count == made.num_rows for made in tables)


def test_on_error_raise_raises_in_the_batch(bars, native):
    def fail(series):
        if series.len() < 50:
            msg = "short"
            raise ValueError(msg)
        return series

    flaky = native(
        "flaky", {"flaky_a": close.map_batches(fail, return_dtype=pl.Float64)}, lookback=0
    )
    walk = rbe.Enricher([flaky], on_error="raise").iter_batches(bars, rows=50)

    assert (next(walk).num_rows, next(walk).num_rows) == (50, 50)
    with pytest.raises(RunError, match=r"Provider 'flaky': ValueError: short"):
        next(walk)


def test_left_out_providers_are_told(bars, momentum, native):
    broken = native("broken", {"other_a": close})
    walk = rbe.Enricher([broken, momentum]).iter_batches(bars, rows=50)

    tables = list(walk)

    assert [one.status for one in walk.outcomes] == ["ok", "left_out"]
    assert tables[0].column_names == [*bars.column_names, *momentum.columns]


def test_order_is_checked_from_batch_to_batch(bars, momentum):
    swapped = pa.concat_tables([bars.slice(50, 50), bars.slice(0, 50)])
    walk = rbe.Enricher([momentum]).iter_batches(swapped, rows=50, symbol="X")
    next(walk)

    with pytest.raises(
        BarOrderError, match=r"^In the batch from row 50 on: .* in row 0 of X is earlier than"
    ):
        next(walk)


def test_order_is_checked_within_a_batch(bars, momentum):
    swapped = pa.concat_tables([bars.slice(0, 60), bars.slice(80, 10), bars.slice(60, 20)])
    walk = rbe.Enricher([momentum]).iter_batches(swapped, rows=50)
    next(walk)

    with pytest.raises(BarOrderError, match=r"^In the batch from row 50 on: .*first in row 20 of"):
        next(walk)


def test_a_repeated_bar_is_refused_as_in_live(bars, momentum):
    twice = pa.concat_tables([bars.slice(0, 50), bars.slice(49)])
    walk = rbe.Enricher([momentum]).iter_batches(twice, rows=50, symbol="X")
    next(walk)

    with pytest.raises(
        BarOrderError,
        match=r"^In the batch from row 50 on: 'close_time' \d+ in row 0 of X is that of one of the"
        r" last bars again\.\nHint: give each bar once\.$",
    ):
        next(walk)


def test_other_bars_of_one_time_at_a_seam_are_as_in_one_run(bars, momentum):
    times = pa.array([1_700_000_000_000_000] * bars.num_rows)
    burst = bars.set_column(1, "close_time", times)
    enricher = rbe.Enricher([momentum])

    made = pa.concat_tables(enricher.iter_batches(burst, rows=50))

    _agree(pl.DataFrame(made), pl.DataFrame(enricher.run(burst).table), momentum.columns)


def test_the_engine_asked_for_runs_the_batches(bars, momentum, monkeypatch):
    engines = []
    original = execution._collect

    def note(plans, engine):
        engines.append(engine)
        return original(plans, engine)

    monkeypatch.setattr(execution, "_collect", note)
    list(rbe.Enricher([momentum], engine="streaming").iter_batches(bars, rows=60))
    rbe.Enricher([momentum], engine="streaming").live().push(bars)

    assert engines == ["streaming"] * 3


def test_gaps_are_counted_over_all_batches(bars, momentum, caplog):
    kept = [*range(10), *range(12, 70), *range(75, 120)]
    walk = rbe.Enricher([momentum]).iter_batches(bars.take(kept), rows=40, symbol="X")

    list(walk)

    assert (walk.gaps.count, walk.gaps.first.row) == (2, 10)
    assert {str(key): count for key, count in walk.gaps.by_series.items()} == {"X": 2}
    assert [one.getMessage()[:11] for one in caplog.records] == ["gap in X: a"] * 2


def test_own_columns_of_the_source_are_replaced(bars, momentum, tmp_path):
    enricher = rbe.Enricher([momentum])
    once = enricher.run(bars).table
    pq.write_table(once, tmp_path / "once.parquet")

    made = pa.concat_tables(enricher.iter_batches(tmp_path / "once.parquet", rows=33))

    assert made.column_names == once.column_names
    _agree(pl.DataFrame(made), pl.DataFrame(once), momentum.columns)


def test_no_rows_give_the_columns(bars, momentum):
    (table,) = rbe.Enricher([momentum]).iter_batches(bars.slice(0, 0))

    assert (table.num_rows, table.column_names[-2:]) == (0, list(momentum.columns))


def test_a_symbol_that_contradicts_is_refused(mixed, momentum):
    with pytest.raises(SeriesConflictError, match=r"^Argument 'symbol' is 'X'"):
        next(rbe.Enricher([momentum]).iter_batches(mixed, symbol="X"))


def test_a_batch_has_a_row(bars, momentum):
    with pytest.raises(ValueError, match=r"^'rows' is 0; a batch has at least one row\.$"):
        rbe.Enricher([momentum]).iter_batches(bars, rows=0)
