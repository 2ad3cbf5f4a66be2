from __future__ import annotations

import polars as pl
import pyarrow as pa
import pytest

from rangebar_enrich._bars.containers import ArrowBars
from rangebar_enrich._bars.series import split_series
from rangebar_enrich._run.inputs import read_source, times_in
from rangebar_enrich.errors import BarColumnError


def _source(bars, history=None, hidden=(), **options):
    table = ArrowBars(bars)
    split = split_series(table)
    return read_source(table, split, frozenset(hidden), history, **options)


@pytest.fixture
def two(make_bars):
    a, b = make_bars(20, symbol="A"), make_bars(30, seed=2, symbol="B")
    order = [*range(5), *range(20, 40), *range(5, 20), *range(40, 50)]
    return pa.concat_tables([a, b]).take(order), a, b


def test_frames_are_the_series_in_order(two):
    mixed, a, b = two

    frames = _source(mixed).frames(["close", "volume"])

    assert [frame.height for frame in frames] == [20, 30]
    assert frames[0].equals(pl.DataFrame(a.select(["close", "volume"])))
    assert frames[1].equals(pl.DataFrame(b.select(["close", "volume"])))


def test_history_goes_before_its_series(two):
    _, a, b = two
    new = pa.concat_tables([b.slice(20), a.slice(12)])
    source = _source(new, pa.concat_tables([a.slice(0, 12), b.slice(0, 20)]))

    frames = source.frames(["close"])

    assert source.history.rows == [20, 12]
    assert frames[0]["close"].to_list() == b.column("close").to_pylist()
    assert frames[1]["close"].to_list() == a.column("close").to_pylist()


def test_series_without_history_stay_as_they_are(two):
    _, a, b = two
    source = _source(pa.concat_tables([a.slice(12), b]), a.slice(0, 12))

    assert source.history.rows == [12, 0]
    assert [frame.height for frame in source.frames(["close"])] == [20, 30]


def test_a_key_that_only_one_side_knows_is_no_other_series(make_bars):
    bars = make_bars(20)
    history = bars.slice(0, 10).append_column("symbol", pa.array(["A"] * 10))

    assert _source(bars.slice(10), history).history.rows == [10]


def test_times_of_a_seam_count_for_what_increases(make_bars):
    bars = make_bars(20)
    steps = [*range(10), 9, *range(11, 20)]
    times = pa.array([1_700_000_000_000_000 + step for step in steps])
    tied = bars.set_column(1, "close_time", times)
    clear = bars.set_column(1, "close_time", pa.array(range(10**15, 10**15 + 20)))

    assert _source(tied.slice(10), tied.slice(0, 10)).times_increase is False
    assert _source(clear.slice(10), clear.slice(0, 10)).times_increase is True


def test_legacy_providers_see_no_own_columns_and_only_what_both_have(make_bars):
    bars = make_bars(20).append_column("old_a", pa.array([1.0] * 20))
    source = _source(bars.slice(10), bars.slice(0, 10).drop_columns("ofi"), hidden={"old_a"})

    (frame,) = source.legacy_frames()

    assert set(bars.column_names) - set(frame.columns) == {"ofi", "old_a"}


def test_times_have_a_unit(make_bars):
    bars = make_bars(4)
    stamps = pa.array(range(10**18, 10**18 + 4), pa.timestamp("ns"))
    stamped = bars.drop_columns(["open_time", "close_time"]).append_column("timestamp", stamps)

    for table, clock, unit in [(bars, "close_time", "us"), (stamped, "timestamp", "ns")]:
        source = _source(table)
        (times,), actual = times_in(source.frames([clock]), clock)
        assert (source.clock, len(times), actual) == (clock, 4, unit)
    assert _source(bars.select(["close"])).clock is None


def test_series_stand_together_history_first(two):
    mixed, a, b = two
    new = pa.concat_tables([b.slice(20), a.slice(12)])
    old = pa.concat_tables([a.slice(0, 12), b.slice(0, 20)])

    assert _source(mixed).together(["close"])["close"].to_list() == [
        *a.column("close").to_pylist(),
        *b.column("close").to_pylist(),
    ]
    assert _source(new, old).together(["close"])["close"].to_list() == [
        *b.column("close").to_pylist(),
        *a.column("close").to_pylist(),
    ]


def test_other_dtypes_are_refused(make_bars):
    bars = make_bars(20)
    place = bars.column_names.index("ofi")
    other = bars.set_column(place, "ofi", bars.column("ofi").cast(pa.float32()))

    with pytest.raises(BarColumnError, match=r"- 'ofi': got Float32, expected Float64"):
        _source(bars.slice(10), other.slice(0, 10)).frames(["ofi"])
