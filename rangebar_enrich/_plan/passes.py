"""What happens to providers' expressions before anything runs, from top to bottom."""

from __future__ import annotations

from collections.abc import Sequence

from rangebar_enrich._plan.compile import asked, compiled
from rangebar_enrich._plan.order import ordered
from rangebar_enrich._plan.plan import Plan
from rangebar_enrich._plan.proof import proven
from rangebar_enrich._plan.steps import joined
from rangebar_enrich._provider.declaration import Declaration
from rangebar_enrich.protocol import BarContext

PASSES = (compiled, ordered, proven, joined)
"""Each takes a plan and returns one of which more is known. How a step then runs is in `lower`."""


def make_plan(
    declarations: Sequence[Declaration],
    context: BarContext,
    *,
    relative: bool = True,
    similar: Plan | None = None,
) -> Plan:
    """Compile and order providers for one context.

    A provider that breaks the contract is in `failures`, as is each that needs it.

    Args:
        declarations: The providers, in output order.
        context: What they may know of the bars.
        relative: Whether windows are the kernels', not Polars' own.
        similar: A plan for the same columns and another context; it is returned where all
            expressions are equal to its own.
    """
    plan = asked(Plan(tuple(declarations), context, relative))
    if similar is not None and not plan.failures and similar.has_exprs(plan.exprs):
        return similar
    for one in PASSES:
        plan = one(plan)
    return plan
