from __future__ import annotations

import logging
import threading
from itertools import pairwise

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from corpus.tried import tried
from hypothesis import given
from hypothesis import strategies as st

import rangebar_enrich as rbe
from rangebar_enrich.errors import (
    BarColumnError,
    BarGapError,
    BarOrderError,
    HistoryError,
    RunError,
    SeriesConflictError,
)

close, volume = pl.col("close"), pl.col("volume")
KEY = {"symbol": "SIM", "threshold_decimal_bps": 250}


@pytest.fixture(scope="module")
def mixed(native, legacy):
    """Return providers of every kind, that read each other."""

    def widen(view):
        view["old_mean"] = view["close"].rolling(6).mean() + view["sums_total"].fillna(0.0)
        return view

    score = (close - close.rolling_mean(20)) / close.rolling_std(20)
    return [
        native("score", {"score_a": score, "score_b": close / close.shift(20) - 1}, min_bars=20),
        native("sums", {"sums_total": volume.cum_sum(), "sums_ema": close.ewm_mean(span=5)}),
        native("reader", {"reader_a": pl.col("score_b").rolling_sum(3)}, min_bars=25),
        native("deep", {"deep_a": pl.col("sums_ema").diff().fill_null(0.0).cum_sum()}),
        native("slow", {"slow_std": pl.col("sums_ema").ewm_std(span=3)}, lookback=90),
        legacy("old", ["old_mean"], widen, min_bars=6, lookback=6),
    ]


def _features(tables, columns):
    return pl.DataFrame(pa.concat_tables(tables, promote_options="permissive")).select(columns)


def _agree(actual, expected):
    for column in expected.columns:
        got, want = actual[column], expected[column]
        assert got.is_null().equals(want.is_null()), column
        assert ((got - want).abs() <= 1e-9 * (want.abs().max() or 1.0)).drop_nulls().all(), column


@tried(6, 30)
@given(data=st.data())
def test_any_split_gives_one_run(data, make_bars, mixed):
    bars = make_bars(130, seed=3)
    enricher = rbe.Enricher(mixed)
    expected = enricher.run(bars, **KEY)
    assert not expected.failed
    cuts = sorted(data.draw(st.sets(st.integers(1, 129), max_size=7)))
    is_restarted = data.draw(st.lists(st.booleans(), min_size=len(cuts), max_size=len(cuts)))

    live, made, start = enricher.live(**KEY), [], 0
    for cut, restart in zip([*cuts, 130], [*is_restarted, False], strict=True):
        made.append(live.push(bars.slice(start, cut - start)))
        start = cut
        if restart:
            snapshot, live = live.snapshot(), rbe.Enricher(mixed).live(**KEY)
            live.restore(snapshot)

    _agree(_features(made, enricher.columns), pl.DataFrame(expected.table).select(enricher.columns))
    assert (live.bars_seen, live.gaps) == (130, 0)


def test_push_returns_the_new_rows_of_the_caller(bars, momentum):
    live = rbe.Enricher([momentum]).live(**KEY)
    live.push(bars.slice(0, 30))

    table = live.push(bars.slice(30, 5))

    assert table.column_names == [*bars.column_names, *momentum.columns]
    assert table.select(bars.column_names).equals(bars.slice(30, 5))
    assert table.schema.metadata == bars.schema.metadata
    assert table.field("momentum_return_20").metadata[b"status"] == b"ok"
    assert table.column("momentum_return_20").null_count == 0


@pytest.mark.parametrize("kind", ["arrow", "polars", "pandas", "batch"])
def test_push_takes_every_kind(kind, bars, momentum):
    given = {
        "arrow": bars,
        "polars": pl.DataFrame(bars),
        "pandas": bars.to_pandas(),
        "batch": bars.combine_chunks().to_batches()[0],
    }[kind]
    enricher = rbe.Enricher([momentum])

    table = enricher.live(**KEY).push(given)

    expected = enricher.run(bars, **KEY).table
    assert _features([table], momentum.columns).equals(_features([expected], momentum.columns))


def test_empty_pushes_change_nothing(bars, momentum):
    live = rbe.Enricher([momentum]).live(**KEY)

    first = live.push(bars.slice(0, 0))
    live.push(bars.slice(0, 40))
    second = live.push(bars.slice(40, 0))

    assert first.schema.equals(second.schema)
    assert (first.num_rows, second.num_rows, live.bars_seen) == (0, 0, 40)


def test_history_goes_before_the_first_push(bars, momentum, native):
    total = native("total", {"total_a": volume.cum_sum()})
    enricher = rbe.Enricher([momentum, total])
    expected = enricher.run(bars, **KEY).table.slice(50)

    live = enricher.live(history=bars.slice(0, 50), history_is_complete=True, **KEY)

    _agree(
        _features([live.push(bars.slice(50))], enricher.columns),
        _features([expected], enricher.columns),
    )
    with pytest.raises(HistoryError, match=r"^History comes before the first push\.$"):
        live.absorb(bars, is_complete=True)


def test_short_history_says_what_is_missing_until_it_is_there(bars, momentum, native):
    total = native("total", {"total_a": volume.cum_sum()})
    live = rbe.Enricher([momentum, total]).live(history=bars.slice(0, 18), **KEY)

    table = live.push(bars.slice(18, 1))
    status = [one.status for one in live.outcomes]
    error = live.outcomes[0].error
    live.push(bars.slice(19, 1))
    live.push(bars.slice(20, 1))

    assert status == ["short_history", "short_history"]
    assert "20 earlier bars fix its values, 18 were given: 2 are missing" in error
    assert table.field("momentum_return_20").metadata[b"status"] == b"short_history"
    assert table.column("momentum_return_20").null_count == 1
    assert [one.status for one in live.outcomes] == ["ok", "short_history"]
    assert "history_is_complete=True" in live.outcomes[1].error


def test_declared_recursion_waits_for_its_lookback(bars, native):
    smooth = native("smooth", {"smooth_a": close.ewm_mean(span=2)}, lookback=40)
    enricher = rbe.Enricher([smooth])
    live = enricher.live(history=bars.slice(20, 39), **KEY)

    live.push(bars.slice(59, 1))
    short = live.outcomes[0]
    made = live.push(bars.slice(60, 10))

    assert (short.status, "1 are missing" in short.error) == ("short_history", True)
    assert live.outcomes[0].ok
    _agree(
        _features([made], enricher.columns),
        _features([enricher.run(bars, **KEY).table.slice(60, 10)], enricher.columns),
    )


def test_what_cannot_be_held_is_null_and_says_why(bars, native, momentum):
    lost = native("lost", {"lost_a": close.ewm_std(span=5)})
    reader = native("reader", {"reader_a": pl.col("lost_a").shift(1)})
    live = rbe.Enricher([lost, reader, momentum]).live(**KEY)

    table = live.push(bars)

    statuses = [one.status for one in live.outcomes]
    assert statuses == ["short_history", "short_history", "ok"]
    assert "`ewm_std` is not held" in live.outcomes[0].error
    assert "Declare its 'lookback'" in live.outcomes[0].error
    assert table.column("lost_a").null_count == bars.num_rows
    assert table.column("momentum_return_20").null_count == 20


@pytest.mark.parametrize("start", [0, 29], ids=["earlier", "repeated"])
def test_bars_out_of_order_are_refused(start, bars, momentum):
    enricher = rbe.Enricher([momentum])
    live = enricher.live(**KEY)
    live.push(bars.slice(0, 30))

    with pytest.raises(BarOrderError, match=r"A bar pushed to SIM@250 is .*'close_time' \d+ after"):
        live.push(bars.slice(start, 3))

    made = live.push(bars.slice(30, 5))
    expected = enricher.run(bars, **KEY).table.slice(30, 5)
    _agree(_features([made], momentum.columns), _features([expected], momentum.columns))


def test_a_repeated_burst_is_refused_and_a_new_bar_of_it_is_not(bars, momentum):
    times = pa.array([1_700_000_000_000_000] * bars.num_rows)
    burst = bars.set_column(1, "close_time", times)
    live = rbe.Enricher([momentum]).live(**KEY)

    live.push(burst.slice(0, 2))
    live.push(burst.slice(2, 1))

    for start in range(3):
        with pytest.raises(BarOrderError, match=r"is one of the last bars again"):
            live.push(burst.slice(start, 1))
    assert live.push(burst.slice(3, 1)).num_rows == 1


def test_gaps_are_counted_and_told(bars, momentum, caplog):
    live = rbe.Enricher([momentum]).live(**KEY)
    kept = [*range(10), *range(12, 20), *range(25, 40)]

    live.push(bars.take(list(kept[:10])))
    live.push(bars.take(list(kept[10:])))

    assert live.gaps == 2
    (told,) = [one.getMessage() for one in caplog.records]
    assert told.startswith("gap in SIM@250: a bar begins at first_trade_id ")
    assert told.endswith("2 gaps in this push")


def test_gaps_are_told_by_times_where_there_are_no_ids(bars, momentum, caplog):
    bars = bars.drop_columns(["first_trade_id", "last_trade_id"])
    live = rbe.Enricher([momentum]).live(history=bars.slice(0, 10), history_is_complete=True, **KEY)

    live.push(bars.slice(12, 1))

    assert live.gaps == 1
    assert "a bar begins at open_time" in caplog.text


def test_bars_that_never_touch_are_told_of_only_at_first(bars, momentum, caplog):
    live = rbe.Enricher([momentum]).live(**KEY)

    for row in range(0, 40, 2):
        live.push(bars.slice(row, 1))

    assert live.gaps == 19
    assert len(caplog.records) == 3


def test_another_layout_is_refused(bars, momentum):
    live = rbe.Enricher([momentum]).live(**KEY)
    live.push(bars.slice(0, 30))
    other = bars.slice(30).drop_columns("ofi")
    other = other.set_column(0, "open_time", other.column("open_time").cast(pa.float64()))

    with pytest.raises(
        BarColumnError, match=r"^2 column\(s\) differ from the bars before:"
    ) as caught:
        live.push(other)

    assert str(caught.value) == (
        "2 column(s) differ from the bars before:\n"
        "- 'open_time': got Float64, expected Int64\n"
        "- 'ofi': got nothing, expected Float64\n"
        "Hint: push bars of one layout; start anew for another."
    )


def test_whole_prices_and_further_columns_are_no_other_layout(bars, momentum):
    live = rbe.Enricher([momentum]).live(**KEY)
    live.push(bars.slice(0, 30))
    whole = bars.slice(30, 2)
    place = whole.column_names.index("close")
    whole = whole.set_column(place, "close", pa.array([100, 101])).append_column(
        "note", pa.array(["a", "b"])
    )

    table = live.push(whole)

    assert table.field("close").type == pa.int64()
    assert table.column("momentum_return_20").null_count == 0


def test_series_is_that_of_the_first_bars(make_bars, native):
    seen = native("seen", {"seen_a": close.shift(1)})
    live = rbe.Enricher([seen]).live(symbol="A")
    live.push(make_bars(5, symbol="A", threshold_decimal_bps=50, ouroboros_mode="month"))
    assert {(one.symbol, one.threshold_decimal_bps) for one in seen.contexts} == {("A", 50)}

    for other, told in [
        (
            {"symbol": "B", "threshold_decimal_bps": 50, "ouroboros_mode": "month"},
            r"^Argument 'symbol' is 'A'",
        ),
        ({"symbol": "A", "threshold_decimal_bps": 60, "ouroboros_mode": "month"}, r"A@50/month"),
        ({"symbol": "A", "threshold_decimal_bps": 50, "ouroboros_mode": "year"}, r"A@50/year"),
    ]:
        with pytest.raises(SeriesConflictError, match=told):
            live.push(make_bars(5, seed=9, **other))


def test_another_threshold_in_metadata_is_refused(make_bars, momentum):
    live = rbe.Enricher([momentum]).live(symbol="A")
    live.push(make_bars(5, metadata={"threshold_decimal_bps": "50"}))

    with pytest.raises(
        SeriesConflictError, match=r"^The bars are of A@60, and this is the enricher of A@50\."
    ):
        live.push(make_bars(5, seed=9, metadata={"threshold_decimal_bps": "60"}))


def test_several_series_in_one_push_of_a_symbol_are_refused(make_bars, momentum):
    both = pa.concat_tables(
        [make_bars(5, threshold_decimal_bps=50), make_bars(5, threshold_decimal_bps=60)]
    )

    with pytest.raises(
        SeriesConflictError, match=r"^2 series in one push:\n- A@50\n- A@60\nHint: push each"
    ):
        rbe.Enricher([momentum]).live(symbol="A").push(both)


class _Flaky:
    """A native provider with a function that fails where a bar has too large a volume."""

    name, version, columns, min_bars, lookback = "flaky", "1.0", ("flaky_a",), 0, 0

    def expressions(self, _context):
        def fail(series):
            if series.max() > 1e6:
                msg = "too large"
                raise ValueError(msg)
            return series

        yield volume.map_batches(fail, return_dtype=pl.Float64).alias("flaky_a")


def _with_volume(bars, value):
    place = bars.column_names.index("volume")
    return bars.set_column(place, "volume", pa.array([value] * bars.num_rows))


def test_a_failure_costs_one_provider_and_one_push(bars, momentum, caplog, events):
    enricher = rbe.Enricher([_Flaky(), momentum])
    live = enricher.live(**KEY)
    live.push(bars.slice(0, 30))

    failed = live.push(_with_volume(bars.slice(30, 2), 1e7))
    live.push(_with_volume(bars.slice(32, 2), 1e7))
    after = live.push(bars.slice(34, 25))  # those that failed it leave the carried context
    last = live.push(bars.slice(59, 5))

    assert failed.column("flaky_a").null_count == 2
    assert failed.field("flaky_a").metadata[b"status"] == b"failed"
    expected = _features([enricher.run(bars, **KEY).table], momentum.columns)
    same = pl.concat([expected[30:32], expected[34:59]])
    _agree(_features([failed, after], momentum.columns), same)
    assert last.column("flaky_a").null_count == 0
    assert [one.levelno for one in caplog.records] == [logging.ERROR]
    assert sum(one.event is rbe.HookEvent.PLUGIN_ENRICH_FAILED for one in events) == 3


def test_a_lost_state_is_said_and_stays_lost(bars, native, momentum):
    held = native("held", {"held_a": pl.col("text").str.to_integer(strict=True).cum_sum()})
    rows = bars.num_rows
    good = bars.append_column("text", pa.array(["1"] * rows))
    bad = bars.append_column("text", pa.array(["x"] * rows))
    enricher = rbe.Enricher([held, momentum])
    live = enricher.live(**KEY)
    live.push(good.slice(0, 30))

    live.push(bad.slice(30, 1))
    first = live.outcomes
    restored = enricher.live(**KEY)
    restored.restore(live.snapshot())
    table = restored.push(good.slice(31, 1))

    assert [one.status for one in first] == ["failed", "ok"]
    assert "its state is lost since then; start anew from history" in first[0].error
    assert restored.outcomes[0].error == first[0].error
    assert table.column("held_a").null_count == 1
    assert table.column("momentum_return_20").null_count == 0


def test_on_error_raise_leaves_all_as_it_was(bars, momentum):
    live = rbe.Enricher([_Flaky(), momentum], on_error="raise").live(**KEY)
    live.push(bars.slice(0, 30))
    before = live.snapshot()

    with pytest.raises(RunError, match=r"Provider 'flaky': ValueError: too large"):
        live.push(_with_volume(bars.slice(35, 2), 1e7))

    assert (live.snapshot(), live.gaps) == (before, 0)
    assert live.push(bars.slice(30, 2)).column("flaky_a").null_count == 0


def test_a_first_push_that_raises_leaves_nothing_behind(bars, momentum):
    live = rbe.Enricher([_Flaky(), momentum], on_error="raise").live()
    metadata = {"symbol": "WRONG"}

    with pytest.raises(RunError, match=r"too large"):
        live.push(_with_volume(bars, 1e7).drop_columns("ofi").replace_schema_metadata(metadata))

    assert live.push(bars).num_rows == bars.num_rows


def test_one_event_and_no_log_line_for_each_push(bars, momentum, events, caplog):
    live = rbe.Enricher([momentum]).live(**KEY)

    for row in range(3):
        live.push(bars.slice(row, 1))

    assert [one.event for one in events] == [rbe.HookEvent.PLUGIN_ENRICH_COMPLETE] * 3
    assert (events[0].symbol, events[0].details["bar_count"]) == ("SIM", 1)
    assert caplog.records == []


def test_a_hook_may_ask_for_a_snapshot(bars, momentum):
    live = rbe.Enricher([momentum]).live(**KEY)
    taken = []
    rbe.register_hook(
        rbe.HookEvent.PLUGIN_ENRICH_COMPLETE,
        lambda _: taken.append((live.bars_seen, live.snapshot())),
    )

    live.push(bars)

    assert taken == [(bars.num_rows, live.snapshot())]


@pytest.mark.slow
def test_what_is_carried_stays_small(make_bars, mixed):
    bars = make_bars(6_000, seed=5)
    live = rbe.Enricher(mixed).live(**KEY)
    sizes = []
    for start in range(0, 6_000, 20):
        live.push(bars.slice(start, 20))
        if start in {1_000, 5_980}:
            context = next(iter(live._stream.places.values())).context
            sizes.append((live.context_bars, len(live.snapshot()) // 256, context.estimated_size()))

    assert sizes[0] == sizes[1]
    assert live.context_bars == 90


def test_only_what_is_read_is_carried(bars, momentum):
    live = rbe.Enricher([momentum]).live(**KEY)

    live.push(bars)

    context = next(iter(live._stream.places.values())).context
    assert (context.columns, context.height) == (["close"], 20)


def test_threads_take_turns(make_bars, momentum, native):
    bars = make_bars(64, seed=2)
    enricher = rbe.Enricher([momentum, native("count", {"count_a": close.cum_count()})])
    lives = [enricher.live(**KEY) for _ in range(4)]
    shared, made = enricher.live(**KEY), [[] for _ in lives]

    def work(place):
        for row in range(64):
            made[place].append(lives[place].push(bars.slice(row, 1)))
            try:
                shared.push(bars.slice(row, 1))
            except BarOrderError:
                continue

    threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    expected = _features([enricher.run(bars, **KEY).table], enricher.columns)
    for tables in made:
        _agree(_features(tables, enricher.columns), expected)
    assert shared.bars_seen <= 64


@pytest.fixture(scope="module")
def many(make_bars):
    """Return five series, their rows mixed at random with each one's own in order."""
    tables = [
        make_bars(rows, seed=rows, symbol=symbol, threshold_decimal_bps=50)
        for rows, symbol in [(70, "A"), (1, "B"), (40, "C"), (9, "D"), (60, "E")]
    ]
    owner = np.repeat(np.arange(5), [table.num_rows for table in tables])
    np.random.default_rng(4).shuffle(owner)
    order = np.argsort(np.argsort(owner, kind="stable"), kind="stable")
    return pa.concat_tables(tables).take(pa.array(order))


@tried(5, 15)
@given(data=st.data())
def test_many_series_in_any_pushes_give_one_run(data, many, mixed):
    enricher = rbe.Enricher(mixed)
    expected = enricher.run(many)
    rows = many.num_rows
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, rows - 1), max_size=5))), rows]
    restart = data.draw(st.integers(0, 5))

    live, made = enricher.live(), []
    for place, (start, end) in enumerate(pairwise(cuts)):
        made.append(live.push(many.slice(start, end - start)))
        if place == restart:
            snapshot, live = live.snapshot(), enricher.live()
            live.restore(snapshot)

    assert pa.concat_tables(made).select(many.column_names).equals(many)
    _agree(_features(made, enricher.columns), _features([expected.table], enricher.columns))
    assert {key.symbol: one.bars_seen for key, one in live.series.items()} == {
        "A": 70, "B": 1, "C": 40, "D": 9, "E": 60
    }  # fmt: skip


def test_series_are_told_apart(make_bars, momentum):
    a, b = (make_bars(40, seed=seed, symbol=name) for seed, name in enumerate("AB"))
    live = rbe.Enricher([_Flaky(), momentum]).live()
    live.push(pa.concat_tables([a.slice(0, 30), b.slice(0, 25)]))

    parts = [b.slice(28, 2), _with_volume(a.slice(30, 2), 1e7)]
    live.push(pa.concat_tables(parts, promote_options="permissive"))

    a_now, b_now = live.series.values()
    assert (a_now.bars_seen, a_now.gaps, a_now.context_bars) == (32, 0, 20)
    assert (b_now.bars_seen, b_now.gaps, b_now.context_bars) == (27, 1, 20)
    assert [one.status for one in a_now.outcomes] == ["failed", "ok"]
    assert [one.status for one in b_now.outcomes] == ["ok", "ok"]
    assert [one.status for one in live.outcomes] == ["partial", "ok"]
    assert (live.bars_seen, live.gaps, live.context_bars) == (59, 1, 40)


def test_one_series_that_does_not_follow_refuses_the_push(make_bars, momentum):
    a, b = (make_bars(40, seed=seed, symbol=name) for seed, name in enumerate("AB"))
    live = rbe.Enricher([momentum]).live()
    live.push(pa.concat_tables([a.slice(0, 30), b.slice(0, 30)]))
    before = live.snapshot()

    with pytest.raises(BarOrderError, match=r"^A bar pushed to B is earlier than the last one"):
        live.push(pa.concat_tables([a.slice(30), b.slice(20)]))

    assert live.snapshot() == before


def test_new_series_join_and_history_may_be_of_several(make_bars, momentum):
    a, b, c = (make_bars(40, seed=seed, symbol=name) for seed, name in enumerate("ABC"))
    enricher = rbe.Enricher([momentum])
    history = pa.concat_tables([a.slice(0, 30), b.slice(0, 10)])
    live = enricher.live(history=history, history_is_complete=True)

    made = live.push(pa.concat_tables([c, b.slice(10), a.slice(30)]))

    whole = [enricher.run(table).table for table in (c, b, a)]
    expected = pa.concat_tables([whole[0], whole[1].slice(10), whole[2].slice(30)])
    _agree(_features([made], momentum.columns), _features([expected], momentum.columns))


def test_a_gap_is_refused_if_asked(bars, momentum):
    live = rbe.Enricher([momentum]).live(on_gap="raise", **KEY)
    live.push(bars.slice(0, 30))

    with pytest.raises(BarGapError, match=r"^1 bar\(s\) begin later .* in row 0 of SIM@250: a bar"):
        live.push(bars.slice(31, 1))

    assert (live.bars_seen, live.push(bars.slice(30, 1)).num_rows) == (30, 1)


def test_a_provider_is_asked_once(bars, native, momentum):
    finite = native("lag", {"lag_a": close.shift(3)})
    recursive = native("sums", {"sums_a": volume.cum_sum()})
    live = rbe.Enricher([finite, recursive]).live(**KEY)

    live.push(bars.slice(0, 30))
    live.push(bars.slice(30, 1))

    assert (len(finite.contexts), len(recursive.contexts)) == (1, 1)


@tried(6, 20)
@given(data=st.data())
def test_short_history_in_any_pushes_gives_the_same_rows(data, make_bars, mixed):
    bars = make_bars(160, seed=3)
    enricher = rbe.Enricher(mixed)
    given = data.draw(st.integers(0, 60))
    expected = enricher.run(bars.slice(given), history=bars.slice(0, given), **KEY)
    cuts = sorted(data.draw(st.sets(st.integers(given + 1, 159), max_size=6)))

    live, made, missing = enricher.live(history=bars.slice(0, given), **KEY), [], 0
    for start, end in pairwise([given, *cuts, 160]):
        made.append(live.push(bars.slice(start, end - start)))
        missing += live.outcomes[0].short_rows

    whole = pl.DataFrame(enricher.run(bars, **KEY).table)[given:]
    actual = _features(made, enricher.columns)
    _agree(actual, _features([expected.table], enricher.columns))
    assert {one.status for one in expected.outcomes} <= {"ok", "short_history"}
    assert missing == expected.outcomes[0].short_rows == max(20 - given, 0)
    assert actual["score_a"][missing:].null_count() == whole["score_a"][missing:].null_count() == 0


def test_a_better_clock_that_comes_later_is_not_compared_with_the_first(bars, momentum):
    times = pc.divide(bars.column("close_time"), 1_000)
    plain = bars.drop_columns(["open_time", "close_time"]).append_column("close_time_ms", times)
    live = rbe.Enricher([momentum]).live(**KEY)
    live.push(plain.slice(0, 30))

    live.push(
        plain.slice(30, 5).append_column("close_time", bars.column("close_time").slice(30, 5))
    )
    with pytest.raises(BarOrderError, match=r"'close_time_ms' \d+ after \d+"):
        live.push(plain.slice(10, 1))
