"""One series on its way through its plan."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa

from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich._plan.compile import CompiledProvider, is_feature_dtype
from rangebar_enrich._plan.order import fail_dependants
from rangebar_enrich._plan.plan import Plan, mended_column
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
        fail_dependants(self.plan.needs, self.failures, set())

    def values(self, column: str, height: int) -> pl.Series:
        """Return a column's values, null where it has none."""
        made = self.columns.get(column)
        return pl.Series(column, pa.nulls(height, pa.float64())) if made is None else made

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
        fail_dependants(self.plan.needs, self.failures, set())

    def take(self, provider: CompiledProvider, made: Mapping[str, pl.Series]) -> None:
        """Keep a provider's columns; a dtype that its expressions did not promise fails it."""
        if provider.name in self.failures:
            return
        for column in provider.exprs:
            dtype = made[column].dtype
            if dtype != pl.Float64 and not is_feature_dtype(dtype):
                text = f"Provider '{provider.name}': '{column}' came out as {dtype}, not a number."
                self.fail(provider.name, RunError.of(provider.name, text))
                return
        for column in provider.exprs:
            self.columns[column] = made[column]

    def mended(self, declaration: Declaration) -> list[pl.Series]:
        """Return a provider's columns as later providers see them."""
        raw = [self.columns[column] for column in declaration.columns]
        exprs = [mended_column(name, rows) for name, rows in declaration.warm_up.items()]
        return pl.DataFrame(raw).select(exprs).get_columns()
