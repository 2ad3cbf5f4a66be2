"""Which recursive providers go on from a held state, and why the others cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from rangebar_enrich._plan.inline import standalone
from rangebar_enrich._plan.plan import Plan
from rangebar_enrich._plan.planner import Layout
from rangebar_enrich._recursion import Continuation, hold
from rangebar_enrich.errors import NotHeldError


@dataclass(frozen=True, slots=True)
class Held:
    """The providers of a plan whose values depend on more than a number of earlier bars.

    Attributes:
        continuations: What goes on from a state, by provider; one that declares a `lookback` is
            among them where it can be: the state is exact, the declaration an estimate.
        reasons: Why no state can be held, for those that declare no `lookback` either: they
            cannot go on.
    """

    continuations: Mapping[str, Continuation]
    reasons: Mapping[str, str]

    @classmethod
    def of(cls, plan: Plan, layout: Layout) -> Held:
        """Find them for a plan over bars of a layout."""
        found: dict[str, Continuation] = {}
        reasons: dict[str, str] = {}
        for name, count in plan.fixed_by.items():
            if not _is_recursive(plan, name):
                continue
            made = _continued(plan, name, layout)
            if not isinstance(made, str):
                found[name] = made
            elif count is None:
                reasons[name] = made
        return cls(found, reasons)


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
        return hold(standalone(plan, name), schema=dict(layout))
    except NotHeldError as error:
        return "; ".join(f"'{column}': {why}" for column, why in error.reasons.items())
    except ValueError as error:
        return str(error)
