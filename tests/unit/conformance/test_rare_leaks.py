"""Leaks that show at few rows only: at one price, one volume, one time, far into a series."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from rangebar_enrich.conformance import check_provider
from rangebar_enrich.conformance.examination import Examination

close, volume, time_us = pl.col("close"), pl.col("volume"), pl.col("close_time")
when = time_us.cast(pl.Datetime("us"))
row = pl.int_range(pl.len())


STATES = {
    "above a price": close > 20_000,
    "below a price": close < 1e-5,
    "between two prices": close.is_between(150_000, 160_000),
    "above a volume": volume > 5_000,
    "far into the series": row > 5_000,
    "one quarter of an hour": (when.dt.weekday() == 1)
    & (when.dt.hour() == 13)
    & (when.dt.minute() < 10),
    "a night": (when.dt.weekday() == 6) & (when.dt.hour() == 3),
}


class Rare:
    """Reads the next bar in one state only, in a function of Python."""

    name, version, columns, min_bars = "rare", "1", ("rare_x",), 0

    def __init__(self, state, ahead=1):
        self.state, self.ahead = state, ahead

    def expressions(self, _context):
        hidden = close.map_batches(lambda s: s.shift(-self.ahead), return_dtype=pl.Float64)
        yield pl.when(self.state).then(hidden).otherwise(close).alias("rare_x")


class RareLegacy:
    name, version, columns, min_bars = "rare", "1", ("rare_x",), 3

    def __init__(self, state):
        self.state = state

    def enrich(self, bars, _symbol, _threshold):
        rare = self.state(bars)
        mean = bars["close"].rolling(4).mean()
        bars["rare_x"] = mean.where(~rare, bars["close"].shift(-1))
        return bars


def _monday(bars):
    index = bars.index
    return (index.weekday == 0) & (index.hour == 13) & (index.minute < 10)


def _result(provider, **options):
    return Examination(provider, **options).result("no_look_ahead")


@pytest.mark.parametrize("state", STATES)
def test_leak_in_one_state_is_found(state):
    result = _result(Rare(STATES[state]))

    assert result.status == "failed"
    assert "Smallest frame" in result.detail


@pytest.mark.parametrize("ahead", [2, 5])
def test_leak_in_one_state_is_found_some_bars_ahead(ahead):
    assert _result(Rare(STATES["above a price"], ahead)).status == "failed"


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(lambda bars: bars["close"] > 20_000, marks=pytest.mark.slow),
        pytest.param(lambda bars: bars["volume"] > 5_000, marks=pytest.mark.slow),
        pytest.param(lambda bars: np.arange(len(bars)) > 5_000, marks=pytest.mark.slow),
        _monday,
    ],
    ids=["price", "volume", "row", "monday"],
)
def test_leak_of_a_legacy_provider_in_one_state_is_found(state):
    assert _result(RareLegacy(state)).status == "failed"


def test_states_alone_are_no_leaks():
    class Fair(Rare):
        def expressions(self, _context):
            past = close.map_batches(lambda s: s.rolling_mean(12), return_dtype=pl.Float64)
            states = [pl.when(one).then(past) for one in STATES.values()]
            yield pl.coalesce(*states, close).alias("rare_x")

    assert _result(Fair(None)).status == "passed"


def test_own_bars_say_at_which_prices_to_look(make_bars):
    """Nothing generated lies near 777: the author's bars do."""
    given = make_bars(200).drop_columns(["close"])
    given = given.append_column("close", [np.full(200, 777.0)])
    provider = Rare(close.is_between(776.0, 779.0) & (row > 100) & (row < 110))

    assert check_provider(Rare(pl.lit(value=False))).result("no_look_ahead").status == "passed"
    assert _result(provider, bars=given).status == "failed"
