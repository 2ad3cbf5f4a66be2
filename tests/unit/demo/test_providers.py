from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from rangebar_enrich import Enricher
from rangebar_enrich.demo import build_bars, simulate_trades
from rangebar_enrich.demo import providers as demo
from rangebar_enrich.demo.providers import FlowProvider, SpanProvider, TrendProvider

pytest.importorskip("rangebar")


@pytest.fixture(scope="module")
def bars() -> pa.Table:
    return build_bars(simulate_trades(40_000, seed=9), symbol="SIM", threshold_decimal_bps=150)


def values(bars, provider):
    result = Enricher([provider]).run(bars)
    assert [outcome.status for outcome in result.outcomes] == ["ok"]
    return {name: result.table.column(name) for name in provider.columns}


@pytest.mark.parametrize("provider", [TrendProvider(), FlowProvider(), SpanProvider()])
def test_demo_providers_are_null_in_the_warm_up_only(bars, provider):
    rows = provider.min_bars
    for name, column in values(bars, provider).items():
        assert column.null_count == (rows if isinstance(rows, int) else rows[name])


def test_trend_provider_follows_its_formulas(bars):
    close = bars.column("close").to_numpy()
    last, window = close[-1], close[-20:]
    actual = [column[-1].as_py() for column in values(bars, TrendProvider()).values()]
    path = np.abs(np.diff(close[-21:])).sum()
    expected = [
        last / close[-21] - 1,
        (last - window.mean()) / window.std(ddof=1),
        abs(last - close[-21]) / path,
    ]
    assert actual == pytest.approx(expected)


def test_flow_provider_follows_its_formulas(bars):
    bought, sold = (
        bars.column(f"{side}_volume").to_numpy()[-10:].sum() for side in ("buy", "sell")
    )
    seconds = bars.column("duration_us").to_numpy()[-50:] / 1e6 + 1e-3
    actual = [column[-1].as_py() for column in values(bars, FlowProvider()).values()]
    expected = [(bought - sold) / (bought + sold), np.log(seconds[-1] / seconds.mean())]
    assert actual == pytest.approx(expected)


def test_span_provider_follows_its_formulas(bars):
    high, low, close = (bars.column(name).to_numpy()[-14:] for name in ("high", "low", "close"))
    actual = [column[-1].as_py() for column in values(bars, SpanProvider()).values()]
    expected = [
        (high - low).mean() / close[-1],
        (close[-1] - low.min()) / (high.max() - low.min()),
    ]
    assert actual == pytest.approx(expected)


def test_demo_providers_are_two_native_and_one_legacy(monkeypatch):
    monkeypatch.setattr(demo, "entry_points", lambda **_: ())
    kinds = [type(provider) for provider in demo.demo_providers()]
    assert kinds == [TrendProvider, FlowProvider, SpanProvider]


def test_demo_providers_prefer_the_installed_plugin():
    pytest.importorskip("atr_adaptive_laguerre")
    assert [provider.name for provider in demo.demo_providers()] == ["trend", "flow", "laguerre"]
