"""Checks of how runs may differ: again, together, in pieces, pickled, in threads."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

import numpy as np
import polars as pl
import pyarrow as pa

from rangebar_enrich._bars.columns import MODE
from rangebar_enrich._provider.declaration import ISOLATED, cause
from rangebar_enrich._provider.pandas_view import writable_view
from rangebar_enrich._trial.comparison import Values, first_differences, is_same, shown
from rangebar_enrich.conformance import legacy
from rangebar_enrich.conformance.report import BrokenPromiseError
from rangebar_enrich.conformance.steadiness import unsteady
from rangebar_enrich.conformance.subject import Subject, quiet

_MODES = ("month", "week", "year")
_THREADS = 4
_ROUNDS = 6
_ROUNDS_OF_LEGACY = 3
_SWITCH_SECONDS = 1e-5


def check_deterministic(subject: Subject) -> str:
    """Hold that the same bars give the same values, whatever was computed before."""
    found = unsteady(subject)
    if found:
        lines = dict.fromkeys(f"'{column}': {text}" for column, text in found)
        raise BrokenPromiseError("\n".join(lines))
    return "the same bars give the same values"


def _columns(subject: Subject, positions: Sequence[int]) -> str:
    return ", ".join(f"'{subject.declaration.columns[one]}'" for one in positions)


def check_idempotent(subject: Subject) -> str:
    """Hold that enriching enriched bars gives the same columns again."""
    bars = subject.tables.sample("walk").bars
    enricher = subject.enricher()
    once = subject.enriched(enricher, bars)
    stale = bars.with_columns(
        pl.Series(name, np.full(bars.height, 7.0)) for name in subject.declaration.columns
    )
    twice = subject.enriched(enricher, stale)
    wrong = np.flatnonzero(~is_same(once, twice)).tolist()
    if wrong:
        msg = f"{_columns(subject, wrong)}: enriching twice gives other values"
        raise BrokenPromiseError(msg)
    if not subject.is_native:
        _check_older_loader(subject, bars)
    return "enriching twice gives the same"


def _check_older_loader(subject: Subject, bars: pl.DataFrame) -> None:
    """Call `enrich` on its own output, which the engine never shows and the older loader does."""
    frame = writable_view(legacy.legacy_bars(bars))
    provider = subject.fresh()
    columns = list(subject.declaration.columns)
    with quiet():
        first = legacy.call(provider, frame, subject.context)
        once = first[columns].to_numpy(dtype="float64", na_value=np.nan, copy=True)
        second = legacy.call(provider, first, subject.context)
        twice = second[columns].to_numpy(dtype="float64", na_value=np.nan)
    wrong = np.flatnonzero(~is_same(once, twice)).tolist()
    if wrong:
        msg = (
            f"{_columns(subject, wrong)}: a second enrich() on the same DataFrame, as the older"
            " loader may call it, gives other values"
        )
        raise BrokenPromiseError(msg)


def _difference(subject: Subject, expected: Values, actual: Values) -> str | None:
    if expected.shape != actual.shape:
        return f"{len(actual)} rows instead of {len(expected)}"
    found = first_differences(expected, actual)
    if not found:
        return None
    row, column, before, after = found[0]
    name = subject.declaration.columns[column]
    return f"'{name}' row {row} is {shown(after)} instead of {shown(before)}"


def check_batching(subject: Subject) -> str:
    """Hold that chunks, slices and other series in the table change nothing."""
    enricher = subject.enricher(unmasked=True)
    names = ("walk", "swings", "rising")
    bars = [subject.tables.sample(name).bars for name in names]
    alone = [subject.enriched(enricher, one) for one in bars]
    faults = []
    for name, table in _layouts(bars[0], subject.seed):
        fault = _difference(subject, alone[0], subject.enriched(enricher, table))
        if fault:
            faults.append(f"{name}: {fault}")
    for name, order in _orders(bars, subject.seed):
        table = _several(bars)[order]
        back = np.argsort(order, kind="stable")
        together = subject.enriched(enricher, table)[back]
        parts = np.split(together, np.cumsum([one.height for one in bars])[:-1])
        for expected, actual in zip(alone, parts, strict=True):
            fault = _difference(subject, expected, actual)
            if fault:
                faults.append(f"{name}: {fault}")
                break
    if faults:
        raise BrokenPromiseError("\n".join(faults))
    return "chunks, slices and other series in the table change nothing"


def _layouts(bars: pl.DataFrame, seed: int) -> Iterator[tuple[str, pa.Table]]:
    """Yield the same bars in Arrow memory laid out otherwise."""
    table = bars.to_arrow()
    rng = np.random.default_rng([seed, 41])
    edges = [0, *sorted(rng.choice(np.arange(1, bars.height), 5, replace=False).tolist())]
    ends = [*edges[1:], bars.height]
    pieces = [table.slice(a, b - a) for a, b in zip(edges, ends, strict=True)]
    yield "chunked Arrow", pa.concat_tables(pieces)
    copies = [pa.Table.from_pylist(piece.to_pylist(), schema=table.schema) for piece in pieces[:3]]
    yield "chunks in memory of their own", pa.concat_tables([*copies, *pieces[3:]])
    framed = pa.concat_tables([table.slice(0, 5), table, table.slice(0, 3)]).combine_chunks()
    yield "sliced buffers", framed.slice(5, bars.height)


def _several(bars: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return the series below each other, told apart by ouroboros mode: the context stays."""
    parts = [
        one.with_columns(pl.lit(mode).alias(MODE)) for one, mode in zip(bars, _MODES, strict=True)
    ]
    return pl.concat(parts)


def _orders(
    bars: Sequence[pl.DataFrame], seed: int
) -> Iterator[tuple[str, np.ndarray[tuple[int], np.dtype[np.int64]]]]:
    rows = sum(one.height for one in bars)
    yield "several series, one after another", np.arange(rows)
    which = np.repeat(np.arange(len(bars)), [one.height for one in bars])
    shuffled = np.random.default_rng([seed, 42]).permutation(which)
    # NOTE: any mixture of the series that keeps each in order.
    order = np.empty(rows, dtype=np.int64)
    for one in range(len(bars)):
        order[shuffled == one] = np.flatnonzero(which == one)
    yield "several series, rows mixed", order


def check_pickling(subject: Subject) -> str:
    """Hold that a pickled provider is the same provider: workers get theirs so."""
    try:
        copy = pickle.loads(pickle.dumps(subject.fresh()))  # noqa: S301 - our own bytes
    except ISOLATED as error:
        raise BrokenPromiseError(cause(error)) from error
    bars = subject.tables.sample("walk").bars
    expected, actual = subject.one(bars), subject.one(bars, provider=copy)
    if isinstance(actual, BaseException):
        if isinstance(expected, BaseException):
            return "a pickled copy comes back"
        msg = f"the pickled copy fails: {cause(actual)}"
        raise BrokenPromiseError(msg)
    if isinstance(expected, BaseException):
        return "a pickled copy comes back"
    wrong = np.flatnonzero(~is_same(expected, actual)).tolist()
    if wrong:
        names = ", ".join(f"'{subject.columns[one]}'" for one in wrong)
        msg = f"{names}: the pickled copy gives other values"
        raise BrokenPromiseError(msg)
    return "a pickled copy gives the same values"


def check_thread_safe(subject: Subject) -> str:
    """Hold that runs at the same time do not disturb each other."""
    names = ("walk", "swings", "rising", "late extremes")
    bars = [subject.tables.sample(name).bars for name in names]
    expected = [subject.one(one) for one in bars]
    barrier = Barrier(_THREADS)
    rounds = _ROUNDS if subject.is_native else _ROUNDS_OF_LEGACY

    def work(thread: int) -> None:
        for turn in range(rounds):
            which = (thread + turn) % len(bars)
            barrier.wait(timeout=60)
            fault = _disturbed(subject, expected[which], subject.one(bars[which]))
            if fault:
                found.append(f"series '{names[which]}': {fault}")

    found: list[str] = []
    with _switching_often(), quiet(), ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(work, range(_THREADS)))
    if found:
        head = f"{len(found)} of {_THREADS * rounds} runs in {_THREADS} threads differ from a run alone:"
        raise BrokenPromiseError("\n".join([head, *dict.fromkeys(found[:3])]))
    return f"{_THREADS * rounds} runs in {_THREADS} threads, each as alone"


def _disturbed(
    subject: Subject, expected: Values | BaseException, actual: Values | BaseException
) -> str | None:
    if isinstance(actual, BaseException):
        return None if isinstance(expected, BaseException) else cause(actual)
    return None if isinstance(expected, BaseException) else _difference(subject, expected, actual)


@contextmanager
def _switching_often() -> Iterator[None]:
    """Make Python change threads often, so that races show."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
