from __future__ import annotations

import polars as pl
import pytest
from corpus import readings as plain

import rangebar_enrich as rbe
from rangebar_enrich.features import ta

KEY = {"symbol": "SIM", "threshold_decimal_bps": 250}
VWAP = "ta_session_vwap"
DAY_US = 86_400_000_000


@pytest.fixture
def days(series):
    """Return bars of some days, with no column of the builder but the time they close."""
    wanted = ["open", "high", "low", "close", "volume"]
    begin = pl.col("close_time").first()
    stretched = begin + (pl.col("close_time") - begin) * 40
    return series.head(300).select(*wanted, close_time=stretched)


def _vwap(bars):
    made = rbe.enrich_bars(bars, "SIM", 250, providers=[ta.Core(only=["session_vwap"])])
    return made[VWAP]


@pytest.mark.parametrize("clock", ["close_time_ms", "open_time", "open_time_ms", "timestamp"])
def test_session_is_found_by_any_clock(clock, days):
    time = pl.col("close_time")
    spelled = {
        "timestamp": time.cast(pl.Datetime("us", "UTC")),
        "open_time": time,
    }.get(clock, time // 1000)

    other = days.drop("close_time").with_columns(days.select(spelled.alias(clock)))

    assert _vwap(other).equals(_vwap(days))


def test_session_vwap_without_a_time_is_null(days):
    timeless = days.drop("close_time")

    assert _vwap(timeless).null_count() == days.height


def test_session_vwap_takes_the_typical_price_without_vwap(days, arrays, assert_same):
    bars = arrays(days)
    typical = (bars["high"] + bars["low"] + bars["close"]) / 3

    expected = plain.session_mean(typical, bars["volume"], bars["close_time"] // DAY_US)

    assert_same(_vwap(days).to_numpy(), expected, bars["close"])


def test_session_keeps_nothing_of_the_sessions_before(days):
    loud = pl.when(pl.col("close_time") // DAY_US == pl.col("close_time").first() // DAY_US)
    struck = days.with_columns(volume=loud.then(pl.col("volume") * 1e15).otherwise("volume"))

    same = (days["close_time"] // DAY_US) != (days["close_time"][0] // DAY_US)

    assert same.sum() > 20
    assert _vwap(struck).filter(same).equals(_vwap(days).filter(same))


def test_hole_at_the_start_of_a_session_does_not_join_it_to_the_last(days):
    first = (pl.col("close_time") // DAY_US).diff().fill_null(1) != 0
    holed = days.with_columns(volume=pl.when(~first).then("volume"))
    without = days.filter(~first)

    assert _vwap(holed).drop_nulls().equals(_vwap(without).drop_nulls())
    assert _vwap(holed).null_count() == holed["volume"].null_count()
