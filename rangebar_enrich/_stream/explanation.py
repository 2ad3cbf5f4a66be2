"""A plan in words: what runs when, how far each feature reads, what is shared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf

from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich._expr.common import WORTH_FROM_ROWS
from rangebar_enrich._plan.lower import form_of
from rangebar_enrich._plan.plan import LegacyStep, NativeStep, Plan
from rangebar_enrich._plan.provider import CompiledProvider
from rangebar_enrich._provider.declaration import cause
from rangebar_enrich._run.settings import Settings
from rangebar_enrich._stream.view import View
from rangebar_enrich._windows.staging import polars_windows


def explain_plan(view: View, key: SeriesKey, settings: Settings) -> str:
    """Return a plan as text: stages in order, reach of each feature, shared parts, failures."""
    count, features = len(settings.declarations), len(settings.planner.columns)
    plan = view.whole
    lines = [f"Plan for {key}: {count} provider(s), {features} feature(s)"]
    lines.append(f"Engine: {settings.engine} ({settings.why_engine})")
    for number, step in enumerate(plan.steps, 1):
        if isinstance(step, NativeStep):
            lines += _native_step(number, step)
        else:
            lines += _legacy_step(number, step)
    for name, error in plan.failures.items():
        lines.append(f"Failed: {name}: {cause(error)}")
    lines.extend(f"Left out: {one.name}: {cause(one.error)}" for one in settings.rejections)
    lines += _history(view)
    return "\n".join(lines)


def fixed_by(plan: Plan) -> int | None:
    """Return how many earlier bars fix every value of a plan, `None` where no number does."""
    counts = list(plan.fixed_by.values())
    return None if None in counts else max((n for n in counts if n is not None), default=0)


def _history(view: View) -> Iterator[str]:
    """Say how features go on from bar to bar."""
    finite = [count for count in view.whole.fixed_by.values() if count is not None]
    if finite:
        names = _listed(name for name, count in view.whole.fixed_by.items() if count is not None)
        yield f"History: {max(finite)} earlier bar(s) fix the values of {names}"
    if view.held:
        yield f"Held: {_listed(view.held)} go on from the state of their recursions"
    for name, reason in view.reasons.items():
        yield f"Whole series only: '{name}': {reason}; a declared 'lookback' would bound it"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))


def _native_step(number: int, step: NativeStep) -> Iterator[str]:
    yield f"Step {number}: one collect, {len(step.stages)} stage(s) of native providers"
    form = form_of(step, relative=step.relative)
    for position, stage in enumerate(step.stages):
        for place, one in enumerate(form.passes[position]):
            where = "inside" if position or place or one.inputs else "before"
            for text in one.texts(form.nodes):
                yield f"  windows {where} the plan: {text}"
        for text in polars_windows(form.exprs[position].values(), form.nodes):
            yield f"  window of Polars' own: {text}"
        for parts in form.sharing[position].stages:
            for part in parts:
                users = ", ".join(part.features)
                yield f"  shared from {WORTH_FROM_ROWS} bars on: {part.text}  by {users}"
        for provider in stage:
            yield from _provider(provider)


def _provider(provider: CompiledProvider) -> Iterator[str]:
    declaration = provider.declaration
    yield f"  {declaration.name} {declaration.version}"
    width = max(len(column) for column in provider.exprs)
    for column in provider.exprs:
        reach, rows = provider.reaches[column], declaration.warm_up[column]
        notes = [f"min_bars {rows}"]
        if reach.past == inf and declaration.lookback is not None:
            notes.append(f"lookback {declaration.lookback} (declared)")
        if reach.past != inf and rows < reach.past:
            notes.append(f"shorter than the {int(reach.past)} bars that its window needs")
        notes += [
            reason for reason in reach.reasons if reach.opaque or reach.times or reach.declared
        ]
        yield f"    {column:<{width}}  {reach}; {'; '.join(notes)}"


def _legacy_step(number: int, step: LegacyStep) -> Iterator[str]:
    made = step.declaration
    yield f"Step {number}: legacy provider, on a private pandas view"
    told = "not declared" if made.lookback is None else str(made.lookback)
    yield f"  {made.name} {made.version}"
    yield f"    {', '.join(made.columns)}; min_bars {made.min_bars}; lookback {told}"
