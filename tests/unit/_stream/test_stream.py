from __future__ import annotations

from itertools import pairwise

import polars as pl
import pytest

from rangebar_enrich._bars.columns import BUILDER_COLUMNS
from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich._plan.planner import Planner
from rangebar_enrich._provider.declaration import declare_all
from rangebar_enrich._run.settings import Settings
from rangebar_enrich._stream.stream import Carrier, Increment
from rangebar_enrich.errors import HistoryError

close, volume, ofi = pl.col("close"), pl.col("volume"), pl.col("ofi")
LAYOUT = tuple(BUILDER_COLUMNS.items())
KEYS = [SeriesKey(name, 50) for name in "ABC"]


def _carrier(*providers):
    planner = Planner(declare_all(providers)[0])
    return Carrier(Settings(planner), LAYOUT, planner.plan(LAYOUT, "A", 50))


@pytest.fixture
def frames(make_bars):
    return [pl.DataFrame(make_bars(60, seed=seed)) for seed in range(3)]


def _advance(carrier, frames, cuts):
    """Advance all series through the same cuts; return their columns and where they stand."""
    places = [carrier.start() for _ in frames]
    made = [{} for _ in frames]
    for start, end in pairwise([0, *cuts, 60]):
        work = [
            Increment(key, place, frame[start:end])
            for key, place, frame in zip(KEYS, places, frames, strict=False)
        ]
        for number, (run, after) in enumerate(carrier.advance(work)):
            assert not run.failures
            places[number] = after
            for column, values in run.columns.items():
                made[number].setdefault(column, []).append(values)
    return [{name: pl.concat(parts) for name, parts in one.items()} for one in made], places


def test_series_advance_together_and_apart_alike(frames, native):
    lag = native("lag", {"lag_a": close.shift(7), "lag_b": ofi.rolling_max(4)})
    total = native("total", {"total_a": volume.cum_sum()})
    carrier = _carrier(lag, total)

    together, places = _advance(carrier, frames, [20, 21, 44])

    assert [place.rows for place in places] == [60, 60, 60]
    for frame, made in zip(frames, together, strict=True):
        (alone,), _ = _advance(carrier, [frame], [])
        assert all(made[name].equals(alone[name]) for name in alone)


@pytest.mark.parametrize(
    ("kinds", "columns", "rows"),
    [
        (["row"], ["close"], 0),
        (["lag"], ["close"], 7),
        (["lag", "total"], ["close"], 7),
        (["total"], ["open_time"], 0),
        (["lag", "total", "reader"], ["close", "total_a"], 7),
        (["old"], [*BUILDER_COLUMNS], 9),
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
    carrier = _carrier(*(known[kind] for kind in kinds))

    _, (place,) = _advance(carrier, frames[:1], [30])

    assert (place.context.columns, place.context.height) == (columns, rows)


def test_what_is_carried_keeps_nothing_else_alive(frames, native):
    carrier = _carrier(native("lag", {"lag_a": close.shift(7)}))

    _, (place,) = _advance(carrier, frames[:1], [])

    assert place.context["close"].to_arrow().buffers()[1].size < 60 * 8


def test_an_increment_leaves_its_place_usable(frames, native):
    carrier = _carrier(native("total", {"total_a": volume.cum_sum()}))
    start = carrier.start()

    first = carrier.advance([Increment(KEYS[0], start, frames[0])])[0][0]
    second = carrier.advance([Increment(KEYS[0], start, frames[0])])[0][0]

    assert first.columns["total_a"].equals(second.columns["total_a"])
    assert start.rows == 0


def test_absorbed_bars_count(frames, native):
    providers = [
        native("lag", {"lag_a": close.shift(7)}),
        native("total", {"total_a": volume.cum_sum()}),
    ]
    carrier = _carrier(*providers)
    (whole,), _ = _advance(carrier, frames[:1], [])

    place = carrier.absorb(Increment(KEYS[0], carrier.start(), frames[0][:40]))
    run, after = carrier.advance([Increment(KEYS[0], place, frames[0][40:])])[0]

    assert (place.rows, after.rows) == (40, 60)
    assert all(run.columns[name].equals(whole[name][40:]) for name in whole)


def test_a_place_of_other_columns_is_refused(frames, native):
    carrier = _carrier(native("lag", {"lag_a": close.shift(7)}))
    other = _carrier(native("lag", {"lag_a": ofi.shift(7)}))
    _, (place,) = _advance(carrier, frames[:1], [])

    with pytest.raises(HistoryError, match=r"^The snapshot carries other states, columns or rows"):
        other.resume(place, {})
    assert carrier.resume(place, {}).rows == 60
