from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest

from rangebar_enrich.demo.chart import write_chart

pytest.importorskip("plotly")


@pytest.fixture
def bars() -> pa.Table:
    close = 100.0 + np.arange(40) / 10
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    table = pa.table({"close_time": 1_704_672_000_000_000 + np.arange(40), **prices})
    values = {"trend_a": [None] * 7 + [1.5] * 33, "trend_b": [2.5] * 40, "bad_c": [None] * 40}
    for name, column in values.items():
        field = pa.field(name, pa.float64(), metadata={"provider": name.split("_")[0]})
        table = table.append_column(field, pa.array(column, pa.float64()))
    return table.append_column("mine", pa.array(close))


@pytest.fixture
def draw(bars, tmp_path, monkeypatch):
    """Return a function that draws, and gives the figure and the page."""
    from plotly.basedatatypes import BaseFigure

    figures = []
    to_html = BaseFigure.to_html

    def keep(self, **options):
        figures.append(self)
        return to_html(self, **options)

    monkeypatch.setattr(BaseFigure, "to_html", keep)

    def call(**options):
        path = write_chart(bars, tmp_path / "chart.html", title="SIM at 250 dbps", **options)
        return figures[-1], path.read_text(encoding="utf-8")

    return call


def test_write_chart_needs_no_network(draw):
    _, page = draw()
    assert "Plotly.newPlot" in page
    assert not re.search(r"<(script|link)[^>]+(src|href)=", page)


def test_write_chart_draws_bars_and_every_feature(draw):
    figure, _ = draw()
    assert [trace.type for trace in figure.data] == [
        "candlestick",
        "scatter",
        "scatter",
        "scatter",
    ]
    assert [trace.name for trace in figure.data[1:]] == ["trend_a", "trend_b", "bad_c"]
    assert figure.data[0].text[0] == "closed 2024-01-08 00:00:00 UTC"


def test_write_chart_shades_leading_nulls(draw):
    figure, _ = draw()
    shaded = [(shape.x0, shape.x1) for shape in figure.layout.shapes]
    notes = [
        note.text for note in figure.layout.annotations if note.text in {"warm-up", "no value"}
    ]
    assert shaded == [(-0.5, 6.5), (-0.5, 39.5)]
    assert notes == ["warm-up", "no value"]


def test_write_chart_says_what_it_leaves_out(draw):
    figure, _ = draw(most_bars=10)
    assert len(figure.data[0].close) == 10
    assert figure.layout.title.text == "SIM at 250 dbps · first 10 of 40 bars"
