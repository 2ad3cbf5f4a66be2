"""Checks of the values themselves: warm-up, undefined values, hostile bars."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
import pyarrow.compute as pc

from rangebar_enrich._expr import tree
from rangebar_enrich._provider.declaration import ISOLATED, cause
from rangebar_enrich._trial.comparison import PRICES, Values, differing, shown
from rangebar_enrich.conformance.report import BrokenPromiseError
from rangebar_enrich.conformance.subject import Subject, quiet
from rangebar_enrich.engine import Enricher

_ROWS = 60
_FLOW = """
    volume turnover buy_volume sell_volume buy_turnover sell_turnover individual_trade_count
    agg_record_count buy_trade_count sell_trade_count trade_intensity volume_per_trade
""".split()
_COMPARISONS = frozenset({"Gt", "GtEq", "Lt", "LtEq", "Eq", "NotEq"})


def check_warm_up(subject: Subject) -> str:
    """Hold that the warm-up is null, and that every window is full after it."""
    enriched = subject.enriched(subject.enricher(), subject.tables.sample("walk").bars)
    faults = []
    for position, (column, rows) in enumerate(subject.declaration.warm_up.items()):
        if not np.isnan(enriched[:rows, position]).all():
            faults.append(f"'{column}': has values in its warm-up of {rows} bars")
    faults += list(_short_warm_ups(subject))
    if faults:
        raise BrokenPromiseError("\n".join(faults))
    longest = subject.declaration.min_bars
    return f"null for {longest} bars, defined after them" if longest else "no warm-up is needed"


def _short_warm_ups(subject: Subject) -> Iterator[str]:
    """Yield columns that, on bars without holes, always start later than declared."""
    clean = [
        made
        for sample, made in zip(subject.tables.samples, subject.full, strict=True)
        if sample.is_clean and not isinstance(made, BaseException)
    ]
    for position, column in enumerate(subject.columns):
        declared = subject.warm_up[position]
        starts = [_first_value(made[:, position]) for made in clean]
        known = {start for start in starts if start is not None}
        if not known:
            rows = max((len(made) for made in clean), default=0)
            yield f"'{column}': has no value in {rows} bars"
            continue
        start = known.pop()
        too_short = any(
            first is None and len(made) > start for first, made in zip(starts, clean, strict=True)
        )
        # NOTE: rows that differ from series to series are conditions, not windows.
        if not known and not too_short and start > declared:
            yield (
                f"'{column}': min_bars is {declared}, but its first value comes in row {start};"
                f" declare {start}"
            )


def _first_value(values: Values) -> int | None:
    defined = np.flatnonzero(~np.isnan(values))
    return int(defined[0]) if len(defined) else None


def check_undefined_is_null(subject: Subject) -> str:
    """Hold that no NaN comes out, ±inf passes, and no comparison turns NaN into a value."""
    enricher = subject.enricher()
    faults: list[str] = []
    frames = dict(_hostile(subject))
    for name in ("constant prices", "zero volume", "nulls", "NaN"):
        faults += _undefined_faults(subject, enricher, name, frames[name])
    quiet_bars = {name: frames[name] for name in ("constant prices", "zero volume")}
    faults += _laundered(subject, quiet_bars | {"ties": subject.tables.sample("ties").bars})
    if faults:
        raise BrokenPromiseError("\n".join(dict.fromkeys(faults)))
    return "undefined values come out as null, infinities as they are"


def _undefined_faults(
    subject: Subject, enricher: Enricher, name: str, bars: pl.DataFrame
) -> list[str]:
    raw = subject.one(bars)
    if isinstance(raw, BaseException):
        return []  # edge_inputs says so
    with quiet():
        table = subject.run(enricher, bars)
    faults = []
    for position, column in enumerate(subject.columns):
        made = table.column(column)
        if pc.any(pc.is_nan(made)).as_py():
            faults.append(f"'{column}': NaN comes out on bars with {name}")
        rows = subject.declaration.warm_up[column]
        infinite = np.where(np.isinf(raw[rows:, position]), raw[rows:, position], 0.0)
        values = made.to_numpy()[rows:]
        if not np.array_equal(np.where(np.isinf(values), values, 0.0), infinite):
            faults.append(f"'{column}': an infinity got lost on bars with {name}")
    return faults


def _laundered(subject: Subject, frames: dict[str, pl.DataFrame]) -> Iterator[str]:
    """Yield columns in which Polars compares a NaN, which it ranks above every number."""
    for column, expr in subject.exprs.items():
        guarded = _guarded(expr)
        if guarded is None:
            continue
        for name, bars in frames.items():
            try:
                pair = [expr.alias("__as_is"), guarded.alias("__guarded")]
                made = bars.select(one.cast(pl.Float64).fill_null(np.nan) for one in pair)
            except ISOLATED:
                continue  # it fails on its own, or cannot be guarded: nothing to compare
            was, now = (made[one].to_numpy()[:, None] for one in made.columns)
            rows = np.flatnonzero(differing(was, now, np.zeros(1)))
            if len(rows):
                yield (
                    f"'{column}': on bars with {name} it compares a NaN (0/0, say), which Polars"
                    f" ranks above every number: row {rows[0]} is {shown(was[rows[0], 0])}"
                    f" instead of {shown(now[rows[0], 0])}; end the operand with .fill_nan(None)"
                )
                break


def _guarded(expr: pl.Expr) -> pl.Expr | None:
    """Return the expression with NaN made null before each comparison; `None` where none is."""
    node = tree.decode(expr)
    if node is None or tree.has_udf(node):
        return None
    made, count = _guard(node)
    try:
        return tree.encode(made) if count else None
    except ISOLATED:
        return None


def _guard(node: tree.Node) -> tuple[tree.Node, int]:
    parts = [_guard(child) for child in tree.children(node)]
    count = sum(number for _, number in parts)
    children = [child for child, _ in parts]
    family, _, name = tree.operator(node).partition(".")
    if family == "BinaryExpr" and name in _COMPARISONS:
        children = [_without_nan(child) for child in children]
        count += 1
    return (tree.rebuild(node, children) if count else node), count


def _without_nan(node: tree.Node) -> tree.Node:
    if tree.kind(node) in {"Literal", "Column"}:
        return node
    made = tree.decode(pl.when(tree.encode(node).is_nan().not_()).then(tree.encode(node)))
    return node if made is None else made


def check_edge_inputs(subject: Subject) -> str:
    """Hold that few bars, holes, standstill and extreme magnitudes raise nothing."""
    frames = dict(_few(subject)) | dict(_hostile(subject))
    faults = []
    for name, bars in frames.items():
        made = subject.one(bars, provider=subject.fresh())
        if isinstance(made, BaseException):
            faults.append(f"{name}: {_said(made)}")
        elif len(made) != bars.height:
            faults.append(f"{name}: {len(made)} values for {bars.height} bars")
    empty = subject.enriched(subject.enricher(), subject.tables.sample("walk").bars.clear())
    if empty.shape != (0, len(subject.declaration.columns)):
        faults.append("0 bars: the declared columns do not come back")
    if faults:
        raise BrokenPromiseError("\n".join(faults))
    return f"{len(frames) + 1} kinds of bars, none fails"


def _said(error: BaseException) -> str:
    origin = error.__cause__ if error.__cause__ is not None else error
    return cause(origin)


def _few(subject: Subject) -> Iterator[tuple[str, pl.DataFrame]]:
    walk = subject.tables.bars("walk", subject.declaration.min_bars + 1, seed=subject.seed + 31)
    for rows in sorted({1, subject.declaration.min_bars, walk.height} - {0}):
        yield f"{rows} bar{'s' if rows > 1 else ''}", walk.head(rows)


def _hostile(subject: Subject) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield bars that real feeds never send, and some day do."""
    rows = _ROWS + subject.declaration.min_bars
    walk = subject.tables.bars("walk", rows, seed=subject.seed + 32)
    names = walk.columns
    prices = [name for name in PRICES if name in names]
    flow = [name for name in _FLOW if name in names]
    gone = pl.int_range(pl.len()) % 7 == 3
    yield "nulls", subject.tables.with_holes(walk)
    yield "nulls and NaN", subject.tables.with_holes(walk, nan=True)
    yield (
        "NaN",
        walk.with_columns(
            pl.when(~gone).then(pl.col(name)).otherwise(float("nan")).alias(name) for name in prices
        ),
    )
    no_price = [pl.lit(None, dtype=walk.schema[name]).alias(name) for name in prices]
    yield "no price at all", walk.with_columns(no_price)
    yield "zero volume", walk.with_columns(pl.col(name) * 0 for name in flow)
    yield "constant prices", walk.with_columns(pl.lit(100.0).alias(name) for name in prices)
    for factor in (1e-9, 1e12, 1e150):
        yield (
            f"prices of {factor * 100:.0e}",
            walk.with_columns(pl.col(name) * factor for name in prices),
        )
    mixed = pl.when(pl.int_range(pl.len()) % 2 == 0).then(1e-9).otherwise(1e9)
    yield "prices of mixed magnitude", walk.with_columns(pl.col(name) * mixed for name in prices)
