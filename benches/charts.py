"""A run as one HTML file that needs nothing else: charts of time, ratios, memory and stages."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benches.contest import OURS, size_name
from benches.table import as_text

_LAYOUT = {
    "template": "plotly_white",
    "height": 460,
    "margin": {"l": 70, "r": 20, "t": 60, "b": 60},
}


def save(run: Mapping[str, Any], path: Path) -> None:
    """Write the report of a run."""
    import plotly.graph_objects as go

    figures = [
        figure
        for make in (_time_against_bars, _ratios, _memory, _stages)
        for figure in make(run, go)
    ]
    bodies = [
        figure.to_html(full_html=False, include_plotlyjs="inline" if index == 0 else False)
        for index, figure in enumerate(figures)
    ]
    text = html.escape(as_text(run))
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>rangebar-enrich benchmarks'
        "</title><body style='font-family: sans-serif; max-width: 1100px; margin: auto'>"
        f"<h1>Benchmarks</h1>{''.join(bodies)}<pre style='font-size: 12px'>{text}</pre></body></html>"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _time_against_bars(run: Mapping[str, Any], go: Any) -> list[Any]:
    cases = [case for case in run["cases"] if case["workload"] == "A"]
    if not cases:
        return []
    figure = go.Figure()
    for name in cases[0]["contenders"]:
        found = [case for case in cases if name in case["contenders"]]
        spreads = [case["contenders"][name]["seconds"] for case in found]
        medians = [spread["median"] * 1e3 for spread in spreads]
        figure.add_scatter(
            x=[case["rows"] for case in found],
            y=medians,
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [s["high"] * 1e3 - m for s, m in zip(spreads, medians, strict=True)],
                "arrayminus": [m - s["low"] * 1e3 for s, m in zip(spreads, medians, strict=True)],
            },
            name=name,
            mode="lines+markers",
            line={"width": 4 if name == OURS else 1.5},
        )
    figure.update_xaxes(type="log", title="bars")
    figure.update_yaxes(type="log", title="milliseconds, median and quartiles")
    figure.update_layout(title="A: 30 features, time against bars", **_LAYOUT)
    return [figure]


def _ratios(run: Mapping[str, Any], go: Any) -> list[Any]:
    labels, values, low, high = [], [], [], []
    for case in run["cases"]:
        for name, spread in case["ratios"].items():
            top, bottom = name.split(" ÷ ")
            if top == OURS and bottom != "copy floor":
                labels.append(f"{case['workload']} {size_name(case['rows'])} ÷ {bottom}")
                values.append(spread["median"])
                low.append(spread["median"] - spread["low"])
                high.append(spread["high"] - spread["median"])
    if not labels:
        return []
    figure = go.Figure(
        go.Bar(
            x=values,
            y=labels,
            orientation="h",
            error_x={"type": "data", "symmetric": False, "array": high, "arrayminus": low},
            marker_color=["seagreen" if value <= 1 else "indianred" for value in values],
        )
    )
    figure.add_vline(x=1.0, line_dash="dot")
    figure.update_xaxes(type="log", title="ours ÷ it, below 1 is faster")
    figure.update_yaxes(autorange="reversed")
    layout = _LAYOUT | {"height": 160 + 22 * len(labels)}
    figure.update_layout(title="Ratios within rounds, median and quartiles", **layout)
    return [figure]


def _memory(run: Mapping[str, Any], go: Any) -> list[Any]:
    if not run["memory"]:
        return []
    figure = go.Figure()
    for key, entry in run["memory"].items():
        names = list(entry["contenders"])
        figure.add_bar(
            x=[[f"{key} {size_name(entry['rows'])}"] * len(names), names],
            y=[entry["contenders"][name]["peak_mb"] for name in names],
            name=key,
        )
    figure.update_yaxes(title="peak MB, a process each")
    figure.update_layout(title="Peak memory", showlegend=False, **_LAYOUT)
    return [figure]


def _stages(run: Mapping[str, Any], go: Any) -> list[Any]:
    cases = [case for case in run["cases"] if case["stages"]]
    if not cases:
        return []
    names = list(dict.fromkeys(stage for case in cases for stage in case["stages"]))
    labels = [f"{case['workload']} {size_name(case['rows'])}" for case in cases]
    figure = go.Figure()
    for stage in names:
        shares = [case["stages"].get(stage, 0) / sum(case["stages"].values()) for case in cases]
        figure.add_bar(x=labels, y=shares, name=stage)
    figure.update_yaxes(tickformat=".0%", title="share of one run of ours")
    figure.update_layout(title="Where the time goes", barmode="stack", **_LAYOUT)
    return [figure]
