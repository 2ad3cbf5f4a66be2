"""Draw what the packs make of the same 300 simulated bars: docs/pictures/ta.svg and microstructure.svg.

    python examples/draw_packs.py [FOLDER]

Plain SVG, without a plotting library; each panel has its own scale, whose ends are written beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path

import polars as pl

import rangebar_enrich as rbe
from rangebar_enrich.demo import build_bars, simulate_trades
from rangebar_enrich.features import microstructure, ta

BARS = 300
WIDTH, HEIGHT, LEFT, GAP = 900, 110, 130, 18
COLOURS = ("#1f4e79", "#c55a11", "#548235")

PANELS = {
    "ta": (
        "close ta_ema_20 ta_hma_20",
        "close ta_bollinger_upper_20_2 ta_bollinger_lower_20_2",
        "ta_rsi_14 ta_stochastic_d_14_3",
        "ta_macd_12_26 ta_macd_signal_12_26_9",
        "ta_adx_14 ta_di_plus_14 ta_di_minus_14",
        "ta_aroon_up_25 ta_aroon_down_25",
        "ta_natr_14",
        "ta_mfi_14 ta_choppiness_14",
        "ta_hurst_32 ta_efficiency_10",
    ),
    "microstructure": (
        "close",
        "microstructure_imbalance_of_window_20 microstructure_imbalance_at_equal_price_50",
        "microstructure_vpin_50 microstructure_vpin_of_volume_160",
        "microstructure_intensity_zscore_50 microstructure_trade_size_zscore_50",
        "microstructure_volume_pace_change_10_50",
        "microstructure_kyle_lambda_50",
        "microstructure_parkinson_50 microstructure_yang_zhang_50",
        "microstructure_reversal_rate_50 microstructure_flow_reversal_rate_50",
        "microstructure_run_length",
    ),
}


def enriched_bars() -> pl.DataFrame:
    """Return the last 300 of some simulated bars, with the columns of both packs."""
    bars = build_bars(simulate_trades(30_000), symbol="SIM", threshold_decimal_bps=100)
    table = rbe.enrich_bars(bars, "SIM", 100, providers=[ta.Core(), microstructure.Core()])
    return pl.DataFrame(table).tail(BARS)


def draw(bars: pl.DataFrame, panels: Sequence[str]) -> str:
    """Return the panels one above the other, as SVG."""
    height = len(panels) * (HEIGHT + GAP) + GAP
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH} {height}" font-family="sans-serif" font-size="11">'
    body = [
        line
        for number, names in enumerate(panels)
        for line in _panel(bars, names.split(), GAP + number * (HEIGHT + GAP))
    ]
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *body, "</svg>\n"])


def _panel(bars: pl.DataFrame, names: Sequence[str], top: float) -> Iterator[str]:
    values = pl.concat([bars[name].cast(pl.Float64) for name in names]).drop_nulls()
    low, high = float(values.min() or 0.0), float(values.max() or 0.0)  # type: ignore[arg-type]
    yield f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#ddd"/>'
    for value, place in ((high, top + 10), (low, top + HEIGHT)):
        yield f'<text x="{LEFT - 6}" y="{place}" text-anchor="end" fill="#888">{value:.4g}</text>'
    for number, name in enumerate(names):
        colour, place = COLOURS[number], top - 4
        shown = name.removeprefix("microstructure_").removeprefix("ta_")
        yield f'<text x="{LEFT + 260 * number}" y="{place}" fill="{colour}">{escape(shown)}</text>'
        for points in _lines(bars[name].to_list(), low, (high - low) or 1.0, top):
            yield f'<polyline points="{points}" fill="none" stroke="{colour}"/>'


def _lines(values: Iterable[float | None], low: float, span: float, top: float) -> Iterator[str]:
    """Yield the points of each stretch that has values."""
    points: list[str] = []
    for row, value in enumerate([*values, None]):
        if value is not None:
            x = LEFT + row * WIDTH / BARS
            points.append(f"{x:.0f},{top + HEIGHT * (1 - (value - low) / span):.1f}")
        elif points:
            yield " ".join(points)
            points = []


def main(folder: Path) -> None:
    """Write a picture for each pack."""
    folder.mkdir(parents=True, exist_ok=True)
    bars = enriched_bars()
    for pack, panels in PANELS.items():
        (folder / f"{pack}.svg").write_text(draw(bars, panels), encoding="utf-8")


if __name__ == "__main__":
    default = Path(__file__).resolve().parents[1] / "docs" / "pictures"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
