"""Feature columns out of computed values: warm-up and NaN as nulls, rows in the table's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
import pyarrow as pa

from rangebar_enrich._bars.feature import (
    STACKED_ROWS,
    FeatureColumn,
    WarmUp,
    feature_array,
    stacked_arrays,
)
from rangebar_enrich._bars.series import SeriesSplit
from rangebar_enrich._provider.declaration import Declaration
from rangebar_enrich._run.result import ProviderOutcome, feature_fields
from rangebar_enrich._run.workspace import SeriesRun

Values = Mapping[str, Sequence[pl.Series]]
"""Each declared column, its rows sorted by series, in one piece or one for each series."""


def feature_columns(
    declarations: Sequence[Declaration],
    outcomes: Sequence[ProviderOutcome],
    values: Values,
    split: SeriesSplit,
    runs: Sequence[SeriesRun],
) -> list[FeatureColumn]:
    """Return every declared column, with who made it and how it went.

    Args:
        declarations: The providers.
        outcomes: What became of them.
        values: What they gave; anything where there are no rows.
        split: The series of the table.
        runs: What became of each series: in which rows warm-up or history leave no value.
    """
    arrays = _arrays(declarations, values, split, runs)
    fields = feature_fields(outcomes[: len(declarations)])
    return [FeatureColumn(field, arrays[field.name]) for field in fields]


def _arrays(
    declarations: Sequence[Declaration],
    values: Values,
    split: SeriesSplit,
    runs: Sequence[SeriesRun],
) -> Mapping[str, pa.ChunkedArray]:
    rows = {column: count for made in declarations for column, count in made.warm_up.items()}
    height = int(split.starts[-1])
    if not height or not rows:
        return dict.fromkeys(rows, pa.chunked_array([], type=pa.float64()))
    if len(split.keys) == 1 and height <= STACKED_ROWS:
        run = runs[0]
        counts = rows.values() if run.is_complete else [run.needed(*one) for one in rows.items()]
        masked = [max(count - run.before, 0) for count in counts]
        stacked = stacked_arrays([values[column][0] for column in rows], masked)
        return dict(zip(rows, stacked, strict=True))
    warm_up = WarmUp(split.lengths, [run.before for run in runs])
    partial = [] if all(run.is_complete for run in runs) else runs
    arrays = {}
    for column, count in rows.items():
        needed = tuple(run.needed(column, count) for run in partial) or count
        arrays[column] = feature_array(values[column], warm_up.bitmaps(needed, len(values[column])))
    if split.order is None:
        return arrays
    # NOTE: warm-up is counted series by series, so it is written before the rows go back.
    frame = split.unsort(pl.DataFrame(arrays))
    return {name: feature_array([frame[name]], [None]) for name in arrays}
