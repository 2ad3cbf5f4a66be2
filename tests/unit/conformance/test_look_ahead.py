"""No leak passes, and nothing causal is refused."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from corpus import brute
from corpus.expressions import CAUSAL, FOREIGN_CAUSAL, FOREIGN_LEAKING, LEAKING

from rangebar_enrich._provider.declaration import declare
from rangebar_enrich.conformance.examination import Examination
from rangebar_enrich.conformance.look_ahead import search
from rangebar_enrich.conformance.subject import Subject
from rangebar_enrich.protocol import BarContext

CONTEXT = BarContext("BTCUSDT", 250, dict(brute.tables()[0].schema))
SEVERAL_OUTPUTS = {"selector"}  # the engine refuses an expression that may give several columns
close, volume = pl.col("close"), pl.col("volume")


class Several:
    """A provider of many expressions: `several_0`, `several_1`, …"""

    name = "several"
    version = "1"

    def __init__(self, exprs, min_bars=0):
        self.exprs = list(exprs)
        self.min_bars = min_bars
        self.columns = tuple(f"several_{i}" for i in range(len(self.exprs)))

    def expressions(self, _context):
        return dict(zip(self.columns, self.exprs, strict=True))


class OlderWay:
    """A legacy provider of one column, computed by a function of the frame."""

    name = "older"
    version = "1"
    columns = ("older_x",)

    def __init__(self, compute, min_bars=0):
        self.compute, self.min_bars = compute, min_bars

    def enrich(self, bars, _symbol, _threshold):
        bars["older_x"] = self.compute(bars)
        return bars


def slow_but(few, params):
    """Run every so-many-th in `make test`, all of them in `make test-all`."""
    marks = [() if place % few == 0 else pytest.mark.slow for place in range(len(params))]
    return [pytest.param(one, marks=mark) for one, mark in zip(params, marks, strict=True)]


def tens(exprs):
    names = [name for name in exprs if name not in SEVERAL_OUTPUTS]
    return slow_but(3, [names[start : start + 10] for start in range(0, len(names), 10)])


def leaks(provider, context=CONTEXT, seed=0):
    subject = Subject(declare(provider), context, None, seed)
    assert subject.columns == provider.columns
    return search(subject)


@pytest.mark.parametrize("names", tens({**LEAKING, **FOREIGN_LEAKING}), ids="-".join)
def test_no_leak_of_the_corpus_passes(names):
    corpus = {**LEAKING, **FOREIGN_LEAKING}

    found = leaks(Several(corpus[name] for name in names)).leaks

    missed = [name for i, name in enumerate(names) if f"several_{i}" not in found]
    assert missed == []


@pytest.mark.parametrize("names", tens({**CAUSAL, **FOREIGN_CAUSAL}), ids="-".join)
def test_nothing_causal_of_the_corpus_is_flagged(names):
    corpus = {**CAUSAL, **FOREIGN_CAUSAL}

    found = leaks(Several(corpus[name] for name in names))

    assert {names[int(column.split("_")[1])] for column in found.leaks} == set()
    assert not found.refused
    assert all(found.compared.values())


def batches(function):
    return close.map_batches(function, return_dtype=pl.Float64)


def _normalised(series):
    return (series - series.mean()) / series.std()


def _gradient(series):
    return pl.Series(np.gradient(series.to_numpy()) if len(series) > 1 else np.zeros(len(series)))


def _bucketed(series):
    return series.to_frame("x").select(pl.col("x").last().over(pl.int_range(pl.len()) // 37))["x"]


def _far(series):
    return series.shift(-700, fill_value=0.0)


def _tiny(series):
    return series + 1e-6 * series.shift(-1, fill_value=0.0)


def _rarely(series):
    later = series.shift(-1)
    return pl.select(pl.when(later > 1.5 * series).then(1.0).otherwise(0.0)).to_series()


def _long_window(series):
    return series.rolling_mean(1500).shift(-1)


def _smoothed(series):
    kernel = np.ones(5) / 5
    values = series.fill_null(0.0).to_numpy()
    return pl.Series(np.convolve(values, kernel, mode="same")[: len(values)])


@pytest.mark.parametrize(
    "function",
    [_normalised, _gradient, _bucketed, _far, _tiny, _rarely, _long_window, _smoothed],
    ids=lambda function: function.__name__,
)
@pytest.mark.parametrize("seed", slow_but(3, range(3)))
def test_python_functions_that_peek_are_found(function, seed):
    assert leaks(Several([batches(function)]), seed=seed).leaks


def _fft(series):
    values = series.fill_null(0.0).fill_nan(0.0).to_numpy()
    size = 2 * len(values) + 8  # longer than values and kernel: nothing wraps around
    kernel = np.zeros(size)
    kernel[:5] = 0.2
    made = np.fft.irfft(np.fft.rfft(values, size) * np.fft.rfft(kernel), size)
    return pl.Series(made[: len(values)])


def _loop(series):
    made, state = [], 0.0
    for value in series:
        state = state if value is None else 0.9 * state + 0.1 * value
        made.append(state)
    return pl.Series(made, dtype=pl.Float64)


def _trailing(series):
    values = series.to_numpy()
    if len(values) < 20:
        return pl.Series([None] * len(values), dtype=pl.Float64)
    windows = np.lib.stride_tricks.sliding_window_view(values, 20).mean(axis=1)
    return pl.Series([None] * 19 + windows.tolist(), dtype=pl.Float64)


@pytest.mark.parametrize("function", [_fft, _loop, _trailing], ids=lambda one: one.__name__)
@pytest.mark.parametrize("seed", slow_but(3, range(3)))
def test_python_functions_that_look_back_are_not_flagged(function, seed):
    found = leaks(Several([batches(function)]), seed=seed)

    assert not found.leaks
    assert not found.refused


def _zscore(bars):
    return (bars["Close"] - bars["Close"].mean()) / bars["Close"].std()


def _next(bars):
    return bars["close"].shift(-1)


def _centred(bars):
    return bars["close"].rolling(7, center=True, min_periods=1).mean()


def _filled(bars):
    return bars["close"].rolling(20).mean().bfill()


def _daily(bars):
    return bars.groupby(bars.index.date)["close"].transform("last")


def _ranked(bars):
    return bars["volume"].rank(pct=True)


def _resampled(bars):
    return bars["close"].resample("1h").last().reindex(bars.index, method="bfill")


@pytest.mark.parametrize(
    "compute",
    slow_but(3, [_zscore, _next, _centred, _filled, _daily, _ranked, _resampled]),
    ids=lambda compute: compute.__name__,
)
def test_legacy_providers_that_peek_are_found(compute):
    assert leaks(OlderWay(compute, min_bars=20), BarContext()).leaks


def _hourly(bars):
    return bars["close"].rolling("1h").mean()


def _expanding(bars):
    return bars["close"] / bars["close"].expanding().max()


def _patient(bars):
    made = bars["close"].ewm(span=10).mean()
    return made if len(bars) >= 30 else made * np.nan


@pytest.mark.parametrize("compute", [_hourly, _expanding, _patient], ids=lambda one: one.__name__)
def test_legacy_providers_that_look_back_are_not_flagged(compute):
    found = leaks(OlderWay(compute, min_bars=30), BarContext())

    assert not found.leaks
    assert not found.refused


class Remembering:
    """Answers for the part from the whole that it saw before, for a series that it knows."""

    name = "memory"
    version = "1"
    columns = ("memory_x",)
    min_bars = 0
    known: dict = {}  # noqa: RUF012 - shared by all copies: that is the trap

    def enrich(self, bars, _symbol, _threshold):
        key = float(bars["close"].iloc[0])
        values = self.known.get(key)
        if values is None or len(values) < len(bars):
            values = self.known[key] = bars["close"].to_numpy() - bars["close"].mean()
        bars["memory_x"] = values[: len(bars)]
        return bars


def test_provider_that_remembers_the_whole_is_found():
    Remembering.known.clear()

    assert Examination(Remembering()).result("no_look_ahead").status == "failed"


def test_leak_in_the_warm_up_is_not_hidden():
    provider = Several([batches(lambda s: s.rolling_mean(20).backward_fill())], min_bars=20)

    assert leaks(provider).leaks


def test_raising_on_parts_is_not_a_way_out():
    def only_even(series):
        if len(series) % 2:
            msg = "odd"
            raise ValueError(msg)
        return series.shift(-1).fill_null(0.0) * 0.0 + series

    result = Examination(Several([batches(only_even)])).result("no_look_ahead")

    assert result.status == "failed"
    assert "alone raise ValueError: odd" in result.detail


def test_column_that_raises_hides_no_other():
    def brittle(series):
        if series.null_count() or len(series) < 40:
            msg = "holes"
            raise ValueError(msg)
        return series

    found = leaks(Several([batches(brittle), close.backward_fill(), close.forward_fill()]))

    assert set(found.leaks) == {"several_1"}


def test_column_without_values_is_not_passed():
    result = Examination(Several([batches(lambda s: s * None)])).result("no_look_ahead")

    assert result.status == "skipped"


@pytest.mark.parametrize(
    ("expr", "far"), [(close.shift(-1), 1), (close.shift(-3), 3), (close.reverse(), None)]
)
def test_detail_says_how_far_ahead(expr, far):
    detail = Examination(Several([expr])).result("no_look_ahead").detail

    expected = f"looks ahead: {far} bar" if far else "perhaps every later one"
    assert expected in detail.splitlines()[0]


def test_detail_shows_the_smallest_frame():
    detail = Examination(Several([close.shift(-2)])).result("no_look_ahead").detail

    lines = detail.splitlines()
    assert "Smallest frame, 3 bars: row 0 is null with the first 2" in lines[2]
    assert lines[3].split() == ["row", "close", "with", "2", "with", "3"]
    assert lines[4].endswith("<")
    assert len(lines) == 7


def test_leak_farther_than_every_length_is_tried_is_shown():
    provider = Several([batches(_far)])

    detail = Examination(provider).result("no_look_ahead").detail

    assert "Smallest frame, 701 bars" in detail


def test_each_leaking_column_is_named():
    exprs = [close.shift(-1 - i) for i in range(5)] + [close.shift(1)]

    detail = Examination(Several(exprs)).result("no_look_ahead").detail

    assert [f"'several_{i}' looks ahead" in detail for i in range(6)] == [True] * 5 + [False]
