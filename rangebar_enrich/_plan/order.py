"""Who runs before whom: an order found from what each provider reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rangebar_enrich._plan.plan import Plan, lost_dependants
from rangebar_enrich._provider.declaration import Declaration, Kind
from rangebar_enrich.errors import DependencyError, ProviderError, message


@dataclass(slots=True)
class Order:
    """Providers in groups that can run together, and those that cannot run.

    Attributes:
        groups: Names of native providers that run in one stage, or of one legacy provider.
        needs: Providers whose columns a provider cannot do without.
        failures: Members of a circle, and those that need a provider that failed.
    """

    groups: list[tuple[Kind, tuple[str, ...]]] = field(default_factory=list)
    needs: dict[str, frozenset[str]] = field(default_factory=dict)
    failures: dict[str, ProviderError] = field(default_factory=dict)


def ordered(plan: Plan) -> Plan:
    """Put providers into groups, each after those that its members read."""
    reads = {made.name: plan.reads_of(made) for made in plan.declarations}
    order = find_order(plan.declarations, reads, plan.owners, plan.failures)
    made = replace(plan, needs=order.needs, groups=tuple(order.groups))
    return made.failing(order.failures)


def find_order(
    declarations: Sequence[Declaration],
    reads: Mapping[str, Iterable[str]],
    owners: Mapping[str, str],
    failed: Iterable[str],
) -> Order:
    """Order providers so that each comes after those whose columns it reads.

    Args:
        declarations: All providers that could be declared, in output order.
        reads: Columns that each provider reads, by provider name.
        owners: Column to the provider that makes it.
        failed: Providers that have failed already.

    Returns:
        The order; providers of a circle, and what needs a failed one, are in `failures`.
    """
    order = Order()
    for made in declarations:
        read = {owners[name] for name in reads.get(made.name, ()) if name in owners}
        order.needs[made.name] = frozenset(read - {made.name})
    _fail_circles(order, set(failed))
    order.failures |= lost_dependants(order.needs, {*failed, *order.failures})
    lost = set(failed) | order.failures.keys()
    alive = [made for made in declarations if made.name not in lost]
    _group(order, alive)
    return order


def _reachable(start: str, needs: Mapping[str, frozenset[str]]) -> set[str]:
    found: set[str] = set()
    stack = list(needs.get(start, ()))
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            stack.extend(needs.get(name, ()))
    return found


def _fail_circles(order: Order, failed: set[str]) -> None:
    reach = {name: _reachable(name, order.needs) for name in order.needs}
    for name, found in reach.items():
        if name in found and name not in failed:
            members = sorted(other for other in found if name in reach.get(other, ()))
            text = message(
                f"Provider '{name}' reads its own result in a circle:",
                [f"'{member}' reads {_listed(order.needs[member])}" for member in members],
                "break the circle: one of them must not read the others' columns.",
            )
            order.failures[name] = DependencyError.of(name, text)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))


def _waits(alive: Sequence[Declaration], order: Order) -> dict[str, frozenset[str]]:
    """Return who must run before each provider.

    A legacy provider without `requires` sees what was made before it, so it waits for every
    native provider and for the legacy ones listed before it, but never for one that needs it.
    """
    names = {made.name for made in alive}
    waits = {made.name: order.needs[made.name] & names for made in alive}
    for position, made in enumerate(alive):
        if made.kind is Kind.NATIVE or made.requires is not None:
            continue
        for place, other in enumerate(alive):
            earlier = other.kind is Kind.NATIVE or place < position
            if other is not made and earlier and made.name not in _reachable(other.name, waits):
                waits[made.name] |= {other.name}
    return waits


def _group(order: Order, alive: Sequence[Declaration]) -> None:
    waits = _waits(alive, order)
    waiting = list(alive)
    done: set[str] = set()
    while waiting:
        ready = [made for made in waiting if waits[made.name] <= done]
        native = tuple(made.name for made in ready if made.kind is Kind.NATIVE)
        group = native or (ready[0].name,)
        order.groups.append((Kind.NATIVE if native else Kind.LEGACY, group))
        done |= set(group)
        waiting = [made for made in waiting if made.name not in done]
