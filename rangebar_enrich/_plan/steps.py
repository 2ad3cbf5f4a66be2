"""Groups of providers joined into as few collects as can be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from rangebar_enrich._plan.plan import LegacyStep, NativeStep, Plan
from rangebar_enrich._provider.declaration import Kind


def joined(plan: Plan) -> Plan:
    """Join neighbouring native groups into one step of several stages."""
    read = frozenset[str]().union(*(plan.reads_of(made) for made in plan.declarations))
    by_name = {made.name: made for made in plan.declarations}
    alive = [
        (kind, tuple(name for name in names if name not in plan.failures))
        for kind, names in plan.groups
    ]
    steps: list[NativeStep | LegacyStep] = []
    for kind, groups in groupby((one for one in alive if one[1]), key=lambda one: one[0]):
        if kind is Kind.NATIVE:
            stages = tuple(tuple(plan.compiled[name] for name in names) for _, names in groups)
            columns = {column for stage in stages for one in stage for column in one.exprs}
            steps.append(NativeStep(stages, read & columns, plan.schema, plan.relative))
        else:
            steps.extend(LegacyStep(by_name[name]) for _, names in groups for name in names)
    return replace(plan, steps=tuple(_viewed(steps)))


def _viewed(steps: Sequence[NativeStep | LegacyStep]) -> Iterator[NativeStep | LegacyStep]:
    """Yield the steps; native ones know whether a later provider is shown all that they make."""
    last = max((place for place, step in enumerate(steps) if _sees_all(step)), default=-1)
    for place, step in enumerate(steps):
        if isinstance(step, NativeStep) and place < last:
            yield replace(step, is_viewed=True)
        else:
            yield step


def _sees_all(step: NativeStep | LegacyStep) -> bool:
    return isinstance(step, LegacyStep) and step.declaration.requires is None
