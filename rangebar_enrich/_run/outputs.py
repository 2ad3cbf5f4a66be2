"""Feature columns out of computed values: warm-up and NaN as nulls, rows in the table's order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

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
from rangebar_enrich._run.result import ProviderOutcome, feature_field


def feature_arrays(
    declarations: Sequence[Declaration],
    values: Callable[[str], Sequence[pl.Series]],
    split: SeriesSplit,
    before: Sequence[int],
) -> dict[str, pa.ChunkedArray]:
    """Return every declared column, in declared order.

    Args:
        declarations: The providers.
        values: Gives a column's values sorted by series, in one piece or one for each series.
        split: The series of the table.
        before: Rows of each series that came before the table's: warm-up is counted from them.
    """
    height = int(split.starts[-1])
    if len(split.keys) == 1 and 0 < height <= STACKED_ROWS:
        return _few_rows(declarations, values, before[0])
    warm_up = WarmUp(split.lengths, before)
    arrays = {}
    for declaration in declarations:
        for column, rows in declaration.warm_up.items():
            pieces = values(column)
            arrays[column] = feature_array(pieces, warm_up.bitmaps(rows, len(pieces)))
    if split.order is None:
        return arrays
    # NOTE: warm-up is counted series by series, so it is written before the rows go back.
    frame = split.unsort(pl.DataFrame(arrays))
    return {name: feature_array([frame[name]], [None]) for name in arrays}


def _few_rows(
    declarations: Sequence[Declaration], values: Callable[[str], Sequence[pl.Series]], before: int
) -> dict[str, pa.ChunkedArray]:
    rows = {
        column: max(count - before, 0)
        for declaration in declarations
        for column, count in declaration.warm_up.items()
    }
    if not rows:
        return {}
    columns = [values(column)[0] for column in rows]
    return dict(zip(rows, stacked_arrays(columns, list(rows.values())), strict=True))


def feature_columns(
    declarations: Sequence[Declaration],
    outcomes: Sequence[ProviderOutcome],
    arrays: Mapping[str, pa.ChunkedArray],
) -> list[FeatureColumn]:
    """Return the columns with who made them and how it went."""
    return [
        FeatureColumn(feature_field(column, outcome), arrays[column])
        for declaration, outcome in zip(declarations, outcomes, strict=False)
        for column in declaration.columns
    ]


def no_arrays(declarations: Sequence[Declaration]) -> dict[str, pa.ChunkedArray]:
    """Return every declared column of no rows."""
    empty = pa.chunked_array([], type=pa.float64())
    return {column: empty for declaration in declarations for column in declaration.columns}
