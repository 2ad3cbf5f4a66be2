"""The provider under examination: its raw values on any bars, with nothing masked.

Values come straight from the expressions or from `enrich`, before warm-up is written, so that
no fault hides in the rows that the engine makes null.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from rangebar_enrich._bars.columns import SYMBOL, THRESHOLD
from rangebar_enrich._bars.table import without_nan
from rangebar_enrich._expr import tree
from rangebar_enrich._plan.lower import applied
from rangebar_enrich._plan.passes import make_plan
from rangebar_enrich._plan.plan import NativeStep, Plan
from rangebar_enrich._provider.declaration import ISOLATED, Declaration, Kind
from rangebar_enrich._provider.fault import Fault
from rangebar_enrich._provider.pandas_view import run_legacy
from rangebar_enrich._trial.comparison import Values, input_scale
from rangebar_enrich._trial.samples import Recipe, make_bars
from rangebar_enrich._trial.shapes import MARKET
from rangebar_enrich._windows.staging import Extent
from rangebar_enrich.conformance import legacy, native
from rangebar_enrich.conformance.form import Form
from rangebar_enrich.conformance.layout import clocks_in, layout_of, named_dtype
from rangebar_enrich.conformance.tables import Tables
from rangebar_enrich.engine import Enricher
from rangebar_enrich.errors import ProviderError, RunError
from rangebar_enrich.protocol import BarContext
from rangebar_enrich.reach import Reach, reaches_of

_PROBED_ROWS = 64
_TRIED_ROWS = 8
_OF_ALL_COLUMNS = ("full", "reaches", "reads", "proven", "runs_python", "span", "_plan", "_formula")
_LARGEST_COUNT = 20_000
_LONG = {Kind.NATIVE: (1200, 50_000), Kind.LEGACY: (600, 6_000)}


@dataclass(frozen=True, slots=True)
class Formula:
    """A native provider's expressions, and the engine's plan for them where it has one."""

    exprs: Mapping[str, pl.Expr]
    plan: Plan | None

    def over(self, bars: pl.DataFrame) -> pl.LazyFrame:
        """Return the features of one series, lazily: nothing is masked."""
        if self.plan is None:
            return bars.lazy().with_columns(self.exprs.values()).select(list(self.exprs))
        (step,) = (one for one in self.plan.steps if isinstance(one, NativeStep))
        plan, _ = applied(step, bars, Extent.of([bars.height], [0]))
        return plan.select(list(self.exprs))


class Subject:
    """A provider that could be declared.

    Args:
        declaration: The provider.
        context: Symbol, threshold and columns; the builder's columns where it names none.
        given: The author's own bars of one series, or `None`.
        seed: Seed of everything random.
    """

    def __init__(
        self,
        declaration: Declaration,
        context: BarContext,
        given: pl.DataFrame | None = None,
        seed: int = 0,
    ) -> None:
        self.declaration = declaration
        self.seed = seed
        self.is_native = declaration.kind is Kind.NATIVE
        self.given = given
        self._pristine = _copied(declaration.provider)
        self.form = Form()
        self.made_up: list[str] = []
        self.unsteady: list[tuple[str, str]] | None = None
        self._exprs: dict[str, pl.Expr] = {}
        with quiet():
            self.context = self._extended(context, layout_of(context, given, declaration))
            self.recipe = self._recipe()
            self._learn_form()

    def _recipe(self) -> Recipe:
        """Return which columns generated bars have; they agree with the context."""
        layout = self.context.columns
        told = {SYMBOL: self.context.symbol, THRESHOLD: self.context.threshold_decimal_bps}
        fixed = {name: value for name, value in told.items() if value is not None}
        return Recipe(layout, clocks_in(layout, self.given), self.given, fixed)

    def _extended(self, context: BarContext, layout: Mapping[str, pl.DataType]) -> BarContext:
        """Return a context with the columns that other providers would make."""
        context = replace(context, columns=layout)
        if not self.is_native:
            return context
        absent = native.absent_columns(self._fresh_declaration(), context)
        self.made_up += absent
        layout = {**layout, **{name: named_dtype(name) for name in absent}}
        for name, readers in absent.items():
            layout[name] = _fitting_dtype(name, readers, layout)
        return replace(context, columns=layout)

    def _fresh_declaration(self) -> Declaration:
        return replace(self.declaration, provider=self.fresh())

    def _learn_form(self) -> None:
        rows = _PROBED_ROWS + self.declaration.min_bars
        probe = make_bars(MARKET["walk"], rows, self.seed + 99, self.recipe)
        before = probe.hash_rows(seed=1)
        declaration = self._fresh_declaration()
        if self.is_native:
            self._exprs, faults = native.sound_expressions(declaration, self.context, probe)
            self.form.add(faults)
        else:
            try:
                run_legacy(declaration, legacy.legacy_bars(probe), self.context)
            except ProviderError as error:
                self.form.add(error.faults)
        if not before.equals(probe.hash_rows(seed=1)):
            text = "the bars' memory was written to"
            self.form.add([Fault("existing_columns_read_only", text)])

    @property
    def columns(self) -> tuple[str, ...]:
        """Declared columns that have values to look at."""
        if self.is_native:
            return tuple(self._exprs)
        return () if self.form else self.declaration.columns

    @property
    def warm_up(self) -> list[int]:
        """Warm-up of each of `columns`, in rows."""
        return [self.declaration.warm_up[column] for column in self.columns]

    @property
    def exprs(self) -> Mapping[str, pl.Expr]:
        """A native provider's sound expressions; none for a legacy one."""
        return self._exprs

    @cached_property
    def runs_python(self) -> bool:
        """Whether Python code of the provider runs on data."""
        return not self.is_native or native.runs_python(native.trees(self._exprs))

    def scale(self, *frames: pl.DataFrame) -> float:
        """Return the size of the prices that it reads in some bars, 0 where it reads none."""
        return input_scale(*map(self.narrowed, frames))

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """Columns that expressions may read."""
        nodes = native.trees(self._exprs)
        if any(node is None or tree.selects_by_rule(node) for node in nodes):
            return tuple(self.context.columns)
        roots = {name for expr in self._exprs.values() for name in expr.meta.root_names()}
        return tuple(name for name in self.context.columns if name in roots)

    @cached_property
    def reaches(self) -> Mapping[str, Reach]:
        """What the expressions prove of their reach; nothing for a legacy provider."""
        return reaches_of(self._exprs, schema=self.context.columns)

    @cached_property
    def proven(self) -> frozenset[str]:
        """Columns whose operators prove that nothing is read ahead."""
        return frozenset(name for name, reach in self.reaches.items() if reach.is_causal)

    @property
    def is_proven(self) -> bool:
        """Whether all of its columns are."""
        return self.proven.issuperset(self.columns)

    @cached_property
    def span(self) -> int:
        """The longest window that is known of, in bars."""
        counts = [self.declaration.min_bars, self.declaration.lookback or 0]
        if self.is_native:
            counts.append(native.largest_count(native.trees(self._exprs), _LARGEST_COUNT))
        return max(counts)

    @property
    def long_rows(self) -> int:
        """Number of bars that make up a long history."""
        least, most = _LONG[self.declaration.kind]
        return min(max(least, 4 * self.span), most)

    @cached_property
    def tables(self) -> Tables:
        """The series on which promises are tried."""
        return Tables(self.recipe, self.seed, self.span, _LONG[self.declaration.kind][1])

    def only(self, *columns: str) -> Subject:
        """Return the same subject with some columns of a native provider, the same bars."""
        if not self.is_native or len(columns) == len(self.columns):
            return self
        exprs = {column: self._exprs[column] for column in columns}
        made = copy.copy(self)
        facts = vars(made)
        facts["_exprs"], facts["_pristine"] = exprs, None
        facts["declaration"] = replace(
            self.declaration,
            provider=SimpleNamespace(expressions=lambda _context: exprs),
            columns=columns,
            warm_up={column: self.declaration.warm_up[column] for column in columns},
        )
        for name in _OF_ALL_COLUMNS:
            facts.pop(name, None)
        return made

    def narrowed(self, bars: pl.DataFrame) -> pl.DataFrame:
        """Return the columns that matter: those read, or all for a legacy provider."""
        return bars.select(self.reads or list(self.context.columns)[:1]) if self.is_native else bars

    def fresh(self) -> Any:
        """Return a copy of the provider as it was before it saw any bars, where it can be copied."""
        return self.declaration.provider if self._pristine is None else _copied(self._pristine)

    @property
    def can_be_copied(self) -> bool:
        """Whether `fresh` gives copies."""
        return self._pristine is not None

    @cached_property
    def full(self) -> list[Values | BaseException]:
        """Values of every sample, whole."""
        return self.values([sample.bars for sample in self.tables.samples])

    def values(
        self, frames: Sequence[pl.DataFrame], *, provider: Any = None
    ) -> list[Values | BaseException]:
        """Return raw values of each frame, or what evaluating it raised.

        Args:
            frames: Bars of one series each, at least one row.
            provider: A copy of the provider that is asked instead.

        Returns:
            For each frame rows by `columns`, NaN where undefined.
        """
        with quiet():
            if not self.is_native:
                return [self._legacy_values(frame, provider) for frame in frames]
            return self._native_values(frames, provider)

    def one(self, frame: pl.DataFrame, *, provider: Any = None) -> Values | BaseException:
        """Return the values of one frame, computed alone."""
        return self.values([frame], provider=provider)[0]

    def _native_values(
        self, frames: Sequence[pl.DataFrame], provider: Any
    ) -> list[Values | BaseException]:
        try:
            formula = self._formula if provider is None else self._formula_of(provider)
        except ProviderError as error:
            return [error] * len(frames)
        plans = [formula.over(without_nan(self.narrowed(frame))) for frame in frames]
        if not self.runs_python:
            try:
                return [_as_values(one) for one in pl.collect_all(plans, engine="in-memory")]
            except ISOLATED:
                pass  # one of them fails: each alone tells which
        # NOTE: Python code runs on one frame after another, so that a provider which is not
        # thread safe is found by that check and not by all.
        return [_collected(plan, frame.height) for plan, frame in zip(plans, frames, strict=True)]

    @cached_property
    def _formula(self) -> Formula:
        """The expressions as the engine computes them; those it refuses, as they are."""
        plan = self._plan
        whole = not plan.failures and tuple(self._exprs) == self.declaration.columns
        return Formula(self._exprs, plan if whole else None)

    def _formula_of(self, provider: Any) -> Formula:
        declaration = replace(self.declaration, provider=provider)
        if self._formula.plan is not None:
            plan = make_plan([declaration], self.context, similar=self._formula.plan)
            return Formula(self._exprs, None if plan.failures else plan)
        found, faults = native.ask(declaration, self.context)
        if not found.keys() >= self._exprs.keys():
            text = f"expressions() no longer makes what it made: {', '.join(map(str, faults))}"
            raise RunError.of(self.declaration.name, text)
        return Formula({name: found[name] for name in self._exprs}, None)

    def _legacy_values(self, frame: pl.DataFrame, provider: Any) -> Values | BaseException:
        declaration = self.declaration
        if provider is not None:
            declaration = replace(declaration, provider=provider)
        try:
            made = run_legacy(declaration, legacy.legacy_bars(frame), self.context)
        except ProviderError as error:
            return error
        return np.column_stack([series.to_numpy() for series in made.values()])

    @cached_property
    def _plan(self) -> Plan:
        with quiet():
            return make_plan([self.declaration], self.context)

    @property
    def refusal(self) -> ProviderError | None:
        """Why the engine does not run the provider, or `None` where it does."""
        return self._plan.failures.get(self.declaration.name)

    def enricher(self, *, unmasked: bool = False) -> Enricher:
        """Return the engine with this provider; unmasked, it writes no warm-up."""
        made = self.declaration
        provider = made.provider
        if unmasked:
            verb = "expressions" if self.is_native else "enrich"
            provider = SimpleNamespace(
                name=made.name,
                version=made.version,
                columns=made.columns,
                min_bars=0,
                lookback=made.lookback,
                requires=made.requires,
                **{verb: getattr(provider, verb)},
            )
        return Enricher([provider], on_error="raise")

    def run(self, enricher: Enricher, bars: Any) -> pa.Table:
        """Run the engine on bars of this context."""
        symbol, threshold = self.context.symbol, self.context.threshold_decimal_bps
        return enricher.run(bars, symbol=symbol, threshold_decimal_bps=threshold).table

    def enriched(self, enricher: Enricher, bars: Any) -> Values:
        """Run the engine and return the feature columns; a null is NaN, a NaN stays one too."""
        with quiet():
            table = self.run(enricher, bars)
        columns = [table.column(name).to_numpy() for name in self.declaration.columns]
        return np.column_stack(columns)


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore warnings of the provider's code: hostile bars are bound to cause some."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _copied(provider: Any) -> Any | None:
    """Return a deep copy, or `None` where there can be none."""
    try:
        return copy.deepcopy(provider)
    except ISOLATED:
        return None


def _fitting_dtype(
    name: str, readers: Sequence[pl.Expr], layout: Mapping[str, pl.DataType]
) -> pl.DataType:
    """Return the dtype with which the expressions that read a column can be computed."""
    likely = layout[name]
    for dtype in [likely, pl.Float64(), pl.Boolean(), pl.Int64(), pl.String(), pl.Datetime("us")]:
        tried = {**layout, name: dtype}
        bars = make_bars(MARKET["walk"], _TRIED_ROWS, 0, Recipe(tried, clocks_in(tried, None)))
        made = [_collected(bars.lazy().select(one), _TRIED_ROWS) for one in readers]
        if not any(isinstance(one, BaseException) for one in made):
            return dtype
    return likely


def _as_values(made: pl.DataFrame) -> Values:
    """Return columns as float64, null as NaN."""
    values: Values = made.select(pl.all().cast(pl.Float64).fill_null(float("nan"))).to_numpy()
    return values


def _collected(plan: pl.LazyFrame, height: int) -> Values | BaseException:
    try:
        values = _as_values(plan.collect(engine="in-memory"))
    except ISOLATED as error:
        return error
    if len(values) != height:
        msg = f"{len(values)} values for {height} bars"
        return ValueError(msg)
    return values
