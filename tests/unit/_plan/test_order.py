from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rangebar_enrich._plan.order import find_order
from rangebar_enrich._provider.declaration import Kind, declare

NAMES = [f"p{i}" for i in range(7)]


def _declared(name, *, is_legacy=False, requires=None):
    attributes = {"name": name, "version": "1", "columns": (f"{name}_a",), "min_bars": 0}
    verb = "enrich" if is_legacy else "expressions"
    attributes[verb] = lambda *_: None
    attributes["requires"] = requires
    return declare(type("Provider", (), attributes)())


@st.composite
def _houses(draw):
    """Draw providers, what each reads, and who has failed already."""
    count = draw(st.integers(1, len(NAMES)))
    names = NAMES[:count]
    kinds = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    edges = {name: draw(st.sets(st.sampled_from(names), max_size=3)) - {name} for name in names}
    failed = draw(st.sets(st.sampled_from(names), max_size=2))
    bound = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    declarations = [
        _declared(name, is_legacy=is_legacy, requires=() if is_bound else None)
        for name, is_legacy, is_bound in zip(names, kinds, bound, strict=True)
    ]
    return declarations, edges, failed


def _found(declarations, edges, failed):
    reads = {name: {f"{other}_a" for other in others} for name, others in edges.items()}
    owners = {f"{made.name}_a": made.name for made in declarations}
    return find_order(declarations, reads, owners, failed)


def _closure(name, edges):
    seen, stack = set(), list(edges[name])
    while stack:
        other = stack.pop()
        if other not in seen:
            seen.add(other)
            stack.extend(edges[other])
    return seen


@given(_houses())
def test_order_runs_each_after_what_it_reads(house):
    declarations, edges, failed = house

    order = _found(declarations, edges, failed)

    place = {name: i for i, (_, group) in enumerate(order.groups) for name in group}
    for name, position in place.items():
        assert all(place[other] < position for other in edges[name])


@given(_houses())
def test_order_holds_or_fails_every_provider_exactly_once(house):
    declarations, edges, failed = house

    order = _found(declarations, edges, failed)

    placed = [name for _, group in order.groups for name in group]
    assert sorted([*placed, *order.failures, *failed]) == sorted(edges)


@given(_houses())
def test_order_fails_circles_and_what_needs_a_failed_one_and_no_other(house):
    declarations, edges, failed = house
    circles = {name for name in edges if name in _closure(name, edges)}
    lost = {name for name in edges if _closure(name, edges) & (circles | failed)}

    order = _found(declarations, edges, failed)

    assert set(order.failures) == (circles | lost) - failed
    for name, error in order.failures.items():
        told = _closure(name, edges) & (failed | set(order.failures))
        assert any(f"'{other}'" in str(error) for other in told)
        assert error.provider == name


@given(_houses())
def test_order_shows_legacy_providers_what_came_before(house):
    declarations, edges, failed = house

    order = _found(declarations, edges, failed)

    place = {name: i for i, (_, group) in enumerate(order.groups) for name in group}
    for position, made in enumerate(declarations):
        if made.kind is Kind.NATIVE or made.requires is not None or made.name not in place:
            continue
        for other in declarations[:position]:
            waits_for_me = made.name in _closure(other.name, edges)
            if other.kind is Kind.NATIVE and other.name in place and not waits_for_me:
                assert place[other.name] < place[made.name] or _waits(
                    other, made, declarations, edges
                )


def _waits(other, made, declarations, edges):
    """Return whether `other` waits for `made` through a legacy provider that it reads."""
    by_name = {one.name: one for one in declarations}
    needed = {by_name[name] for name in _closure(other.name, edges)}
    return any(one.kind is Kind.LEGACY and one.requires is None for one in needed)


@given(_houses())
def test_order_groups_are_of_one_kind_and_legacy_ones_alone(house):
    declarations, edges, failed = house
    kinds = {made.name: made.kind for made in declarations}

    for kind, group in _found(declarations, edges, failed).groups:
        assert {kinds[name] for name in group} == {kind}
        assert kind is Kind.NATIVE or len(group) == 1


def test_order_of_independent_providers_is_one_group():
    declarations = [_declared(name) for name in NAMES]

    order = _found(declarations, {name: set() for name in NAMES}, ())

    assert order.groups == [(Kind.NATIVE, tuple(NAMES))]


@pytest.mark.parametrize("size", [2, 5])
def test_circle_names_each_member_and_what_it_reads(size):
    names = NAMES[:size]
    edges = {name: {names[(i + 1) % size]} for i, name in enumerate(names)}

    order = _found([_declared(name) for name in names], edges, ())

    lines = "\n".join(f"- '{n}' reads '{names[(i + 1) % size]}'" for i, n in enumerate(names))
    assert str(order.failures["p1"]) == (
        f"Provider 'p1' reads its own result in a circle:\n{lines}\n"
        "Hint: break the circle: one of them must not read the others' columns."
    )
