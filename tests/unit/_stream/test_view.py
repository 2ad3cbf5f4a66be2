from __future__ import annotations

import polars as pl
import pytest

import rangebar_enrich as rbe
from rangebar_enrich._plan.planner import Planner
from rangebar_enrich._provider.declaration import declare_all
from rangebar_enrich._stream.view import View

close, volume = pl.col("close"), pl.col("volume")
LAYOUT = (("close", pl.Float64()), ("volume", pl.Float64()))


def _view(*providers):
    planner = Planner(declare_all(providers)[0])
    return View.of(planner.plan(LAYOUT, None, None), LAYOUT)


def test_only_recursive_providers_are_held(native, momentum):
    view = _view(momentum, native("sums", {"sums_a": volume.cum_sum()}))

    assert list(view.held) == ["sums"]
    assert view.reasons == {}


def test_a_state_goes_before_a_declared_lookback(native):
    view = _view(native("ema", {"ema_a": close.ewm_mean(span=5)}, lookback=100))

    assert list(view.held) == ["ema"]


def test_a_feature_of_a_held_feature_is_held(native):
    view = _view(
        native("ema", {"ema_a": close.ewm_mean(span=5)}),
        native("next", {"next_a": pl.col("ema_a").diff()}),
    )

    assert list(view.held) == ["ema", "next"]
    assert view.held["next"].inputs == ("close",)


@pytest.mark.parametrize(
    ("expr", "told"),
    [
        (
            close.ewm_std(span=3),
            r"'lost_a': `pl\.col\(\"close\"\)\.ewm_std\(.*`ewm_std` is not held",
        ),
        (close.map_batches(lambda x: x, return_dtype=pl.Float64), "Python function"),
        (volume.cum_sum().over("close"), "`over` is not held"),
        (pl.col("old_a").cum_sum(), "it reads columns of 'old', which is a legacy provider"),
    ],
    ids=["ewm_std", "function", "over", "legacy"],
)
def test_reasons(expr, told, native, legacy):
    import re

    old = legacy("old", ["old_a"], lambda view: view, lookback=3)
    view = _view(old, native("lost", {"lost_a": expr}))

    assert view.held == {}
    assert list(view.reasons) == ["lost"]
    assert re.search(told, view.reasons["lost"])


def test_a_declared_lookback_needs_no_reason(native, legacy):
    old = legacy("old", ["old_a"], lambda view: view, lookback=3)
    view = _view(old, native("std", {"std_a": close.ewm_std(span=3)}, lookback=50))

    assert (view.held, view.reasons) == ({}, {})


def test_enricher_says_so(native, legacy, momentum, bars):
    providers = [
        momentum,
        native("ema", {"ema_a": close.ewm_mean(span=5)}),
        native("std", {"std_a": close.ewm_std(span=5)}),
        legacy("old", ["old_a"], lambda view: view),
    ]
    enricher = rbe.Enricher(providers)

    text = enricher.explain(bars)

    assert enricher.not_continued(bars).keys() == {"std", "old"}
    assert "History: 20 earlier bar(s) fix the values of 'momentum'" in text
    assert "Held: 'ema' go on from the state of their recursions" in text
    assert "Whole series only: 'std': 'std_a': " in text
    assert "Whole series only: 'old': a legacy provider shows nothing that could be held" in text
    assert enricher.history_bars is None


def test_a_view_runs_what_bars_fix_and_reads_the_rest(native, momentum):
    view = _view(
        momentum,
        native("sums", {"sums_a": volume.cum_sum()}, min_bars=3),
        native(
            "echo", {"echo_a": pl.col("sums_a").map_batches(lambda x: x, pl.Float64)}, lookback=1
        ),
    )

    assert view.columns == (*momentum.columns, "echo_a")
    assert (view.carried, view.passed, view.rows) == (["close"], {"sums_a": 3}, 20)
    assert view.plan.inputs == {"close", "sums_a"}
    assert view.reads == {"close", "volume"}


def test_a_view_asks_no_provider_again(native, momentum):
    sums = native("sums", {"sums_a": volume.cum_sum()})

    _view(momentum, sums)

    assert len(sums.contexts) == 1
