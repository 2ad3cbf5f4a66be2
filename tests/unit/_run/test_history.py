"""Enricher.run(history=...): earlier bars are context, and nothing of them comes back."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from corpus.tried import tried
from hypothesis import given
from hypothesis import strategies as st

import rangebar_enrich as rbe
from rangebar_enrich.errors import BarColumnError, BarOrderError, HistoryError, ShortHistoryError

close, volume = pl.col("close"), pl.col("volume")


@pytest.fixture(scope="module")
def finite(native, legacy):
    def widen(view):
        view["old_mean"] = view["close"].rolling(6).mean()
        return view

    return [
        native("lag", {"lag_a": close.shift(3), "lag_b": close.rolling_max(8)}, min_bars=5),
        native("next", {"next_a": pl.col("lag_a").rolling_min(4)}, min_bars=12),
        legacy("old", ["old_mean"], widen, min_bars=6, lookback=6),
    ]


def _features(table, columns):
    return pl.DataFrame(table).select(columns)


def _agree(actual, expected):
    for column in expected.columns:
        got, want = actual[column], expected[column]
        assert got.is_null().equals(want.is_null()), column
        assert ((got - want).abs() <= 1e-9 * want.abs().max()).drop_nulls().all(), column


def test_history_bars_is_the_larger_of_reach_and_warm_up(native, finite):
    assert rbe.Enricher(finite).history_bars == 12
    assert rbe.Enricher([native("a", {"a_a": close.shift(30)}, min_bars=5)]).history_bars == 30
    assert rbe.Enricher([native("a", {"a_a": close}, min_bars=5)]).history_bars == 5
    assert rbe.Enricher([native("a", {"a_a": close.cum_sum()})]).history_bars is None
    assert rbe.Enricher([native("a", {"a_a": close.cum_sum()}, lookback=9)]).history_bars == 9


@tried(10, 50)
@given(cut=st.integers(1, 119))
def test_whole_history_gives_one_run(cut, make_bars, finite, native):
    bars = make_bars(120)
    enricher = rbe.Enricher([*finite, native("sum", {"sum_a": volume.cum_sum()}, min_bars=7)])

    result = enricher.run(bars.slice(cut), history=bars.slice(0, cut), history_is_complete=True)

    assert not result.failed
    assert result.table.num_rows == 120 - cut
    assert result.table.select(bars.column_names).equals(bars.slice(cut))
    expected = _features(enricher.run(bars).table, enricher.columns)[cut:]
    _agree(_features(result.table, enricher.columns), expected)


@pytest.mark.parametrize("extra", [0, 1, 40])
def test_enough_history_gives_one_run(extra, bars, finite):
    enricher = rbe.Enricher(finite)
    start = 60 - enricher.history_bars - extra

    table = enricher.run(bars.slice(60), history=bars.slice(start, 60 - start)).table

    expected = _features(enricher.run(bars).table, enricher.columns)[60:]
    _agree(_features(table, enricher.columns), expected)


def test_short_history_is_an_outcome_with_the_missing_count(bars, finite):
    result = rbe.Enricher(finite).run(bars.slice(60), history=bars.slice(50, 10))

    assert [one.status for one in result.outcomes] == ["ok", "short_history", "ok"]
    error = result.outcomes[1].error
    assert error.endswith("12 earlier bars fix its values, 10 were given: 2 are missing.")
    assert result.outcomes[1].short_rows == result.table.column("next_a").null_count == 2
    assert result.table.field("next_a").metadata[b"status"] == b"short_history"


def test_short_history_raises_if_asked(bars, finite):
    with pytest.raises(ShortHistoryError, match=r"^Provider 'next': 12 earlier bars"):
        rbe.Enricher(finite, on_error="raise").run(bars.slice(60), history=bars.slice(50, 10))


def test_recursion_without_its_start_is_short(bars, native):
    enricher = rbe.Enricher([native("sum", {"sum_a": volume.cum_sum()})])

    (outcome,) = enricher.run(bars.slice(60), history=bars.slice(0, 60)).outcomes

    assert outcome.status == "short_history"
    assert "give all of it with history_is_complete=True" in outcome.error


def test_dependants_of_short_history_have_counts_of_their_own(bars, native):
    lag = native("lag", {"lag_a": close.shift(30)})
    reader = native("reader", {"reader_a": pl.col("lag_a") + 1})

    outcomes = rbe.Enricher([lag, reader]).run(bars.slice(60), history=bars.slice(50, 10)).outcomes

    assert [one.status for one in outcomes] == ["short_history", "short_history"]
    assert "Provider 'reader': 30 earlier bars" in outcomes[1].error


@pytest.mark.parametrize("kind", ["polars", "pandas", "reader"])
def test_history_may_be_of_another_kind(kind, bars, finite):
    earlier = bars.slice(0, 60)
    given = {
        "polars": pl.DataFrame(earlier),
        "pandas": earlier.to_pandas(),
        "reader": earlier.to_reader(),
    }[kind]
    enricher = rbe.Enricher(finite[:2])

    table = enricher.run(bars.slice(60), history=given).table

    expected = _features(enricher.run(bars).table, enricher.columns)[60:]
    _agree(_features(table, enricher.columns), expected)


def test_enrich_bars_takes_history_and_gives_the_callers_kind(bars, momentum):
    frame = pl.DataFrame(bars)

    made = rbe.enrich_bars(frame[60:], providers=[momentum], history=frame[:60])

    expected = rbe.enrich_bars(frame, providers=[momentum])[60:]
    assert (made.height, made.columns) == (60, expected.columns)
    _agree(made.select(momentum.columns), expected.select(momentum.columns))


def test_history_of_several_series(make_bars, finite):
    tables = {name: make_bars(60, seed=seed, symbol=name) for seed, name in enumerate("ABC")}
    new = pa.concat_tables([tables["B"].slice(40), tables["A"].slice(40)])
    earlier = pa.concat_tables([tables["C"], tables["A"].slice(0, 40), tables["B"].slice(0, 40)])
    enricher = rbe.Enricher(finite)

    result = enricher.run(new, history=earlier)

    expected = [_features(enricher.run(tables[name]).table, enricher.columns)[40:] for name in "BA"]
    _agree(_features(result.table, enricher.columns), pl.concat(expected))


def test_a_series_without_history_is_short_alone(make_bars, momentum):
    a, b = make_bars(60, symbol="A"), make_bars(60, seed=2, symbol="B")

    result = rbe.Enricher([momentum]).run(
        pa.concat_tables([a.slice(40), b.slice(40)]), history=a.slice(0, 40)
    )

    (outcome,) = result.outcomes
    assert (outcome.status, [key.symbol for key in outcome.failed_series]) == ("partial", ["B"])
    made = result.table.column("momentum_return_20")
    assert (made.slice(0, 20).null_count, made.slice(20).null_count) == (0, 20)


def test_history_that_could_be_of_two_series_is_refused(make_bars, momentum):
    earlier = pa.concat_tables([make_bars(30, symbol="A"), make_bars(30, symbol="B")])
    new = make_bars(60).slice(30)

    with pytest.raises(HistoryError, match=r"^History has 2 series that could be the past of"):
        rbe.Enricher([momentum]).run(new, history=earlier)


@pytest.mark.parametrize(
    ("history", "told"),
    [
        (
            slice(0, 70),
            r"^History of SIM ends after the bars begin: 'close_time' \d+ in its last row",
        ),
        (slice(0, 61), r"^History of SIM ends with the first new bar\.\nHint: give only bars"),
    ],
    ids=["later", "repeated"],
)
def test_history_that_overlaps_is_refused(history, told, bars, momentum):
    earlier = bars.slice(history.start, history.stop)

    with pytest.raises(BarOrderError, match=told):
        rbe.Enricher([momentum]).run(bars.slice(60), history=earlier, symbol="SIM")


def test_history_out_of_order_is_refused(bars, momentum):
    earlier = bars.slice(0, 60).take(list(range(59, -1, -1)))

    with pytest.raises(BarOrderError, match=r"out of time order"):
        rbe.Enricher([momentum]).run(bars.slice(60), history=earlier)


@pytest.mark.parametrize("column", ["close_time", "close"])
def test_history_with_other_columns_is_refused(column, bars, momentum):
    earlier = bars.slice(0, 60).drop_columns(column)

    with pytest.raises(BarColumnError, match=rf"- '{column}': got nothing, expected"):
        rbe.Enricher([momentum]).run(bars.slice(60), history=earlier)


def test_times_in_another_unit_are_refused(make_bars, momentum):
    bars = make_bars(60).drop_columns(["open_time", "close_time"])
    times = pa.array(range(10**15, 10**15 + 60), pa.timestamp("us"))
    new = bars.append_column("timestamp", times).slice(30)
    earlier = bars.append_column("timestamp", times.cast(pa.timestamp("ns"))).slice(0, 30)

    with pytest.raises(BarColumnError, match=r"- 'timestamp': got Datetime\(time_unit='ns'"):
        rbe.Enricher([momentum]).run(new, history=earlier)


def test_empty_history_is_short_unless_it_is_the_start(bars, momentum):
    enricher, none = rbe.Enricher([momentum]), bars.slice(0, 0)

    short = enricher.run(bars, history=none).outcomes[0]
    start = enricher.run(bars, history=none, history_is_complete=True)

    assert (short.status, start.outcomes[0].status) == ("short_history", "ok")
    assert start.table.equals(enricher.run(bars).table)


def test_lazy_frames_take_no_history(bars, momentum):
    with pytest.raises(
        rbe.RangebarEnrichError, match=r"^History cannot be given with a LazyFrame\."
    ):
        rbe.enrich_bars(pl.DataFrame(bars).lazy(), providers=[momentum], history=bars)


def test_history_with_a_clock_of_its_own_is_joined_by_that_of_the_bars(bars, momentum):
    times = pc.divide(bars.column("close_time"), 1_000)
    both = bars.append_column("close_time_ms", times)
    new = both.slice(60).drop_columns("close_time")
    enricher = rbe.Enricher([momentum])

    result = enricher.run(new, history=both.slice(0, 60))

    expected = _features(enricher.run(bars).table, enricher.columns)[60:]
    _agree(_features(result.table, enricher.columns), expected)
    with pytest.raises(BarOrderError, match=r"'close_time_ms' \d+ in its last row"):
        enricher.run(new, history=both.slice(0, 80))
