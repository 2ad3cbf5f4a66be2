"""A legacy provider called as the engine calls it, and as the older loader does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from rangebar_enrich._bars.columns import TIME_UNITS, TIMESTAMP
from rangebar_enrich._provider.pandas_view import LegacyBars
from rangebar_enrich.protocol import BarContext

if TYPE_CHECKING:
    import pandas as pd


def legacy_bars(bars: pl.DataFrame) -> LegacyBars:
    """Return one series as a legacy provider is shown it."""
    names = [*list(TIME_UNITS)[:2], TIMESTAMP, *list(TIME_UNITS)[2:]]
    name = next((one for one in names if one in bars.columns), None)
    if name is None:
        return LegacyBars(bars)
    dtype = bars.schema[name]
    unit = dtype.time_unit if isinstance(dtype, pl.Datetime) else TIME_UNITS[name]
    return LegacyBars(bars, bars[name].cast(pl.Int64).to_numpy(), unit)


def call(provider: Any, frame: pd.DataFrame, context: BarContext) -> Any:
    """Call `enrich` as the older loader does, and return the frame to go on with."""
    made = provider.enrich(frame, context.symbol or "", context.threshold_decimal_bps or 0)
    return frame if made is None else made
