from __future__ import annotations

import polars as pl
import pytest

import rangebar_enrich as rbe
from rangebar_enrich._plan.planner import Planner
from rangebar_enrich._provider.declaration import declare_all
from rangebar_enrich._stream.recursive import Held

close, volume = pl.col("close"), pl.col("volume")
LAYOUT = (("close", pl.Float64()), ("volume", pl.Float64()))


def _held(*providers):
    planner = Planner(declare_all(providers)[0])
    return Held.of(planner.plan(LAYOUT, None, None), LAYOUT)


def test_only_recursive_providers_are_held(native, momentum):
    held = _held(momentum, native("sums", {"sums_a": volume.cum_sum()}))

    assert list(held.continuations) == ["sums"]
    assert held.reasons == {}


def test_a_state_goes_before_a_declared_lookback(native):
    held = _held(native("ema", {"ema_a": close.ewm_mean(span=5)}, lookback=100))

    assert list(held.continuations) == ["ema"]


def test_a_feature_of_a_held_feature_is_held(native):
    held = _held(
        native("ema", {"ema_a": close.ewm_mean(span=5)}),
        native("next", {"next_a": pl.col("ema_a").diff()}),
    )

    assert list(held.continuations) == ["ema", "next"]
    assert held.continuations["next"].inputs == ("close",)


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
    held = _held(old, native("lost", {"lost_a": expr}))

    assert held.continuations == {}
    assert list(held.reasons) == ["lost"]
    assert re.search(told, held.reasons["lost"])


def test_a_declared_lookback_needs_no_reason(native, legacy):
    old = legacy("old", ["old_a"], lambda view: view, lookback=3)
    held = _held(old, native("std", {"std_a": close.ewm_std(span=3)}, lookback=50))

    assert (held.continuations, held.reasons) == ({}, {})


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
