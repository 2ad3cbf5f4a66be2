"""One series on its way through its plan."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa

from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich._plan.compile import is_feature_dtype
from rangebar_enrich._plan.mend import mended_columns
from rangebar_enrich._plan.plan import Plan, lost_dependants
from rangebar_enrich._provider.declaration import Declaration
from rangebar_enrich.errors import ProviderError, RunError, ShortHistoryError


@dataclass(slots=True)
class SeriesRun:
    """One series on its way through its plan.

    Attributes:
        key: The series.
        plan: What to run.
        columns: Values computed so far, history first, as the expressions gave them.
        failures: Providers that failed in this series, and why.
        short: Of those, the ones whose values the history given does not fix.
    """

    key: SeriesKey
    plan: Plan
    columns: dict[str, pl.Series] = field(default_factory=dict)
    failures: dict[str, ProviderError] = field(default_factory=dict)
    short: set[str] = field(default_factory=set)

    def fail(self, name: str, error: ProviderError) -> None:
        """Record a failure, and those of the providers that need this one."""
        self.failures[name] = error
        self.failures |= lost_dependants(self.plan.needs, self.failures)

    def values(self, column: str, height: int, before: int = 0) -> pl.Series:
        """Return a column's last `height` values, behind `before` others; null where it has none."""
        made = self.columns.get(column)
        if made is None:
            return pl.Series(column, pa.nulls(height, pa.float64()))
        return made.slice(before) if before else made

    def raise_first(self) -> None:
        """Raise the first failure, if there is one."""
        for error in self.failures.values():
            raise error

    def check_history(self, before: int, names: Collection[str] | None = None) -> None:
        """Fail the providers, of `names` or of all, whose values `before` rows do not fix."""
        for name, needed in self.plan.fixed_by.items():
            if name in self.failures or (needed is not None and before >= needed):
                continue
            if names is not None and name not in names:
                continue
            if needed is None:
                told = (
                    "its values depend on the whole series; give all of it with"
                    " history_is_complete=True, or declare the provider's 'lookback'"
                )
            else:
                told = (
                    f"{needed} earlier bars fix its values, {before} were given:"
                    f" {needed - before} are missing"
                )
            self.short.add(name)
            self.failures[name] = ShortHistoryError.of(name, f"Provider '{name}': {told}.")
        # NOTE: at the end, for of two that read each other each has a count of its own.
        self.failures |= lost_dependants(self.plan.needs, self.failures)

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
