"""Which columns of a table are clocks: their values increase with the rows."""

from __future__ import annotations

import re
from collections.abc import Mapping

import polars as pl

_TIME_NAME = re.compile(
    r"(first|last)_(agg_)?trade_id|(.*_)?(time|timestamp|datetime|ts)(_(ns|us|ms|s))?|t|dt|date"
    r"|(row|bar)_?(nr|number|index|id)|index|idx",
    re.IGNORECASE,
)


def is_time(name: str, schema: Mapping[str, pl.DataType]) -> bool:
    """Say whether a column is a clock: of a temporal type, or an integer that is named like one.

    Ids of trades are clocks as well: they count trades, and each bar ends with a later one.
    """
    dtype = schema.get(name)
    if dtype is not None and dtype.is_temporal():
        return not isinstance(dtype, pl.Duration | pl.Time)
    if dtype is not None and not dtype.is_integer():
        return False
    return _TIME_NAME.fullmatch(name) is not None
