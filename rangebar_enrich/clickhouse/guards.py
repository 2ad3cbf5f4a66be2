"""Rules that bars obey before anything is sent, each a line of one error.

The table would take all of this: it has no constraints, and a replaced key leaves no trace.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rangebar_enrich._bars.columns import SPANS
from rangebar_enrich.clickhouse.columns import FIXED_POINT, PRICES
from rangebar_enrich.clickhouse.ingest import Incoming, SeriesRows
from rangebar_enrich.clickhouse.violations import Violations

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

FIRST_MS, LAST_MS = SPANS["ms"]
"""1990 to 2100: an earlier time is seconds, a later one microseconds."""


def check_bars(incoming: Incoming, *, max_width_multiple: float | None = None) -> None:
    """Refuse bars that break a rule; all broken rules are in one error.

    Args:
        incoming: The bars under the table's names.
        max_width_multiple: Refuse bars wider than so many thresholds. Off by default: in thin
            markets most real bars are wider than three.

    Raises:
        WriteRefusedError: A rule is broken; nothing was sent.
    """
    table, violations = incoming.table, incoming.violations
    if table.num_rows:
        _check_times(incoming, violations)
        _check_prices(table, violations)
        _check_turnover(table, violations)
        if max_width_multiple is not None:
            _check_width(incoming, max_width_multiple, violations)
    violations.raise_if_any(table.num_rows)


def _ints(table: pa.Table, name: str) -> Ints | None:
    if name not in table.column_names:
        return None
    column = table.column(name)
    values: Ints = (column.fill_null(FIRST_MS) if column.null_count else column).to_numpy()
    return values


def _floats(table: pa.Table, name: str) -> Floats | None:
    return table.column(name).to_numpy() if name in table.column_names else None


def _note(
    violations: Violations,
    rule: str,
    mask: Mask,
    name: str | None,
    *shown: tuple[str, npt.NDArray[Any]],
) -> None:
    rows = np.flatnonzero(mask)
    if len(rows):
        first = violations.first(rows)
        detail = ", ".join(f"{label} {values[first]}" for label, values in shown)
        violations.rows(rule, name, rows, detail)


def _check_times(incoming: Incoming, violations: Violations) -> None:
    table = incoming.table
    opened, closed = _ints(table, "open_time_ms"), _ints(table, "close_time_ms")
    for name, times in (("open_time_ms", opened), ("close_time_ms", closed)):
        if times is not None:
            _note(violations, "seconds_as_ms", times < FIRST_MS, name, ("got", times))
            _note(violations, "us_as_ms", times > LAST_MS, name, ("got", times))
    if opened is not None and closed is not None:
        shown = (("open", opened), ("close", closed))
        _note(violations, "open_after_close", opened > closed, "open_time_ms", *shown)
    if closed is None:
        return
    for series in incoming.series:
        _check_order(closed[series.start : series.stop], series, violations)


def _check_order(times: Ints, series: SeriesRows, violations: Violations) -> None:
    steps = np.diff(times)
    if (steps > 0).all():
        return
    late = np.flatnonzero(steps < 0) + 1
    if len(late):
        first = late[0]
        detail = f"{times[first]} follows {times[first - 1]} in {series.key}"
        violations.rows("time_order", "close_time_ms", late + series.start, detail)
    order = np.argsort(times, kind="stable")
    same = order[1:][np.diff(times[order]) == 0]
    if len(same):
        same = np.sort(same)
        detail = f"{series.key} has another bar that closes at {times[same[0]]}"
        violations.rows("duplicate_key", "close_time_ms", same + series.start, detail)


def _check_prices(table: pa.Table, violations: Violations) -> None:
    values = {name: _floats(table, name) for name in (*PRICES, "volume")}
    known = {name: column for name, column in values.items() if column is not None}
    for name, column in known.items():
        wrong: Mask = ~np.isfinite(column)
        if table.column(name).null_count:
            wrong &= table.column(name).is_valid().to_numpy()
        _note(violations, "not_finite", wrong, name, ("got", column))
    if "volume" in known:
        volume = known["volume"]
        _note(violations, "negative_volume", volume < 0, "volume", ("got", volume))
    if not {"high", "low"} <= set(known):
        return
    high, low = known["high"], known["low"]
    shown = (("low", low), ("high", high))
    _note(violations, "high_below_low", high < low, None, *shown)
    for name in ("open", "close"):
        if name in known:
            outside = ((known[name] > high) | (known[name] < low)) & (high >= low)
            _note(violations, f"{name}_outside", outside, None, (name, known[name]), *shown)


def _check_turnover(table: pa.Table, violations: Violations) -> None:
    """Turnover is in quote currency: near price times volume, and not 1e16 times that."""
    turnover, volume, close = (_floats(table, name) for name in ("turnover", "volume", "close"))
    if turnover is None or volume is None or close is None:
        return
    worth = np.abs(volume * close)
    with np.errstate(invalid="ignore"):
        scaled = np.abs(turnover) > worth * np.sqrt(FIXED_POINT)
    shown = (("got", turnover), ("price times volume", worth))
    _note(violations, "turnover_unit", scaled & (worth > 0), "turnover", *shown)


def _check_width(incoming: Incoming, multiple: float, violations: Violations) -> None:
    table = incoming.table
    opened, high, low = (_floats(table, name) for name in ("open", "high", "low"))
    if opened is None or high is None or low is None:
        return
    thresholds = np.empty(table.num_rows)
    for series in incoming.series:
        thresholds[series.start : series.stop] = series.key.threshold_decimal_bps
    with np.errstate(divide="ignore", invalid="ignore"):
        widths = (high - low) / opened / (thresholds / 100_000)
    shown = (("width in thresholds", widths),)
    _note(violations, "too_wide", widths > multiple, None, *shown)
