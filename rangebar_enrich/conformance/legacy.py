"""A legacy provider called as the older loader calls it: on a frame that it may write to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from rangebar_enrich._bars.columns import OHLCV, TIME_UNITS, TIMESTAMP
from rangebar_enrich._provider.declaration import ISOLATED, Declaration, cause
from rangebar_enrich.conformance.form import Form
from rangebar_enrich.protocol import BarContext

if TYPE_CHECKING:
    import pandas as pd


def pandas_bars(bars: pl.DataFrame) -> pd.DataFrame:
    """Return a private, writable frame: both spellings of OHLCV, index of UTC close times."""
    import pandas as pd

    columns: dict[str, Any] = {
        name.capitalize(): bars[name].to_numpy(writable=True)
        for name in OHLCV
        if name in bars.columns
    }
    for name in bars.columns:
        series = bars[name]
        plain = series.dtype.is_numeric() and not series.dtype.is_decimal()
        columns[name] = series.to_numpy(writable=True) if plain else series.to_pandas().array
    return pd.DataFrame(columns, index=_index(bars), copy=True)


def _index(bars: pl.DataFrame) -> Any:
    import pandas as pd

    times, unit = close_times(bars)
    if times is None:
        return pd.RangeIndex(bars.height)
    return pd.DatetimeIndex(times.astype(f"datetime64[{unit}]"), tz="UTC", name=TIMESTAMP)


def close_times(bars: pl.DataFrame) -> tuple[Any, str]:
    """Return the times that order bars and their unit; `None` where there is no time."""
    names = [*list(TIME_UNITS)[:2], TIMESTAMP, *list(TIME_UNITS)[2:]]
    name = next((one for one in names if one in bars.columns), None)
    if name is None:
        return None, "us"
    dtype = bars.schema[name]
    unit = dtype.time_unit if isinstance(dtype, pl.Datetime) else TIME_UNITS[name]
    return bars[name].cast(pl.Int64).to_numpy(), unit


def call(provider: Any, frame: pd.DataFrame, context: BarContext) -> Any:
    """Call `enrich` and return what it returned."""
    return provider.enrich(frame, context.symbol or "", context.threshold_decimal_bps or 0)


def try_enrich(
    declaration: Declaration, provider: Any, context: BarContext, probe: pl.DataFrame
) -> Form:
    """Call `enrich` on ordinary bars and judge what it did to them."""
    import pandas as pd

    faults = Form()
    frame = pandas_bars(probe)
    original = frame.copy(deep=True)
    try:
        result = call(provider, frame, context)
    except ISOLATED as error:
        faults.add("columns", f"enrich() raised {cause(error)} on {probe.height} ordinary bars")
        return faults
    if result is None:
        result = frame
    if not isinstance(result, pd.DataFrame):
        faults.add("columns", f"enrich() returned {type(result).__name__}, expected the DataFrame")
        return faults
    _judge_rows(original, result, faults)
    if not faults:
        _judge_existing(original, result, faults)
    _judge_columns(declaration, original, result, faults)
    return faults


def _judge_rows(original: pd.DataFrame, result: pd.DataFrame, faults: Form) -> None:
    if len(result) != len(original):
        text = f"{len(result)} rows came back for {len(original)}; rows were added or dropped"
        faults.add("row_preserving", text)
    elif not result.index.equals(original.index):
        faults.add("row_preserving", "the index changed; rows were reordered or relabelled")


def _judge_existing(original: pd.DataFrame, result: pd.DataFrame, faults: Form) -> None:
    for name in original.columns:
        if name not in result.columns:
            faults.add("existing_columns_read_only", f"'{name}': deleted")
        elif not original[name].equals(result[name]):
            faults.add("existing_columns_read_only", f"'{name}': changed")


def _judge_columns(
    declaration: Declaration, original: pd.DataFrame, result: pd.DataFrame, faults: Form
) -> None:
    names = [str(name) for name in result.columns]
    for name in sorted({name for name in names if names.count(name) > 1}):
        faults.add("columns", f"'{name}': occurs {names.count(name)} times")
    for name in sorted(set(names) - set(declaration.columns) - set(original.columns)):
        faults.add("columns", f"'{name}': added, but not declared")
    for name in declaration.columns:
        if name not in names:
            faults.add("columns", f"'{name}': declared, but not added")
        elif names.count(name) == 1 and not _is_number(result[name].dtype):
            text = f"'{name}': has dtype {result[name].dtype}, expected a number or boolean"
            faults.add("dtypes", text)


def _is_number(dtype: Any) -> bool:
    import pandas as pd

    types = pd.api.types
    return types.is_bool_dtype(dtype) or (
        types.is_numeric_dtype(dtype) and not types.is_complex_dtype(dtype)
    )


def values_of(columns: Mapping[str, pl.Series]) -> Any:
    """Return the columns of a shim run as rows by columns, NaN where undefined."""
    return np.column_stack([series.to_numpy() for series in columns.values()])
