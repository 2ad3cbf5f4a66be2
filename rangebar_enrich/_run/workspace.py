"""One series on its way through its plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa

from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich._plan.compile import is_feature_dtype
from rangebar_enrich._plan.mend import mended_columns
from rangebar_enrich._plan.plan import Plan, lost_dependants
from rangebar_enrich._provider.declaration import Declaration
from rangebar_enrich.errors import ProviderError, RunError, ShortHistoryError

_FOREVER = 2**62
"""Bars that no series has: how many must lie before a value that no number of them fixes."""


@dataclass(slots=True)
class SeriesRun:
    """One series on its way through its plan.

    Attributes:
        key: The series.
        plan: What to run.
        height: New bars.
        before: Bars before these.
        context: How many of those are at hand, and stand in `columns` before the new ones.
        is_complete: Whether the first bar of all is the first of the series.
        columns: Values computed so far, as the expressions gave them.
        finished: Values of the new bars alone, of what was not computed behind a context.
        failures: Providers that failed in this series, and why: nothing of them is computed.
        short: Providers of which the bars before do not fix all values, and why: these are
            computed, since others may read them, and are null in the end.
    """

    key: SeriesKey
    plan: Plan
    height: int
    before: int = 0
    context: int = 0
    is_complete: bool = True
    columns: dict[str, pl.Series] = field(default_factory=dict)
    finished: dict[str, pl.Series] = field(default_factory=dict)
    failures: dict[str, ProviderError] = field(default_factory=dict)
    short: dict[str, ShortHistoryError] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Note who fails from the outset, and who has too little history."""
        self.failures.update(self.plan.failures)
        if not self.is_complete:
            self._check_history()

    def fail(self, name: str, error: ProviderError) -> None:
        """Record a failure, and those of the providers that need this one."""
        self.failures[name] = error
        self.failures |= lost_dependants(self.plan.needs, self.failures)

    def error_of(self, name: str) -> ProviderError | None:
        """Return why a provider's values are not all there, `None` where they are."""
        return self.failures.get(name) or self.short.get(name)

    @property
    def has_failed(self) -> bool:
        """Whether there is a failure."""
        return bool(self.failures or self.short)

    def raise_first(self) -> None:
        """Raise the first failure, if there is one."""
        for error in (*self.failures.values(), *self.short.values()):
            raise error

    def values(self, column: str) -> pl.Series:
        """Return a column's values of the new bars, null where it has none."""
        if self.failures and self.plan.owners[column] in self.failures:
            return self.nothing(column)
        if column in self.finished:
            return self.finished[column]
        made = self.columns.get(column)
        if made is None:
            return self.nothing(column)
        # NOTE: of a context, what nobody reads may be missing.
        return made.tail(self.height) if self.context else made

    def nothing(self, column: str) -> pl.Series:
        """Return no value for each new bar."""
        return pl.Series(column, pa.nulls(self.height, pa.float64()))

    def needed(self, column: str, warm_up: int) -> int:
        """Return how many bars must lie before one for its value to count."""
        if self.is_complete:
            return warm_up
        fixed = self.plan.fixes.get(column, warm_up)
        return _FOREVER if fixed is None else fixed

    def short_rows(self, name: str) -> int:
        """Return how many of the new bars have no value of a provider for want of history."""
        if name in self.failures:
            is_short = isinstance(self.failures[name], ShortHistoryError)
            return self.height if is_short else 0
        if name not in self.short:
            return 0
        needed = self.plan.fixed_by[name]
        return self.height if needed is None else min(needed - self.before, self.height)

    def _check_history(self) -> None:
        for name, needed in self.plan.fixed_by.items():
            if needed is None:
                told = (
                    "its values depend on the whole series; give all of it with"
                    " history_is_complete=True, or declare the provider's 'lookback'"
                )
            elif self.before < needed:
                told = (
                    f"{needed} earlier bars fix its values, {self.before} were given:"
                    f" {needed - self.before} are missing"
                )
            else:
                continue
            self.short[name] = ShortHistoryError.of(name, f"Provider '{name}': {told}.")

    def take(self, made: Mapping[str, pl.Series]) -> None:
        """Keep a step's columns; a dtype that a provider's expressions did not promise fails it."""
        for column, series in made.items():
            if series.dtype != pl.Float64 and not is_feature_dtype(series.dtype):
                name = self.plan.owners[column]
                text = f"Provider '{name}': '{column}' came out as {series.dtype}, not a number."
                self.fail(name, RunError.of(name, text))
        if self.failures:
            made = {
                name: made[name] for name in made if self.plan.owners[name] not in self.failures
            }
        self.columns.update(made)

    def mended(self, declaration: Declaration) -> list[pl.Series]:
        """Return a provider's columns as later providers see them."""
        made = [self.columns[column] for column in declaration.columns]
        return mended_columns(made, declaration.warm_up)
