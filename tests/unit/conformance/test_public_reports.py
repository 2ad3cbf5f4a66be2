"""What users of other tools reported of look-ahead and of histories that are too short, tried here."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rangebar_enrich.conformance.examination import Examination


class Reported:
    """A legacy provider of one column."""

    name, version, columns = "reported", "1", ("reported_x",)

    def __init__(self, compute, min_bars=0, **more):
        self.compute, self.min_bars = compute, min_bars
        for attribute, value in more.items():
            setattr(self, attribute, value)

    def enrich(self, bars, _symbol, _threshold):
        bars["reported_x"] = self.compute(bars)
        return bars


def _mean_of_all_where_short(bars):
    """Open-Finance-Lab/AgenticTrading#486: with few bars, the mean of all stands in for the window's."""
    close = bars["close"]
    return close.rolling(20).mean() if len(close) >= 20 else close * 0 + close.mean()


def _mean_of_all_in_the_warm_up(bars):
    """The same, as most write it."""
    return bars["close"].rolling(20).mean().fillna(bars["close"].mean())


def _hour_by_its_start(bars):
    """kernc/backtesting.py#1243: an hour that stands at its start is known before it is over."""
    return bars["close"].resample("1h").last().reindex(bars.index, method="ffill")


def _hour_by_its_end(bars):
    hours = bars["close"].resample("1h", label="right", closed="left").last()
    return hours.reindex(bars.index, method="ffill")


def _highest_of_eleven(bars):
    """ivanproskuryakov/ta-search#2: `argrelextrema` knows five bars on either side."""
    close = bars["close"].to_numpy()
    made = np.zeros(len(close))
    for row in range(5, len(close) - 5):
        made[row] = float(close[row] == close[row - 5 : row + 6].max())
    return pd.Series(made, index=bars.index)


def _highest_of_eleven_when_known(bars):
    return _highest_of_eleven(bars).shift(5)


def _efficiency_average(bars):
    """bukosabino/ta#164: Kaufman's average differed between a part and the whole."""
    close = bars["close"]
    moves = close.diff().abs().rolling(10).sum()
    share = ((close - close.shift(10)).abs() / moves * (2 / 3 - 2 / 31) + 2 / 31).to_numpy() ** 2
    made, last = np.full(len(close), np.nan), np.nan
    for row, (value, weight) in enumerate(zip(close.to_numpy(), share, strict=True)):
        if not np.isnan(weight):
            last = value if np.isnan(last) else last + weight * (value - last)
            made[row] = last
    return pd.Series(made, index=bars.index)


def _traded_so_far(bars):
    """freqtrade/freqtrade#11342: a sum since the start differs with the start."""
    return bars["volume"].cumsum()


LEAKS = [
    _mean_of_all_where_short,
    _mean_of_all_in_the_warm_up,
    _hour_by_its_start,
    _highest_of_eleven,
]
FAIR = [_hour_by_its_end, _highest_of_eleven_when_known, _efficiency_average, _traded_so_far]


def _slow_but_first(functions):
    return [functions[0], *(pytest.param(one, marks=pytest.mark.slow) for one in functions[1:])]


@pytest.mark.parametrize("compute", _slow_but_first(LEAKS), ids=lambda one: one.__name__)
def test_reported_leak_is_found(compute):
    assert Examination(Reported(compute)).result("no_look_ahead").status == "failed"


@pytest.mark.parametrize("compute", _slow_but_first(FAIR), ids=lambda one: one.__name__)
def test_reported_doubt_is_none(compute):
    assert Examination(Reported(compute)).result("no_look_ahead").status == "passed"


def test_lookback_of_a_rare_event_is_seen():
    """Where nothing happens, five bars seem to fix it: where something does, it takes ten."""
    short = Reported(_highest_of_eleven_when_known, lookback=5)
    enough = Reported(_highest_of_eleven_when_known, lookback=10)

    assert Examination(short).result("lookback").status == "failed"
    assert Examination(enough).result("lookback").status == "passed"


def test_measured_lookback_of_a_rare_event():
    detail = Examination(Reported(_highest_of_eleven_when_known)).result("lookback").detail

    assert "fixed by 10 earlier bars" in detail


def test_sum_since_the_start_has_no_lookback():
    assert "has no end" in Examination(Reported(_traded_so_far)).result("lookback").detail
