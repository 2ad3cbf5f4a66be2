from __future__ import annotations

import polars as pl
import pyarrow as pa
import pytest

import rangebar_enrich as rbe
from rangebar_enrich.errors import BarColumnError

MS = 1_704_067_200_000

WRONG = {
    "ms for µs": ({"close_time": [MS, MS + 1]}, "us", MS, "in ms", "rename it to 'close_time_ms'"),
    "µs for ms": (
        {"open_time_ms": [MS * 1000] * 2},
        "ms",
        MS * 1000,
        "in us",
        "rename it to 'open_time'",
    ),
    "s for ms": ({"close_time_ms": [MS // 1000] * 2}, "ms", MS // 1000, "in s", "convert it to ms"),
    "ns for µs": ({"close_time": [MS * 10**6] * 2}, "us", MS * 10**6, "in ns", "convert it to us"),
    "rows": ({"close_time": [7, MS * 1000]}, "us", 7, "no unit", "convert it to us"),
    "datetime": (
        {"timestamp": pa.array([MS, MS + 1], pa.timestamp("ns"))},
        "ns",
        MS,
        "in ms",
        "rename it to",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_times_in_another_unit_are_refused(kind, native):
    times, unit, value, fitting, hint = WRONG[kind]
    bars = pa.table({"close": [1.0, 2.0], **times})
    (name,) = times
    enricher = rbe.Enricher([native("lag", {"lag_a": pl.col("close").shift(1)})])

    with pytest.raises(BarColumnError) as caught:  # noqa: PT011 compared below
        enricher.run(bars)

    text = str(caught.value)
    assert text.startswith(f"Time column '{name}' is in {unit}, and ")
    assert f"outside 1990 to 2100, the first in row 0: {value}; {fitting}" in text
    assert f"\nHint: {hint}" in text


@pytest.mark.parametrize("way", ["live", "batches", "history"])
def test_times_are_looked_at_in_every_way(way, native):
    bars = pa.table({"close": [1.0, 2.0], "close_time": [MS, MS + 1]})
    enricher = rbe.Enricher([native("lag", {"lag_a": pl.col("close").shift(1)})])
    calls = {
        "live": lambda: enricher.live().push(bars),
        "batches": lambda: next(enricher.iter_batches(bars)),
        "history": lambda: enricher.run(bars[:0], history=bars),
    }
    with pytest.raises(BarColumnError, match=r"in ms it would be within"):
        calls[way]()


@pytest.mark.parametrize("year", ["1990-01-01", "2099-12-31"])
def test_times_within_are_taken(year, native):
    frame = pl.DataFrame({"close": [1.0], "timestamp": [year]}).with_columns(
        pl.col("timestamp").str.to_datetime("%Y-%m-%d")
    )
    assert rbe.Enricher([native("n", {"n_a": pl.col("close")})]).run(frame).outcomes[0].ok
