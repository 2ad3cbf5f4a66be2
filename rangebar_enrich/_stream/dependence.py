"""What each provider's values depend on: how many earlier bars, and whose columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rangebar_enrich._plan.plan import Plan
from rangebar_enrich._stream.view import View


@dataclass(frozen=True, slots=True)
class Dependence:
    """What one provider's values depend on.

    Attributes:
        bars: Earlier bars that fix a value, warm-up included; `None`: every earlier bar.
        providers: Other providers whose columns it reads, directly or through others.
    """

    bars: int | None
    providers: frozenset[str]


def dependences(view: View) -> Mapping[str, Dependence]:
    """Return what each provider of a plan depends on.

    A recursion depends on every earlier bar, also where its provider declares a `lookback`: its
    state is exact, the declaration an estimate.
    """
    plan, endless = view.whole, view.held.keys() | view.reasons.keys()
    alone = {name: None if name in endless else count for name, count in plan.fixed_by.items()}
    found = {}
    for name in alone:
        read = _all_read(plan, name)
        counts = [alone[one] for one in (name, *read) if one in alone]
        finite = [count for count in counts if count is not None]
        bars = max(finite) if len(finite) == len(counts) else None
        found[name] = Dependence(bars, read)
    return found


def _all_read(plan: Plan, name: str) -> frozenset[str]:
    """Return the providers that one reads, and that these read."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        new = plan.needs.get(waiting.pop(), frozenset()) - found - {name}
        found |= new
        waiting += new
    return frozenset(found)
