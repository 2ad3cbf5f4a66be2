"""Draw enriched bars as one HTML file that needs no network: bars above, features below."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

_MOST_BARS = 1_000
_BARS_HEIGHT, _FEATURE_HEIGHT = 380, 110  # pixels
_PALETTE = ("#1f6f8b", "#b5651d", "#5b7f3a", "#7a4f9a", "#9a3b4f", "#4a5a6a")
_UP, _DOWN = "#3a8f6a", "#c0504d"
_WARM_UP_SHADE = "#8a8f98"


class _Feature(NamedTuple):
    """One panel: a feature column, its provider, and its leading rows without a value."""

    column: str
    provider: str
    warm_up: int
    has_values: bool


def write_chart(bars: pa.Table, path: Path, *, title: str, most_bars: int = _MOST_BARS) -> Path:
    """Write a chart of the first `most_bars` bars and of every feature, and return its path.

    The x axis counts bars, since range bars are irregular in time; the time is shown on hover.
    Leading nulls of a feature are shaded as its warm-up.

    Args:
        bars: An enriched table of one series: OHLC, and feature columns known by the Arrow field
            metadata `provider` that the engine writes.
        path: Where to write; overwritten.
        title: Heading of the page.
        most_bars: More bars than a screen has pixels make a slow page, not a better one.
    """
    from plotly.subplots import make_subplots

    shown = bars.slice(0, most_bars)
    features = _features(shown)
    heights = [_BARS_HEIGHT, *[_FEATURE_HEIGHT] * len(features)]
    figure = make_subplots(
        rows=len(heights),
        shared_xaxes=True,
        vertical_spacing=18 / sum(heights),
        row_heights=heights,
        subplot_titles=[" ", *[feature.column for feature in features]],
    )
    for heading in figure.layout.annotations:
        heading.update(x=0, xanchor="left", font={"size": 11})
    _add_bars(figure, shown)
    owners = list(dict.fromkeys(feature.provider for feature in features))
    for row, feature in enumerate(features, start=2):
        color = _PALETTE[owners.index(feature.provider) % len(_PALETTE)]
        _add_feature(figure, shown, feature, row=row, color=color)
    _lay_out(figure, f"{title} · {_extent(bars, shown)}", heights)
    path.write_text(figure.to_html(include_plotlyjs=True), encoding="utf-8")
    return path


def _features(bars: pa.Table) -> list[_Feature]:
    found = []
    for field in bars.schema:
        provider = (field.metadata or {}).get(b"provider")
        if provider is None:
            continue
        first = pc.index(pc.is_valid(bars.column(field.name)), value=True).as_py()
        warm_up = bars.num_rows if first < 0 else first
        found.append(_Feature(field.name, provider.decode(), warm_up, has_values=first >= 0))
    return found


def _add_bars(figure: Any, bars: pa.Table) -> None:
    from plotly import graph_objects as go

    prices = {name: bars.column(name).to_numpy() for name in ("open", "high", "low", "close")}
    figure.add_trace(
        go.Candlestick(
            x=list(range(bars.num_rows)),
            text=_times(bars),
            increasing_line_color=_UP,
            decreasing_line_color=_DOWN,
            line_width=1,
            showlegend=False,
            name="bar",
            **prices,
        ),
        row=1,
        col=1,
    )


def _add_feature(figure: Any, bars: pa.Table, feature: _Feature, *, row: int, color: str) -> None:
    from plotly import graph_objects as go

    figure.add_trace(
        go.Scatter(
            x=list(range(bars.num_rows)),
            y=bars.column(feature.column).to_numpy(),
            mode="lines",
            line={"color": color, "width": 1},
            connectgaps=False,
            showlegend=False,
            name=feature.column,
        ),
        row=row,
        col=1,
    )
    if feature.warm_up:
        figure.add_vrect(
            x0=-0.5,
            x1=feature.warm_up - 0.5,
            fillcolor=_WARM_UP_SHADE if feature.has_values else _DOWN,
            opacity=0.25,
            line_width=0,
            annotation_text="warm-up" if feature.has_values else "no value",
            annotation_font_size=9,
            annotation_position="top left",
            row=row,
            col=1,
        )


def _times(bars: pa.Table) -> list[str]:
    """Return each bar's close time as text, or nothing where the table has none."""
    for name, unit in (("close_time", "us"), ("close_time_ms", "ms")):
        if name in bars.column_names:
            times = bars.column(name).cast(pa.timestamp(unit))
            return [f"closed {time:%Y-%m-%d %H:%M:%S} UTC" for time in times.to_pylist()]
    return []


def _extent(bars: pa.Table, shown: pa.Table) -> str:
    if shown.num_rows == bars.num_rows:
        return f"{bars.num_rows:,} bars"
    return f"first {shown.num_rows:,} of {bars.num_rows:,} bars"


def _lay_out(figure: Any, title: str, heights: list[int]) -> None:
    figure.update_layout(
        title={"text": title, "x": 0.01, "font": {"size": 16}},
        height=sum(heights) + 120,
        template="plotly_white",
        hovermode="x unified",
        margin={"l": 70, "r": 20, "t": 60, "b": 50},
        xaxis_rangeslider_visible=False,
    )
    figure.update_xaxes(title_text="bar", row=len(heights), col=1)
