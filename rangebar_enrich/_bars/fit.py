"""Columns under types that are given: what fits without loss is cast, the rest is named."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from rangebar_enrich.errors import BarColumnError, message

_TEXT = frozenset({pl.String, pl.Categorical, pl.Enum})


def fitted(
    frame: pl.DataFrame, dtypes: Mapping[str, pl.DataType], *, head: str, hint: str
) -> pl.DataFrame:
    """Return the columns that `dtypes` names, in its order and with its types.

    Nulls fit any type, whole numbers another number type that holds every one of them, and text
    any type of text.

    Args:
        frame: The columns, with the types that they happen to have.
        dtypes: Names and types of those that are wanted.
        head: First line of the error; `{}` is the number of columns that do not fit.
        hint: Its last line.

    Raises:
        BarColumnError: A column is missing, or a value of it does not fit.
    """
    if [*frame.schema.items()] == [*dtypes.items()]:
        return frame
    made, wrong = [], []
    for name, dtype in dtypes.items():
        series = frame[name] if name in frame.columns else None
        fits = None if series is None else _fitted(series, dtype)
        if fits is None:
            got = "nothing" if series is None else series.dtype
            wrong.append(f"'{name}': got {got}, expected {dtype}")
        else:
            made.append(fits)
    if wrong:
        raise BarColumnError(message(head.format(len(wrong)), wrong, hint))
    return pl.DataFrame(made)


def _fitted(series: pl.Series, dtype: pl.DataType) -> pl.Series | None:
    """Return a column under another type, `None` where a value would be another one."""
    known = series.dtype
    if known == dtype:
        return series
    if series.null_count() == len(series):
        return pl.Series(series.name, [None] * len(series), dtype=dtype)
    is_number = known.is_integer() and dtype.is_numeric()
    is_text = known.base_type() in _TEXT and dtype.base_type() in _TEXT
    # NOTE: datetimes of another unit would fit too, but their numbers are compared as they are.
    if not (is_number or is_text):
        return None
    try:
        made = series.cast(dtype, strict=True)
        back = made.cast(pl.String if is_text else known, strict=True)
    except pl.exceptions.PolarsError:
        return None
    before = series.cast(pl.String) if is_text else series
    return made if back.equals(before) else None
