"""How long the way is: what a warm call does in Python, so that it can't grow unseen.

The bounds are a little above what was measured; who makes the way shorter lowers them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from itertools import pairwise

import polars as pl
import pyarrow as pa
import pytest

import rangebar_enrich as rbe

PACKAGE = "rangebar_enrich."
COLLECTS = {("polars.lazyframe.frame", "collect"), ("polars.functions.lazy", "collect_all")}
KEY = {"symbol": "SIM", "threshold_decimal_bps": 250}
close, volume = pl.col("close"), pl.col("volume")


@dataclass
class Way:
    """The functions of the package that a call went through, one after the other."""

    functions: list[str] = field(default_factory=list)
    collects: int = 0

    @property
    def calls(self):
        return len(self.functions)

    @property
    def modules(self):
        return len(set(self.functions))

    @property
    def moves(self):
        return sum(one != other for one, other in pairwise(self.functions))

    def note(self, frame, event, _):
        # NOTE: comprehensions are frames of their own in some versions of Python, and no calls.
        name, code = frame.f_globals.get("__name__", ""), frame.f_code.co_name
        if event == "call" and name.startswith(PACKAGE) and not code.startswith("<"):
            self.functions.append(name)
        if event == "call" and (name, code) in COLLECTS:
            self.collects += 1


def _traced(call):
    for _ in range(2):
        call()
    way = Way()
    before = sys.getprofile()
    sys.setprofile(way.note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return way


@pytest.fixture
def enricher(native):
    score = (close - close.rolling_mean(20)) / close.rolling_std(20)
    return rbe.Enricher(
        [
            native("finite", {"finite_a": score, "finite_b": close / close.shift(20) - 1}),
            native("held", {"held_a": volume.cum_sum(), "held_b": close.ewm_mean(span=20)}),
        ]
    )


def _check(way, *, calls, modules, moves, collects):
    measured = (way.calls, way.modules, way.moves, way.collects)

    assert way.calls <= calls, measured
    assert way.modules <= modules, measured
    assert way.moves <= moves, measured
    assert way.collects == collects, measured


def test_way_of_a_run(enricher, bars):
    way = _traced(lambda: enricher.run(bars, **KEY).table)

    _check(way, calls=186, modules=25, moves=89, collects=1)


def test_way_of_a_push(enricher, bars):
    live = enricher.live(history=bars.slice(0, 50), history_is_complete=True, **KEY)
    rows = iter(range(50, 120))

    way = _traced(lambda: live.push(bars.slice(next(rows), 1)))

    _check(way, calls=251, modules=31, moves=117, collects=1)


def test_way_of_a_push_grows_little_with_series(native, make_bars):
    live = rbe.Enricher([native("lag", {"lag_a": close.shift(3)})]).live()
    tables = [pl.DataFrame(make_bars(20, seed=seed, symbol=f"S{seed}")) for seed in range(30)]
    rows = iter(range(20))

    def push():
        row = next(rows)
        live.push(pl.concat([table[row : row + 1] for table in tables]))

    way = _traced(push)

    assert way.collects == 1
    assert way.calls <= 130 + 30 * 20, way.calls


def test_way_of_a_write():
    pytest.importorskip("chdb")
    clickhouse = pytest.importorskip("rangebar_enrich.clickhouse")
    times = [1_700_000_000_000 + 60_000 * row for row in range(20)]
    prices = {name: [100.0] * 20 for name in ("open", "high", "low", "close", "volume")}
    opened = [time_ms - 60_000 for time_ms in times]
    table = pa.table({"close_time_ms": times, "open_time_ms": opened, **prices})
    rows = iter(range(20))

    with clickhouse.BarStore.connect("chdb://memory", table="way.bars") as store:
        way = _traced(lambda: store.write(table.slice(next(rows), 1), **KEY))

    _check(way, calls=245, modules=30, moves=96, collects=0)
