"""Rolling statistics of columns: many windows over one input share the pieces they are made of."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import polars as pl

from rangebar_enrich._windows.column import (
    Column,
    are_late_enough,
    as_columns,
    as_series,
    both,
    count_in_windows,
    have_enough,
)
from rangebar_enrich._windows.doubling import Floats, Merge, Piece, extremes_of, windows_of
from rangebar_enrich._windows.layout import Layout, Tile, Values
from rangebar_enrich._windows.moments import (
    counted,
    merge_fourth,
    merge_products,
    merge_squares,
    merge_sums,
)
from rangebar_enrich._windows.statistics import Count, of_fourth, of_products, of_squares
from rangebar_enrich._windows.window import Kind, Window, result_dtype

_FEW = 32_768
"""Rows below which columns are done together: there the calls cost, not the numbers."""
_MANY = 100_000
"""Results from which threads pay."""

Results = dict[Window, Values]


@dataclass(frozen=True, slots=True)
class Job:
    """Windows over one input.

    Attributes:
        inputs: One column, or the two of `cov` and `corr`; boolean or numeric, of equal length.
        windows: Each gives one result column.
    """

    inputs: tuple[pl.Series, ...]
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class _Moments:
    """Statistics that come from the same pieces.

    Attributes:
        zeros: Numbers in a piece of one row that are 0, behind the values themselves.
        merge: Merges two pieces.
        finish: From a piece to a statistic.
    """

    zeros: int
    merge: Merge
    finish: Callable[[Window, Piece, Count], Floats]


_SQUARES = _Moments(1, merge_squares, of_squares)
_FOURTH = _Moments(3, merge_fourth, of_fourth)
_PRODUCTS = _Moments(3, merge_products, of_products)
_FAMILIES: Mapping[Kind, object] = {
    "sum": "sum",
    "min": np.minimum,
    "max": np.maximum,
    "mean": _SQUARES,
    "var": _SQUARES,
    "std": _SQUARES,
    "skew": _FOURTH,
    "kurtosis": _FOURTH,
    "cov": _PRODUCTS,
    "corr": _PRODUCTS,
}
"""What the windows of one kind share with others."""


def rolling(jobs: Sequence[Job], layout: Layout) -> list[list[pl.Series]]:
    """Compute windows whose values depend on the rows in them and on nothing else.

    Undefined is NaN as IEEE arithmetic has it (0/0 of a constant window's skewness or
    correlation, ±inf in a variance); null where a window has fewer values than it needs.

    Args:
        jobs: Inputs and windows, all of as many rows as `layout` has.
        layout: The series of the rows, and which rows get results.

    Returns:
        For each job its windows' columns, `layout.results` rows, of the type that Polars gives.
    """
    groups: dict[object, list[_Part]] = {}
    for index, job in enumerate(jobs):
        columns = tuple(Column.of(one) for one in job.inputs)
        for family in dict.fromkeys(_FAMILIES[one.kind] for one in job.windows):
            windows = tuple(one for one in job.windows if _FAMILIES[one.kind] is family)
            few = len(columns[0].values) <= _FEW
            key = (family, windows, columns[0].values.dtype) if few else (family, index)
            groups.setdefault(key, []).append(_Part(index, columns, windows))
    made: list[dict[Window, pl.Series]] = [{} for _ in jobs]
    tasks = [partial(_work, parts, jobs, layout, made) for parts in groups.values()]
    _run(tasks, results=layout.results * len(tasks))
    return [[made[index][window] for window in job.windows] for index, job in enumerate(jobs)]


@dataclass(frozen=True, slots=True)
class _Part:
    """Windows of one family over the input of one job."""

    job: int
    columns: tuple[Column, ...]
    windows: tuple[Window, ...]


def _run(tasks: Sequence[Callable[[], None]], *, results: int) -> None:
    if len(tasks) == 1 or results < _MANY or _workers() == 1:
        for task in tasks:
            task()
        return
    for done in [_pool().submit(task) for task in tasks]:
        done.result()


@cache
def _workers() -> int:
    return int(os.environ.get("POLARS_MAX_THREADS", "0")) or len(os.sched_getaffinity(0))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_workers(), thread_name_prefix="windows")


def _work(
    parts: Sequence[_Part], jobs: Sequence[Job], layout: Layout, made: list[dict[Window, pl.Series]]
) -> None:
    """Compute the windows of one family over inputs under each other."""
    windows = parts[0].windows
    inputs = [
        Column.joined(columns) for columns in zip(*(one.columns for one in parts), strict=True)
    ]
    whole = layout.repeated(len(parts))
    valid = both(inputs)
    with np.errstate(all="ignore"):
        results = _values(inputs, windows, whole)
    narrow = any(jobs[part.job].inputs[0].dtype == pl.Float32 for part in parts)
    if valid is None and whole.results <= _FEW and not narrow and _are_floats(results):
        _put_together(parts, windows, results, layout, made)
        return
    for window in windows:
        enough = have_enough(valid, window, whole)
        for place, part in enumerate(parts):
            rows = slice(place * layout.results, (place + 1) * layout.results)
            dtype = result_dtype(window.kind, jobs[part.job].inputs[0].dtype)
            if dtype is not None:
                made[part.job][window] = as_series(
                    results[window][rows], None if enough is None else enough[rows], dtype
                )


def _are_floats(results: Results) -> bool:
    return all(one.dtype == np.float64 for one in results.values())


def _put_together(
    parts: Sequence[_Part],
    windows: Sequence[Window],
    results: Results,
    layout: Layout,
    made: list[dict[Window, pl.Series]],
) -> None:
    """Make columns of the results of few rows without gaps: all at once, since each call costs."""
    block = np.stack([results[window] for window in windows], dtype=np.float64)
    enough = are_late_enough(windows, layout)
    if enough is not None:
        enough = np.repeat(enough, len(parts), axis=0)
    columns = as_columns(block.reshape(len(windows) * len(parts), layout.results), enough)
    for place, column in enumerate(columns):
        made[parts[place % len(parts)].job][windows[place // len(parts)]] = column


def _values(inputs: Sequence[Column], windows: Sequence[Window], layout: Layout) -> Results:
    family = _FAMILIES[windows[0].kind]
    if isinstance(family, _Moments):
        return _moments(family, inputs, windows, layout)
    if family == "sum":
        return _sums(inputs[0], windows, layout)
    return _extremes(inputs[0], windows, layout)


def _empty(windows: Sequence[Window], layout: Layout, dtype: np.dtype[np.generic]) -> Results:
    return {window: np.empty(layout.results, dtype=dtype) for window in windows}


def _reach(windows: Sequence[Window]) -> int:
    return max(window.size for window in windows) - 1


def _sums(column: Column, windows: Sequence[Window], layout: Layout) -> Results:
    values = column.filled(0)
    if values.dtype.kind in "iu" and values.dtype.itemsize < 4:
        values = values.astype(np.int64)  # as Polars widens them
    values = values.astype(np.float64) if values.dtype == np.float32 else values
    made = _empty(windows, layout, values.dtype)
    for group, rows in _groups(windows, layout):
        sizes = {window.size for window in group}
        for tile in rows.tiles(_reach(group)):
            found = windows_of((tile.take(values, 0),), sizes, tile.results, merge_sums)
            for window in group:
                tile.put(found[window.size][0], made[window])
    return made


def _groups(windows: Sequence[Window], layout: Layout) -> Iterator[tuple[Sequence[Window], Layout]]:
    """Yield windows that are null before they are full, and others, with the rows to run over."""
    full = [one for one in windows if one.min_samples == one.size]
    part = [one for one in windows if one.min_samples < one.size]
    if full:
        yield full, layout.joined
    if part:
        yield part, layout


def _extremes(column: Column, windows: Sequence[Window], layout: Layout) -> Results:
    pick = np.minimum if windows[0].kind == "min" else np.maximum
    kind = column.values.dtype
    if kind.kind == "f":
        least, most = -np.inf, np.inf
    else:
        least, most = np.iinfo(kind).min, np.iinfo(kind).max  # type: ignore[type-var]
    fill = most if pick is np.minimum else least
    values = column.filled(fill)
    if kind.kind == "f":
        # NOTE: of -0.0 and 0.0 a processor may take either, by where in a register they stand.
        values = values + values.dtype.type(0)  # type: ignore[operator]
    made = _empty(windows, layout, kind)
    for group, rows in _groups(windows, layout):
        sizes = sorted({window.size for window in group})
        for tile in rows.tiles(_reach(group)):
            found = extremes_of(tile.take(values, fill), sizes, tile.results, pick)
            for window in group:
                tile.put(found[window.size], made[window])
    return made


def _moments(
    family: _Moments, inputs: Sequence[Column], windows: Sequence[Window], layout: Layout
) -> Results:
    made = _empty(windows, layout, np.dtype(np.float64))
    valid = both(inputs)
    values = [one.floats if valid is None else np.where(valid, one.floats, 0.0) for one in inputs]
    whole = [one for one in windows if valid is None or one.min_samples == one.size]
    if whole:
        # NOTE: what reaches into the series before is null, or computed again below.
        for tile in layout.joined.tiles(_reach(whole)):
            _fill(family, [tile.take(one, 0) for one in values], None, tile, _of(made, whole))
    part = [one for one in windows if one.min_samples < one.size]
    if part:
        _moments_of_part(family, values, valid, layout, _of(made, part))
    for column in inputs:
        if column.infinite is not None:
            _infinite(column.infinite, layout, made)
    return made


def _of(results: Results, windows: Sequence[Window]) -> Results:
    return {window: results[window] for window in windows}


def _moments_of_part(
    family: _Moments,
    values: Sequence[Floats],
    valid: Values | None,
    layout: Layout,
    made: Results,
) -> None:
    """Compute windows in which rows may be missing: nulls, or rows before the series."""
    counts = np.ones(len(values[0])) if valid is None else valid.astype(np.float64)
    windows = list(made)
    reach = _reach(windows)
    # NOTE: without nulls a whole window has the same bits either way; only the first are not whole.
    rows, places = layout.head(reach) if valid is None else (layout, None)
    found = made if places is None else _empty(windows, rows, np.dtype(np.float64))
    for tile in rows.tiles(reach):
        levels = [tile.take(one, 0) for one in values]
        _fill(family, levels, tile.take(counts, 0), tile, found)
    if places is not None:
        for window, column in found.items():
            made[window][places] = column


def _fill(
    family: _Moments,
    values: Sequence[Values],
    counts: Values | None,
    tile: Tile,
    made: Results,
) -> None:
    level = (*values, *(np.zeros(values[0].shape) for _ in range(family.zeros)))
    merge = family.merge
    if counts is not None:
        level, merge = (*level, counts), counted(merge)
    pieces = windows_of(level, {window.size for window in made}, tile.results, merge)
    for window, column in made.items():
        piece = pieces[window.size]
        count = float(window.size) if counts is None else piece[-1]
        tile.put(family.finish(window, piece, count), column)  # type: ignore[arg-type]


def _infinite(signs: Values, layout: Layout, made: Results) -> None:
    """Give windows that hold an infinity what arithmetic gives: that mean, no deviation."""
    for window, column in made.items():
        above = count_in_windows(signs == 1, window.size, layout)
        below = count_in_windows(signs == -1, window.size, layout)
        if window.kind == "mean":
            total = np.where(above > 0, np.inf, 0.0) + np.where(below > 0, -np.inf, 0.0)
            np.add(column, total, out=column)
        else:
            column[(above > 0) | (below > 0)] = np.nan
