"""A legacy provider as a source of columns: shown a private view, its changes checked.

The view shares the caller's memory where it can, read-only, so a provider cannot damage what it
was shown. One that insists on writing is given a fresh copy, once, and what it changed is found
by comparing.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from rangebar_enrich._bars.columns import MICROSECONDS, OHLCV
from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich._provider.declaration import ISOLATED, Declaration, cause
from rangebar_enrich._provider.fault import Fault
from rangebar_enrich.errors import RunError, message
from rangebar_enrich.protocol import BarContext

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

_MANY_BLOCKS = 90

_WITH_PANDAS_TYPE = frozenset({pl.Date, pl.Datetime, pl.Duration, pl.Categorical, pl.Enum})
_WITHOUT_NUMPY_TYPE = frozenset({pl.Int128, pl.UInt128})


@dataclass(frozen=True, slots=True)
class LegacyBars:
    """Bars of one series as a legacy provider is shown them.

    Attributes:
        frame: Bar columns under canonical names, then features that earlier providers made.
        times: Close times as int64, or `None` without time.
        unit: Unit of `times`, `"us"` or `"ms"`, or a finer one.
    """

    frame: pl.DataFrame
    times: npt.NDArray[np.int64] | None = None
    unit: str = MICROSECONDS


def run_legacy(
    declaration: Declaration, bars: LegacyBars, key: SeriesKey | BarContext
) -> dict[str, pl.Series]:
    """Let a legacy provider enrich a view of `bars`, and take the columns it added.

    Args:
        declaration: The provider.
        bars: One series; never changed.
        key: Its symbol and threshold are passed on, `""` and 0 where they are not known.

    Returns:
        The declared columns, numeric or boolean, one value a bar.

    Raises:
        RunError: It raised, or what it did breaks the contract; every fault is named.
    """
    try:
        import pandas  # noqa: F401, ICN001 - only whether it is there
    except ImportError as error:
        msg = f"Provider '{declaration.name}' needs pandas: pip install 'rangebar-enrich[pandas]'"
        raise RunError.of(declaration.name, msg) from error
    try:
        return _run_once(declaration, bars, key, writable=False)
    except _WroteToView:
        # NOTE: writing to the read-only view raises inside the provider: what it would have
        # done is only known from a copy that it may write to.
        return _run_once(declaration, bars, key, writable=True)


class _WroteToView(Exception):  # noqa: N818 - a signal inside this module
    """The provider tried to write to read-only memory."""


def _run_once(
    declaration: Declaration, bars: LegacyBars, key: SeriesKey | BarContext, *, writable: bool
) -> dict[str, pl.Series]:
    arrays = _arrays(bars, writable=writable)
    # NOTE: what must not change is known before the provider runs: read-only memory cannot
    # change, anything else is copied.
    originals = {name: _kept(array) for name, array in arrays.items()}
    shown = _framed(arrays, bars)
    index = shown.index
    symbol, threshold = key.symbol or "", key.threshold_decimal_bps or 0
    try:
        with _unfragmented(len(arrays) + len(declaration.columns)):
            result = declaration.provider.enrich(shown, symbol, threshold)
    except ISOLATED as error:
        if not writable and isinstance(error, ValueError) and "read-only" in str(error):
            raise _WroteToView from error
        fault = Fault("columns", f"enrich() raised {cause(error)}")
        msg = f"Provider '{declaration.name}': {fault}"
        raise RunError.of(declaration.name, msg, [fault]) from error
    result = _accepted(declaration, result, shown)
    faults = _change_faults(originals, index, result)
    _refuse(declaration, faults + _column_faults(declaration, originals, result))
    return {name: _series(declaration, name, result[name]) for name in declaration.columns}


@contextmanager
def _unfragmented(columns: int) -> Iterator[None]:
    """Keep pandas from warning a provider of a view that is none of its doing.

    Each column of the view is a block of its own, since it shares the caller's memory; from about
    100 on, pandas takes a column that is added for a mistake of whoever adds it.
    """
    if columns < _MANY_BLOCKS:
        yield
        return
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.PerformanceWarning)
        yield


def _accepted(declaration: Declaration, result: object, shown: pd.DataFrame) -> pd.DataFrame:
    """Return the DataFrame to take columns from; another than the one shown is warned of."""
    import pandas as pd

    if result is shown:
        return shown
    if isinstance(result, pd.DataFrame):
        returned, accepted = "another DataFrame", result
    elif result is None and all(column in shown.columns for column in declaration.columns):
        returned, accepted = "nothing", shown
    else:
        kind = type(result).__name__
        text = f"enrich() returned {kind}, expected the DataFrame it was given"
        raise _error(declaration, [Fault("columns", text)])
    logger.warning(
        "provider '%s' %s returned %s instead of the one it was given; its columns are used",
        declaration.name,
        declaration.version,
        returned,
    )
    return accepted


def _refuse(declaration: Declaration, faults: Sequence[Fault]) -> None:
    if faults:
        raise _error(declaration, faults)


def _error(declaration: Declaration, faults: Sequence[Fault]) -> RunError:
    head = f"Provider '{declaration.name}' {declaration.version}: {len(faults)} fault(s):"
    hint = "a legacy provider adds its columns in place and changes nothing else."
    text = message(head, [str(fault) for fault in faults], hint)
    return RunError.of(declaration.name, text, faults)


def _arrays(bars: LegacyBars, *, writable: bool) -> dict[str, Any]:
    """Return the columns of the view: what is there, and both spellings of OHLCV."""
    frame = bars.frame
    names = {name: name for name in frame.columns}
    both = {name.capitalize(): name for name in OHLCV if name in names}
    return {
        name: _pandas_values(frame[own], writable=writable) for name, own in (both | names).items()
    }


def _pandas_values(series: pl.Series, *, writable: bool) -> Any:
    """Return a column for pandas, without a copy where memory can be shared."""
    import pandas as pd

    dtype = series.dtype
    if dtype == pl.String:
        return pd.arrays.ArrowStringArray(pa.chunked_array(series).cast(pa.large_string()))
    if dtype.base_type() in _WITH_PANDAS_TYPE:
        return series.to_pandas().array
    is_number = dtype.is_numeric() and not dtype.is_decimal() and dtype not in _WITHOUT_NUMPY_TYPE
    if is_number or dtype == pl.Boolean:
        values = series.to_numpy(writable=writable)
    else:
        values = np.fromiter(series.to_list(), dtype=object, count=len(series))
    if not writable:
        values.flags.writeable = False
    return values


def writable_view(bars: LegacyBars) -> pd.DataFrame:
    """Return a copy of what a legacy provider is shown, as the older loader gives it away."""
    return _framed(_arrays(bars, writable=True), bars)


def _framed(arrays: Mapping[str, Any], bars: LegacyBars) -> pd.DataFrame:
    import pandas as pd

    index: Any = pd.RangeIndex(bars.frame.height)
    if bars.times is not None:
        stamps = bars.times.astype(f"datetime64[{bars.unit}]")
        index = pd.DatetimeIndex(stamps, tz="UTC", name="timestamp")
    return pd.DataFrame(dict(arrays), index=index, copy=False)


def _kept(array: Any) -> Any:
    """Return what a column held, safe from a provider that writes into the view."""
    if isinstance(array, np.ndarray) and not array.flags.writeable:
        return array
    return array.copy()


def _change_faults(originals: Mapping[str, Any], index: Any, result: pd.DataFrame) -> list[Fault]:
    """Return how `result` differs from the view in what is not the provider's."""
    found = []
    if len(result) != len(index):
        text = f"rows: got {len(result)}, expected {len(index)}; some were added or dropped"
        found.append(Fault("row_preserving", text))
    elif result.index is not index and not result.index.equals(index):
        text = "index: changed; rows were reordered or relabelled"
        found.append(Fault("row_preserving", text))
    names = [str(name) for name in result.columns]
    doubled = sorted({name for name in names if names.count(name) > 1})
    found += [
        Fault("columns", f"'{name}': occurs {names.count(name)} times", name) for name in doubled
    ]
    found += [_not_read_only(name, "deleted") for name in originals if name not in names]
    if found:
        return found
    changed = (name for name, old in originals.items() if not _is_same(old, result[name]))
    return [_not_read_only(name, "changed") for name in changed]


def _not_read_only(name: str, what: str) -> Fault:
    return Fault("existing_columns_read_only", f"'{name}': {what}")


def _is_same(old: Any, column: pd.Series[Any]) -> bool:
    """Return whether a column still holds what it held; shared memory needs no comparison."""
    if column.dtype != old.dtype:
        return False
    if not isinstance(old, np.ndarray):
        return bool(old.equals(column.array))
    new = column.to_numpy()
    address = old.__array_interface__["data"][0]
    if not old.flags.writeable and new.__array_interface__["data"][0] == address:
        return new.strides == old.strides
    if old.dtype.kind == "O":
        return all(map(_is_equal, old, new))
    return np.array_equal(old, new, equal_nan=old.dtype.kind == "f")


def _is_equal(old: Any, new: Any) -> bool:
    if old is new:
        return True
    try:
        return bool(old == new)
    except ISOLATED:  # objects that cannot even be compared are not known to be the same
        return False


def _column_faults(
    declaration: Declaration, originals: Mapping[str, Any], result: pd.DataFrame
) -> list[Fault]:
    names = [str(name) for name in result.columns]
    missing = [
        Fault("columns", f"'{name}': declared, but not added", name)
        for name in declaration.columns
        if name not in names
    ]
    extra = [
        Fault("columns", f"'{name}': added, but not declared")
        for name in names
        if name not in originals and name not in declaration.columns
    ]
    wrong = [
        Fault("dtypes", f"'{name}': has dtype {result[name].dtype}, expected a number or boolean")
        for name in declaration.columns
        if names.count(name) == 1 and not _is_number(result[name])
    ]
    return missing + extra + wrong


def _is_number(column: pd.Series[Any]) -> bool:
    import pandas as pd

    types = pd.api.types
    return types.is_bool_dtype(column.dtype) or (
        types.is_numeric_dtype(column.dtype) and not types.is_complex_dtype(column.dtype)
    )


def _series(declaration: Declaration, column: str, values: pd.Series[Any]) -> pl.Series:
    """Return a provider's column as float64 that no pandas object holds on to."""
    try:
        floats = values.to_numpy(dtype="float64", na_value=np.nan)
    except ISOLATED as error:
        msg = f"Provider '{declaration.name}': column '{column}' is not float64: {cause(error)}"
        raise RunError.of(declaration.name, msg) from error
    return pl.Series(column, floats)
