"""Bars that are missing between others: counted, told or refused, in one run."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pytest

import rangebar_enrich as rbe
from rangebar_enrich.errors import BarGapError

KEY = {"symbol": "SIM", "threshold_decimal_bps": 250}


@pytest.fixture
def holed(bars):
    return pa.concat_tables([bars.slice(0, 50), bars.slice(53, 10), bars.slice(70)])


def test_a_hole_inside_a_table_counts(holed, momentum, caplog):
    gaps = rbe.Enricher([momentum]).run(holed, **KEY).gaps

    assert (gaps.count, gaps.first.row, gaps.first.column) == (2, 50, "first_trade_id")
    assert list(gaps.by_series.values()) == [2]
    (told,) = [one.getMessage() for one in caplog.records]
    assert told.startswith("gap in SIM@250: a bar begins at first_trade_id ")
    assert told.endswith("; 2 gaps in these bars")


def test_a_hole_between_history_and_bars_counts(bars, momentum):
    enricher = rbe.Enricher([momentum])

    near = enricher.run(bars.slice(60), history=bars.slice(0, 60))
    far = enricher.run(bars.slice(60), history=bars.slice(0, 50))

    assert (near.gaps.count, far.gaps.count, far.gaps.first.row) == (0, 1, 0)


def test_holes_of_the_history_itself_are_old_news(holed, bars, momentum):
    result = rbe.Enricher([momentum]).run(bars.slice(80), history=holed.slice(0, 70))

    assert result.gaps.count == 0


@pytest.mark.parametrize("on_gap", ["ignore", "warn"])
def test_gaps_change_no_value(on_gap, holed, momentum, caplog):
    table = rbe.enrich_bars(holed, providers=[momentum], on_gap=on_gap)

    told = [one for one in caplog.records if "gap in" in one.getMessage()]
    assert len(told) == (on_gap == "warn")
    assert table.column("momentum_return_20").null_count == 20


@pytest.mark.parametrize("kind", ["arrow", "polars", "pandas"])
def test_gaps_are_refused_if_asked(kind, holed, momentum):
    given = {"arrow": holed, "polars": pl.DataFrame(holed), "pandas": holed.to_pandas()}[kind]

    with pytest.raises(BarGapError, match=r"^2 bar\(s\) begin later .* row 50 of SIM@250: a bar"):
        rbe.enrich_bars(given, "SIM", 250, providers=[momentum], on_gap="raise")


def test_refusal_names_every_series(make_bars, momentum):
    tables = [make_bars(30, seed=seed, symbol=name) for seed, name in enumerate("AB")]
    holed = pa.concat_tables([part for one in tables for part in (one.slice(0, 9), one.slice(12))])

    with pytest.raises(BarGapError, match=r"first in row 9 of A:") as caught:
        rbe.Enricher([momentum]).run(holed, on_gap="raise")

    head, *lines = str(caught.value).splitlines()
    assert head.startswith("2 bar(s) begin later than the bar before them ended, the first in row")
    assert lines == [
        "- A: 1 gap(s)",
        "- B: 1 gap(s)",
        "Hint: fetch the bars between, or pass on_gap='warn'.",
    ]


def test_what_to_do_is_one_of_three(bars, momentum):
    enricher = rbe.Enricher([momentum])
    calls = [enricher.run, lambda bars, **more: enricher.live(**more), enricher.iter_batches]

    for call in calls:
        with pytest.raises(ValueError, match=r"^'on_gap' is 'log'; expected 'warn', 'raise' or"):
            call(bars, on_gap="log")
