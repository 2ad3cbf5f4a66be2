from __future__ import annotations

from itertools import pairwise

import polars as pl
import pytest

from rangebar_enrich._bars.columns import BUILDER_COLUMNS
from rangebar_enrich._bars.containers import PolarsBars
from rangebar_enrich._bars.series import split_series
from rangebar_enrich._plan.planner import Planner
from rangebar_enrich._provider.declaration import declare_all
from rangebar_enrich._run.settings import Settings
from rangebar_enrich._stream.place import Place
from rangebar_enrich._stream.stream import Stream
from rangebar_enrich.errors import BarColumnError, BarGapError, BarOrderError

close, volume, ofi = pl.col("close"), pl.col("volume"), pl.col("ofi")


def _stream(*providers, on_gap="warn"):
    settings = Settings(Planner(declare_all(providers)[0]))
    return Stream(settings, str, on_gap=on_gap, noun="this table")


@pytest.fixture
def frames(make_bars):
    return [pl.DataFrame(make_bars(60, seed=seed, symbol="ABC"[seed])) for seed in range(3)]


def _push(stream, frame):
    bars = PolarsBars(frame)
    arrival = stream.push(bars, split_series(bars))
    return arrival, pl.DataFrame(stream.finish(bars, arrival).table)


def _advance(stream, frames, cuts):
    """Advance all series through the same cuts; return the rows of each."""
    made = []
    for start, end in pairwise([0, *cuts, 60]):
        arrival, table = _push(stream, pl.concat([frame[start:end] for frame in frames]))
        assert not any(run.failures for run in arrival.runs)
        made.append(table)
    return pl.concat(made).partition_by("symbol", maintain_order=True)


def test_series_advance_together_and_apart_alike(frames, native):
    providers = [
        native("lag", {"lag_a": close.shift(7), "lag_b": ofi.rolling_max(4)}),
        native("total", {"total_a": volume.cum_sum()}),
    ]
    stream = _stream(*providers)

    together = _advance(stream, frames, [20, 21, 44])

    assert [place.rows for place in stream.places.values()] == [60, 60, 60]
    for frame, made in zip(frames, together, strict=True):
        (alone,) = _advance(_stream(*providers), [frame], [])
        assert made.equals(alone)


def test_a_place_grows_with_series_and_not_with_bars(frames, native):
    stream = _stream(native("lag", {"lag_a": close.shift(7)}))

    _advance(stream, frames, [*range(10, 60, 10)])

    assert [place.context.height for place in stream.places.values()] == [7, 7, 7]


@pytest.mark.parametrize(
    ("kinds", "columns", "rows"),
    [
        (["row"], ["close"], 0),
        (["lag"], ["close"], 7),
        (["lag", "total"], ["close"], 7),
        (["total"], ["open_time"], 0),
        (["lag", "total", "reader"], ["close", "total_a"], 7),
        (["old"], [*BUILDER_COLUMNS, "symbol"], 9),
    ],
    ids=str,
)
def test_no_more_is_carried_than_is_read(kinds, columns, rows, frames, native, legacy):
    def add(view):
        view["old_a"] = 1.0
        return view

    known = {
        "row": native("row", {"row_a": close * 2}),
        "lag": native("lag", {"lag_a": close.shift(7)}),
        "total": native("total", {"total_a": volume.cum_sum()}),
        "reader": native(
            "reader",
            {"reader_a": pl.col("total_a").map_batches(lambda x: x, return_dtype=pl.Float64)},
            lookback=2,
        ),
        "old": legacy("old", ["old_a"], add, lookback=9),
    }
    stream = _stream(*(known[kind] for kind in kinds))

    _advance(stream, frames[:1], [30])

    (place,) = stream.places.values()
    assert (place.context.columns, place.context.height) == (columns, rows)


def test_what_is_carried_keeps_nothing_else_alive(frames, native):
    stream = _stream(native("lag", {"lag_a": close.shift(7)}))

    _advance(stream, frames[:1], [])

    (place,) = stream.places.values()
    assert place.context["close"].to_arrow().buffers()[1].size < 60 * 8


def test_what_is_taken_changes_nothing_until_it_is_committed(frames, native):
    stream = _stream(native("total", {"total_a": volume.cum_sum()}))
    bars = PolarsBars(frames[0])

    arrival = stream.take(bars, split_series(bars))

    assert (stream.layout, stream.places) == (None, {})
    stream.commit(arrival)
    assert [place.rows for place in stream.places.values()] == [60]


def test_absorbed_bars_count(frames, native):
    providers = [
        native("lag", {"lag_a": close.shift(7)}),
        native("total", {"total_a": volume.cum_sum()}),
    ]
    (whole,) = _advance(_stream(*providers), frames[:1], [])
    stream = _stream(*providers)
    past = PolarsBars(frames[0][:40])

    stream.absorb(past, split_series(past), Place())
    arrival, made = _push(stream, frames[0][40:])

    assert [(run.before, run.height) for run in arrival.runs] == [(40, 20)]
    assert made.equals(whole[40:])


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (lambda frame: frame[30:].drop("ofi"), BarColumnError, r"^1 column\(s\) differ"),
        (lambda frame: frame[10:20], BarOrderError, r"time="),
        (lambda frame: frame[29:40], BarOrderError, r"time="),
        (lambda frame: frame[35:], BarGapError, r"^1 bar\(s\) begin later than .* row 0 of A: "),
    ],
    ids=["layout", "earlier", "repeated", "gap"],
)
def test_bars_that_do_not_follow_are_refused(change, error, told, frames, native):
    stream = _stream(native("lag", {"lag_a": close.shift(7)}), on_gap="raise")
    _push(stream, frames[0][:30])
    before = dict(stream.places)

    with pytest.raises(error, match=told):
        _push(stream, change(frames[0]))

    assert stream.places == before


def test_no_bars_are_no_news(frames, native):
    stream = _stream(native("lag", {"lag_a": close.shift(7)}))

    _, made = _push(stream, frames[0][:0])

    assert made.schema["lag_a"] == pl.Float64
    assert stream.places == {}
