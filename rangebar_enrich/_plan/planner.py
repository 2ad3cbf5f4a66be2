"""Plans for a set of providers: made once for each layout of columns and context, and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any, TypeVar

import polars as pl

from rangebar_enrich._bars.columns import BUILDER_COLUMNS
from rangebar_enrich._plan.passes import make_plan
from rangebar_enrich._plan.plan import Plan
from rangebar_enrich._provider.declaration import Declaration
from rangebar_enrich.protocol import BarContext

_MOST_PLANS = 10_000
"""The oldest is forgotten where there would be more."""

_Key = TypeVar("_Key")
Layout = tuple[tuple[str, pl.DataType], ...]
"""Names and dtypes of the columns that providers may read, in the order of the table."""


class Planner:
    """Compiles providers for bars of any layout; safe to share between threads.

    Args:
        declarations: The providers, in output order.
        relative: Whether windows are the kernels', not Polars' own.
    """

    def __init__(self, declarations: Sequence[Declaration], *, relative: bool = True) -> None:
        self.declarations, self.relative = tuple(declarations), relative
        self.columns = tuple(column for made in declarations for column in made.columns)
        self.own = frozenset(self.columns)
        self._plans: dict[tuple[Layout, str | None, int | None], Plan] = {}
        self._last: dict[Layout, Plan] = {}
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the providers alone: plans are made again where they are needed."""
        return (type(self), (self.declarations,))

    def layout(self, dtypes: Mapping[str, pl.DataType]) -> Layout:
        """Return the columns that providers may read: all but those that they make."""
        # NOTE: a list first: a generator is entered once for each column. Python objects can be
        # carried nowhere; legacy providers see them in a run.
        return tuple(
            [
                (name, dtype)
                for name, dtype in dtypes.items()
                if name not in self.own and dtype != pl.Object
            ]
        )

    def plan(self, layout: Layout, symbol: str | None, threshold: int | None) -> Plan:
        """Return the plan for a layout and a context."""
        key = (layout, symbol, threshold)
        plan = self._plans.get(key)
        if plan is not None:
            return plan
        with self._lock:
            if key not in self._plans:
                context = BarContext(symbol, threshold, dict(layout))
                # NOTE: taken out, so that the layout seen last stands last.
                similar = self._last.pop(layout, None)
                plan = make_plan(
                    self.declarations, context, relative=self.relative, similar=similar
                )
                _keep(self._plans, key, plan)
                _keep(self._last, layout, plan)
            return self._plans[key]

    def latest(self) -> Plan:
        """Return the plan made last, or one for the Rust builder's columns."""
        if not self._last:
            return self.plan(self.layout(BUILDER_COLUMNS), None, None)
        return next(reversed(self._last.values()))


def _keep(plans: dict[_Key, Plan], key: _Key, plan: Plan) -> None:
    if len(plans) >= _MOST_PLANS:
        del plans[next(iter(plans))]
    plans[key] = plan
