"""A compiled plan as a stream sees it: what each provider goes on from.

Providers whose values a number of earlier bars fixes run with those bars as context. Recursive ones
go on from a held state. What neither can continue fails, and says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from rangebar_enrich._bars.columns import BUILDER_COLUMNS
from rangebar_enrich._bars.containers import read_bars
from rangebar_enrich._bars.series import SeriesKey, checked_threshold, split_series
from rangebar_enrich._plan.inline import standalone
from rangebar_enrich._plan.plan import LegacyStep, NativeStep, Plan
from rangebar_enrich._plan.planner import Layout, Planner
from rangebar_enrich._recursion import Continuation, hold
from rangebar_enrich.errors import NotHeldError, ProviderError, ShortHistoryError


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The providers of one compiled plan, by what they go on from.

    Attributes:
        whole: The plan itself.
        plan: Those that a number of earlier bars fixes; the others only fail in it.
        columns: What these make.
        held: What goes on from a state, by provider; one that declares a `lookback` is among
            them where it can be: the state is exact, the declaration an estimate.
        reasons: Why no state can be held, for those that declare no `lookback` either: they
            cannot go on.
        rows: Earlier bars that windows reach.
        carried: Bar columns to keep of them.
        passed: Columns of held providers that the others read, and their warm-up, in rows.
        reads: Bar columns that anybody reads; one at least, since a frame needs rows.
    """

    whole: Plan
    plan: Plan
    columns: tuple[str, ...]
    held: Mapping[str, Continuation]
    reasons: Mapping[str, str]
    rows: int
    carried: list[str]
    passed: Mapping[str, int]
    reads: frozenset[str]

    @classmethod
    def of(cls, plan: Plan, layout: Layout) -> View:
        """Look at a plan over bars of a layout."""
        held, reasons = _recursive(plan, layout)
        counts = {
            name: count
            for name, count in plan.fixed_by.items()
            if name not in held and count is not None
        }
        finite = plan.only(counts.keys(), failures=_stuck(reasons))
        made = {
            column: plan.native[name].declaration.warm_up[column]
            for name in held
            for column in plan.native[name].exprs
        }
        read = _read_by(finite, made)
        names = [name for name, _ in layout]
        has_legacy = any(isinstance(step, LegacyStep) for step in finite.steps)
        carried = [name for name in names if has_legacy or name in read] or names[:1]
        inputs = (name for one in held.values() for name in one.inputs)
        return cls(
            whole=plan,
            plan=finite,
            columns=tuple(column for step in finite.steps for column in step.columns),
            held=held,
            reasons=reasons,
            rows=max(counts.values(), default=0),
            carried=carried,
            passed={column: rows for column, rows in made.items() if column in read},
            reads=frozenset(carried).union(inputs),
        )


def unseen(
    planner: Planner, bars: Any, symbol: str | None, threshold: int | None
) -> tuple[View, SeriesKey]:
    """Look at the plan for bars without running it.

    Args:
        planner: The providers.
        bars: Bars in any eager kind, of which the first series counts; `None`: the columns that
            the Rust builder emits.
        symbol: Symbol of all bars, or `None`.
        threshold: Threshold of all bars in decimal basis points, or `None`.

    Raises:
        BarsError: The bars break a rule.
    """
    if bars is None:
        key = SeriesKey(symbol, checked_threshold(threshold))
        layout = planner.layout(BUILDER_COLUMNS)
    else:
        table = read_bars(bars)
        split = split_series(table, symbol=symbol, threshold_decimal_bps=threshold)
        key, layout = split.keys[0], planner.layout(table.dtypes)
    return View.of(planner.plan(layout, *key[:2]), layout), key


def _recursive(plan: Plan, layout: Layout) -> tuple[dict[str, Continuation], dict[str, str]]:
    """Return what goes on from a state, and why the rest that would have to does not."""
    held: dict[str, Continuation] = {}
    reasons: dict[str, str] = {}
    for name, count in plan.fixed_by.items():
        if _is_recursive(plan, name):
            made = _continued(plan, name, layout)
            if not isinstance(made, str):
                held[name] = made
            elif count is None:
                reasons[name] = made
    return held, reasons


def _is_recursive(plan: Plan, name: str) -> bool:
    provider = plan.native.get(name)
    if provider is None:
        return plan.fixed_by[name] is None
    return any(reach.past == inf for reach in provider.reaches.values())


def _continued(plan: Plan, name: str, layout: Layout) -> Continuation | str:
    """Return what goes on from a state, or why nothing does."""
    if name not in plan.native:
        return "a legacy provider shows nothing that could be held"
    try:
        return hold(standalone(plan, name), schema=dict(layout), relative=plan.relative)
    except NotHeldError as error:
        return "; ".join(f"'{column}': {why}" for column, why in error.reasons.items())
    except ValueError as error:
        return str(error)


def _stuck(reasons: Mapping[str, str]) -> dict[str, ProviderError]:
    """Return the failures of providers that cannot go on."""
    return {
        name: ShortHistoryError.of(
            name,
            f"Provider '{name}': its values depend on the whole series, and no state can be held:"
            f" {reason}. Declare its 'lookback', or compute the series in one run.",
        )
        for name, reason in reasons.items()
    }


def _read_by(plan: Plan, made: Mapping[str, int]) -> frozenset[str]:
    """Return the columns that a plan reads, or shows to legacy providers of what others made."""
    read: set[str] = set()
    for step in plan.steps:
        if isinstance(step, NativeStep):
            read.update(*(one.reads for one in step.providers))
        else:
            requires = step.declaration.requires
            read.update(made if requires is None else requires)
    return frozenset(read)
