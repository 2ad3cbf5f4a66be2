"""Workload B in pandas: Alpha158 in place, each formula written out as one usually does."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

WINDOWS = (5, 10, 20, 30, 60)
EPSILON = 1e-12


def enrich_alpha158(bars: pd.DataFrame) -> pd.DataFrame:
    """Add the 158 columns in place."""
    with warnings.catch_warnings():
        # NOTE: pandas warns that 158 columns added one by one are slow: it is the older pipeline's way.
        warnings.simplefilter("ignore")
        _add_bar_features(bars)
        for window in WINDOWS:
            _add_close_features(bars, window)
            _add_extremes(bars, window)
            _add_steps(bars, window)
            _add_volume_features(bars, window)
    return bars


def _add_bar_features(bars: pd.DataFrame) -> None:
    o, h, lo, c = (bars[name] for name in ("open", "high", "low", "close"))
    spread = h - lo + EPSILON
    top, bottom = np.maximum(o, c), np.minimum(o, c)
    bars["alpha158_kmid"] = (c - o) / o
    bars["alpha158_klen"] = (h - lo) / o
    bars["alpha158_kmid2"] = (c - o) / spread
    bars["alpha158_kup"] = (h - top) / o
    bars["alpha158_kup2"] = (h - top) / spread
    bars["alpha158_klow"] = (bottom - lo) / o
    bars["alpha158_klow2"] = (bottom - lo) / spread
    bars["alpha158_ksft"] = (2 * c - h - lo) / o
    bars["alpha158_ksft2"] = (2 * c - h - lo) / spread
    bars["alpha158_open0"] = o / c
    bars["alpha158_high0"] = h / c
    bars["alpha158_low0"] = lo / c
    bars["alpha158_vwap0"] = bars["vwap"] / c


def _add_close_features(bars: pd.DataFrame, w: int) -> None:
    c = bars["close"]
    rolling = c.rolling(w)
    # The line through the window, from rolling sums of price and of row number times price.
    row = np.arange(len(c), dtype=float)
    centred = c - c.iloc[0]
    total = centred.rolling(w).sum()
    weighted = (centred * row).rolling(w).sum() - (row - (w - 1) / 2) * total
    slope = weighted / ((w**3 - w) / 12)
    bars[f"alpha158_roc{w}"] = c.shift(w) / c
    bars[f"alpha158_ma{w}"] = rolling.mean() / c
    bars[f"alpha158_std{w}"] = rolling.std() / c
    bars[f"alpha158_beta{w}"] = slope / c
    bars[f"alpha158_rsqr{w}"] = slope**2 * ((w**2 + w) / 12) / rolling.var()
    bars[f"alpha158_resi{w}"] = (centred - total / w - slope * (w - 1) / 2) / c
    bars[f"alpha158_qtlu{w}"] = rolling.quantile(0.8) / c
    bars[f"alpha158_qtld{w}"] = rolling.quantile(0.2) / c
    bars[f"alpha158_rank{w}"] = rolling.rank(pct=True)


def _add_extremes(bars: pd.DataFrame, w: int) -> None:
    h, lo, c = bars["high"], bars["low"], bars["close"]
    highest, lowest = h.rolling(w).max(), lo.rolling(w).min()
    place_of_max = h.rolling(w).apply(np.argmax, raw=True) + 1
    place_of_min = lo.rolling(w).apply(np.argmin, raw=True) + 1
    bars[f"alpha158_max{w}"] = highest / c
    bars[f"alpha158_min{w}"] = lowest / c
    bars[f"alpha158_rsv{w}"] = (c - lowest) / (highest - lowest + EPSILON)
    bars[f"alpha158_imax{w}"] = place_of_max / w
    bars[f"alpha158_imin{w}"] = place_of_min / w
    bars[f"alpha158_imxd{w}"] = (place_of_max - place_of_min) / w


def _add_steps(bars: pd.DataFrame, w: int) -> None:
    c, v = bars["close"], bars["volume"]
    step = c.diff()
    up = (step > 0).astype(float).where(step.notna())
    down = (step < 0).astype(float).where(step.notna())
    bars[f"alpha158_cntp{w}"] = up.rolling(w).mean()
    bars[f"alpha158_cntn{w}"] = down.rolling(w).mean()
    bars[f"alpha158_cntd{w}"] = up.rolling(w).mean() - down.rolling(w).mean()
    for prefix, values in (("sum", c), ("vsum", v)):
        step = values.diff()
        travel = step.abs().rolling(w).sum() + EPSILON
        gains = step.clip(lower=0).rolling(w).sum()
        losses = (-step).clip(lower=0).rolling(w).sum()
        bars[f"alpha158_{prefix}p{w}"] = gains / travel
        bars[f"alpha158_{prefix}n{w}"] = losses / travel
        bars[f"alpha158_{prefix}d{w}"] = (gains - losses) / travel


def _add_volume_features(bars: pd.DataFrame, w: int) -> None:
    c, v = bars["close"], bars["volume"]
    change = c / c.shift(1)
    moved = (change - 1).abs() * v
    bars[f"alpha158_corr{w}"] = c.rolling(w).corr(np.log(v + 1))
    bars[f"alpha158_cord{w}"] = change.rolling(w).corr(np.log(v / v.shift(1) + 1))
    bars[f"alpha158_vma{w}"] = v.rolling(w).mean() / (v + EPSILON)
    bars[f"alpha158_vstd{w}"] = v.rolling(w).std() / (v + EPSILON)
    bars[f"alpha158_wvma{w}"] = moved.rolling(w).std() / (moved.rolling(w).mean() + EPSILON)


def scale_expressions() -> dict[str, tuple[str, ...]]:
    """Return the stems whose error grows with the level of their inputs, by kind."""
    return {
        "spread": ("kmid2", "kup2", "klow2", "ksft2", "rsv"),
        "correlation": ("rsqr", "corr", "cord"),
        "volume": ("vma", "vstd", "wvma", "vsump", "vsumn", "vsumd"),
        "travel": ("sump", "sumn", "sumd"),
    }
