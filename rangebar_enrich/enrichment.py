"""One run over the bars of a source: plans, execution, and the feature columns that come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from rangebar_enrich.bars.feature import FeatureColumn, WarmUp, feature_array
from rangebar_enrich.execution import Execution
from rangebar_enrich.outcome import ProviderOutcome, feature_field
from rangebar_enrich.planner import Planner
from rangebar_enrich.series_run import SeriesRun
from rangebar_enrich.source import Source


@dataclass(frozen=True, slots=True)
class Enriched:
    """What a run gave.

    Attributes:
        runs: One for each series; none where there were no bars.
        arrays: Every declared column, in output order; what failed is null.
    """

    planner: Planner
    runs: tuple[SeriesRun, ...]
    arrays: dict[str, pa.ChunkedArray]

    def features(self, outcomes: Sequence[ProviderOutcome]) -> list[FeatureColumn]:
        """Return the columns with who made them and how it went."""
        return [
            FeatureColumn(feature_field(column, outcome), self.arrays[column])
            for declaration, outcome in zip(self.planner.declarations, outcomes, strict=False)
            for column in declaration.columns
        ]


def enrich_source(source: Source, planner: Planner, suspects: set[str]) -> Enriched:
    """Run all providers over all series of a source.

    Args:
        source: The bars, and their history.
        planner: The providers.
        suspects: Providers that failed at run time before; they run apart. Added to here.
    """
    if not source.bars.height:
        empty = pa.chunked_array([], type=pa.float64())
        return Enriched(planner, (), dict.fromkeys(planner.columns, empty))
    layout = planner.layout(source.bars.dtypes)
    runs = [
        SeriesRun(key, planner.plan(layout, key.symbol, key.threshold_decimal_bps))
        for key in source.split.keys
    ]
    execution = Execution(source, runs, planner.declarations, suspects)
    execution.run()
    return Enriched(planner, tuple(runs), _arrays(source, execution, planner))


def _arrays(source: Source, execution: Execution, planner: Planner) -> dict[str, pa.ChunkedArray]:
    split = source.split
    warm_up = WarmUp(split.lengths, source.before)
    arrays = {}
    for declaration in planner.declarations:
        for column, rows in declaration.warm_up.items():
            pieces = execution.values(column)
            arrays[column] = feature_array(pieces, warm_up.bitmaps(rows, len(pieces)))
    if split.order is None:
        return arrays
    # NOTE: warm-up is counted series by series, so it is written before the rows go back.
    frame = split.unsort(pl.DataFrame(arrays))
    return {name: feature_array([frame[name]], [None]) for name in arrays}
