from __future__ import annotations

import logging

import polars as pl
import pytest

import rangebar_enrich as rbe
from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich._plan.planner import Planner
from rangebar_enrich._provider.declaration import declare_all
from rangebar_enrich._run.events import Reporter, outcomes_of, warn_of
from rangebar_enrich._run.settings import Settings
from rangebar_enrich._run.workspace import SeriesRun
from rangebar_enrich.errors import RunError, ShortHistoryError

A, B = SeriesKey("A", 50), SeriesKey("B", 50)


@pytest.fixture
def settings(native):
    close = pl.col("close")
    given = [
        native("one", {"one_a": close}),
        native("two", {"two_a": close}),
        native("two", {"two_b": close}, version="2"),
    ]
    return Settings(Planner((declared := declare_all(given))[0]), declared[1])


def _runs(settings, *failures):
    """Return one run for each series, with the failures given for each."""
    plan = settings.planner.plan((("close", pl.Float64()),), None, None)
    runs = [SeriesRun(key, plan, 6) for key in (A, B)[: len(failures)]]
    for run, errors in zip(runs, failures, strict=True):
        run.failures.update(errors)
    return runs


def _failed(name="two", text="it broke"):
    return {name: RunError.of(name, text)}


def test_outcomes_stand_in_output_order_those_left_out_last(settings):
    outcomes = outcomes_of(settings, _runs(settings, {}))

    assert [(one.provider, one.status) for one in outcomes] == [
        ("one", "ok"),
        ("two", "ok"),
        ("two", "left_out"),
    ]
    assert outcomes[2].columns == ()


@pytest.mark.parametrize(
    ("failures", "status", "error", "series"),
    [
        ([_failed()], "failed", "it broke", ()),
        ([_failed(), _failed()], "failed", "in 2 of 2 series, the first A@50: it broke", ()),
        ([{}, _failed()], "partial", "in 1 of 2 series, the first B@50: it broke", (B,)),
        ([{"two": ShortHistoryError.of("two", "short")}], "short_history", "short", ()),
    ],
    ids=["failed", "failed in all", "partial", "short"],
)
def test_outcome_of_failures(settings, failures, status, error, series):
    outcome = outcomes_of(settings, _runs(settings, *failures))[1]

    assert (outcome.status, outcome.error, outcome.failed_series) == (status, error, series)


def test_failure_is_logged_once_and_a_rejection_not_again(settings, caplog):
    outcomes = outcomes_of(settings, _runs(settings, _failed()))

    with caplog.at_level(logging.ERROR):
        Reporter(settings).log(outcomes)

    assert [one.getMessage() for one in caplog.records] == ["provider 'two' 1.0.0 failed: it broke"]


def test_news_are_logged_and_what_was_told_is_not(settings, caplog):
    reporter, told = Reporter(settings), {}

    for failures in ({}, _failed(), _failed(), _failed(text="worse"), {}, _failed()):
        reporter.log_news(outcomes_of(settings, _runs(settings, failures)), told)

    logged = [one.getMessage() for one in caplog.records if "'two' 1.0.0" in one.getMessage()]
    assert [text.split()[-1] for text in logged] == ["broke", "worse", "broke"]


def test_hooks_hear_of_each_failure_and_then_of_the_run(settings, events):
    runs = _runs(settings, _failed(), {})

    Reporter(settings).announce((A, B), runs, outcomes_of(settings, runs), 12)

    names = [one.event.name for one in events]
    assert names == ["PLUGIN_ENRICH_FAILED", "PLUGIN_ENRICH_FAILED", "PLUGIN_ENRICH_COMPLETE"]
    assert [one.symbol for one in events] == ["A", "", ""]
    assert dict(events[-1].details) == {
        "threshold_decimal_bps": 50,
        "provider_count": 3,
        "failed_count": 2,
        "bar_count": 12,
    }
    assert len({one.trace_id for one in events}) == 1


def test_one_warning_for_all_failures():
    with pytest.warns(rbe.ProviderWarning, match=r"2 provider\(s\).*: 'a', 'b'; see the log"):
        warn_of(["b", "a"], stacklevel=1)
