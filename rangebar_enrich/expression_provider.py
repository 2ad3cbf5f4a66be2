"""A base class for providers that also serve the older pandas loader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import polars as pl

from rangebar_enrich.engine import Enricher
from rangebar_enrich.protocol import BarContext, WarmUp

if TYPE_CHECKING:
    import pandas as pd


class ExpressionProvider:
    """A native provider with the older `enrich` on top, so that one class serves both loaders.

    Subclasses set `name`, `version`, `columns` and `min_bars`, and write `expressions`.
    """

    name: str
    version: str
    columns: tuple[str, ...]
    min_bars: WarmUp

    def expressions(self, context: BarContext, /) -> Iterable[pl.Expr] | Mapping[str, pl.Expr]:
        """Return one expression for each of `columns`; subclasses override this."""
        msg = f"{type(self).__name__} must define expressions(context)."
        raise NotImplementedError(msg)

    def enrich(
        self, bars_df: pd.DataFrame, symbol: str, threshold_decimal_bps: int
    ) -> pd.DataFrame:
        """Add this provider's columns to `bars_df` in place, as the older loader expects.

        Args:
            bars_df: Bars of one series in time order; columns in either spelling.
            symbol: Trading symbol; `""` where it is not known.
            threshold_decimal_bps: Bar threshold; 0 where it is not known.

        Returns:
            The same DataFrame; undefined values and the warm-up are NaN.

        Raises:
            ProviderError: The provider breaks its declaration or fails.
            BarsError: The bars break a rule.
        """
        if not len(bars_df):
            return bars_df
        result = Enricher([self], on_error="raise").run(
            bars_df,
            symbol=symbol or None,
            threshold_decimal_bps=threshold_decimal_bps or None,
        )
        enriched: pd.DataFrame = result.to_caller()
        return enriched
