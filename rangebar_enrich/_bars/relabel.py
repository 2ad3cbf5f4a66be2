"""Bars under another name than they say themselves, where the caller says that it is meant."""

from __future__ import annotations

from typing import Any

import polars as pl

from rangebar_enrich._bars.columns import SYMBOL, THRESHOLD
from rangebar_enrich._bars.series import checked_threshold
from rangebar_enrich._bars.table import BarTable
from rangebar_enrich.errors import SeriesConflictError, message


class Relabel:
    """Gives bars the symbol and the threshold of the arguments: in columns and metadata.

    Args:
        symbol: Symbol of all bars, or `None` to leave it.
        threshold_decimal_bps: Threshold of all bars, likewise.

    Raises:
        SeriesConflictError: Neither is given, or the threshold is no number.
    """

    def __init__(self, symbol: str | None, threshold_decimal_bps: int | None) -> None:
        given = {SYMBOL: symbol, THRESHOLD: checked_threshold(threshold_decimal_bps)}
        self._told = {name: value for name, value in given.items() if value is not None}
        self._said: dict[str, Any] = {}
        if not self._told:
            hint = "pass symbol=, threshold_decimal_bps= or both."
            raise SeriesConflictError(message("relabel=True, and no label is given.", hint=hint))

    def bars(self, table: BarTable) -> BarTable:
        """Return the bars under their new label; the caller's own container is not changed.

        Raises:
            SeriesConflictError: They are of several series, in this table or since the first.
        """
        for name in self._told:
            if name in table.columns and table.height:
                self._check_one(name, table.to_polars([name]).to_series())
        return table.with_series(self._told)

    def lazy(self, bars: pl.LazyFrame) -> pl.LazyFrame:
        """Return a lazy plan of the bars under their new label; whether it is one is not seen."""
        names = bars.collect_schema().names()
        return bars.with_columns(
            pl.lit(value).alias(name) for name, value in self._told.items() if name in names
        )

    def _check_one(self, name: str, column: pl.Series) -> None:
        said = column.unique().to_list()
        said += [self._said[name]] if name in self._said and self._said[name] not in said else []
        if len(said) > 1:
            msg = message(
                f"relabel=True gives all bars one '{name}', and they are of {len(said)}:",
                sorted(repr(one) for one in said),
                "give the bars of each series by themselves.",
            )
            raise SeriesConflictError(msg)
        self._said[name] = said[0]
