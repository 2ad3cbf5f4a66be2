"""One run over the bars of a source: plans, execution, and the feature columns that come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from rangebar_enrich._bars.feature import FeatureColumn
from rangebar_enrich._run.execution import Execution
from rangebar_enrich._run.inputs import Source
from rangebar_enrich._run.outputs import feature_arrays, feature_columns, no_arrays
from rangebar_enrich._run.result import ProviderOutcome
from rangebar_enrich._run.settings import Settings
from rangebar_enrich._run.workspace import SeriesRun


@dataclass(frozen=True, slots=True)
class Enriched:
    """What a run gave.

    Attributes:
        runs: One for each series; none where there were no bars.
        arrays: Every declared column, in output order; what failed is null.
    """

    settings: Settings
    runs: tuple[SeriesRun, ...]
    arrays: dict[str, pa.ChunkedArray]

    def features(self, outcomes: Sequence[ProviderOutcome]) -> list[FeatureColumn]:
        """Return the columns with who made them and how it went."""
        return feature_columns(self.settings.declarations, outcomes, self.arrays)


def enrich_source(source: Source, settings: Settings) -> Enriched:
    """Run all providers over all series of a source.

    Args:
        source: The bars, and their history.
        settings: The providers, and how to run them.
    """
    planner, declarations = settings.planner, settings.declarations
    if not source.bars.height:
        return Enriched(settings, (), no_arrays(declarations))
    layout = planner.layout(source.bars.dtypes)
    runs = [
        SeriesRun(key, planner.plan(layout, key.symbol, key.threshold_decimal_bps))
        for key in source.split.keys
    ]
    execution = Execution(source, runs, settings)
    execution.run()
    arrays = feature_arrays(declarations, execution.values, source.split, source.before)
    return Enriched(settings, tuple(runs), arrays)
