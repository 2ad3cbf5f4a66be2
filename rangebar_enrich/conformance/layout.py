"""Which columns the bars of an examination have, and the author's own bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from rangebar_enrich._bars.columns import BUILDER_COLUMNS, SERIES_COLUMNS
from rangebar_enrich._bars.containers import read_bars
from rangebar_enrich._bars.continuity import Timeline
from rangebar_enrich._bars.series import split_series, time_column
from rangebar_enrich._provider.declaration import Declaration
from rangebar_enrich._trial.clocks import is_time
from rangebar_enrich._trial.columns import known_dtype
from rangebar_enrich._trial.samples import clocks_of
from rangebar_enrich.protocol import BarContext

DEFAULT_CONTEXT = BarContext("BTCUSDT", 250)


def layout_of(
    context: BarContext, given: pl.DataFrame | None, declaration: Declaration
) -> dict[str, pl.DataType]:
    """Return the columns that the provider is shown.

    Those of `context` if it names any, else the builder's and those of the given bars; and what
    the provider `requires` of others, as float64.
    """
    columns = dict(context.columns)
    if not columns:
        columns = {**BUILDER_COLUMNS, **(given.schema if given is not None else {})}
    for name in declaration.columns:
        columns.pop(name, None)
    required = {name: pl.Float64() for name in declaration.requires or () if name not in columns}
    return {**columns, **required}


def named_dtype(name: str) -> pl.DataType:
    """Return the dtype that the name of a column suggests: float64 where it says nothing."""
    known = known_dtype(name)
    if known is not None:
        return known
    integer = pl.Int64()
    return integer if is_time(name, {name: integer}) else pl.Float64()


def clocks_in(layout: Mapping[str, pl.DataType], given: pl.DataFrame | None) -> frozenset[str]:
    """Return the columns whose values increase strictly: by their names, or in the given bars."""
    clocks = clocks_of(layout)
    if given is not None:
        for name in layout:
            if name in given.columns and (layout[name].is_integer() or layout[name].is_temporal()):
                steps = given[name].cast(pl.Int64, strict=False).diff().drop_nulls()
                rises = given.height > 1 and bool((steps > 0).all())
                clocks = clocks | {name} if rises else clocks - {name}
    return clocks


def read_given(bars: Any) -> tuple[pl.DataFrame, BarContext]:
    """Return the longest series of the author's bars, and its symbol and threshold.

    Rows that share their time with the row before are left out: the engine refuses windows over
    time there.

    Raises:
        BarsError: The bars break a rule.
        UnsupportedBarsError: The object holds no bars.
    """
    table = read_bars(bars)
    split = split_series(table)
    if table.height:
        Timeline(table, split)  # refuses bars out of time order
    frame = split.sort(table.to_polars(list(table.columns)))
    which = int(split.lengths.argmax())
    key = split.keys[which]
    frame = frame.slice(int(split.starts[which]), int(split.lengths[which]))
    time = time_column(table.columns)
    if time is not None:
        frame = frame.filter(pl.col(time).diff().cast(pl.Int64).fill_null(1) > 0)
    # NOTE: a series has one value in each of these; they come back as constants.
    kept = [name for name in frame.columns if name not in SERIES_COLUMNS]
    fixed = [name for name in SERIES_COLUMNS if name in frame.columns]
    return frame.select(kept + fixed), BarContext(key.symbol, key.threshold_decimal_bps)
