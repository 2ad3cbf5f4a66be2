"""Features in a caller's lazy plan: stages are added, nothing is collected."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

import polars as pl

from rangebar_enrich._bars.columns import SCRATCH_PREFIX, SERIES_COLUMNS, SYMBOL, THRESHOLD
from rangebar_enrich._bars.table import seen_columns, seen_dtypes
from rangebar_enrich._plan.lower import Rows, on_lazy
from rangebar_enrich._plan.plan import NativeStep, Plan
from rangebar_enrich._provider.declaration import Declaration, Kind, cause
from rangebar_enrich._run.events import warn_of
from rangebar_enrich._run.settings import Settings
from rangebar_enrich.errors import UnsupportedBarsError, message
from rangebar_enrich.protocol import BarContext

logger = logging.getLogger(__name__)

_ROW = f"{SCRATCH_PREFIX}row"


class LazyBars:
    """A caller's LazyFrame, behind canonical names.

    Args:
        bars: The caller's plan.
        symbol: Symbol of all bars, or `None`.
        threshold_decimal_bps: Threshold of all bars, or `None`.
        hidden: Columns that a running provider declares; they are replaced.
    """

    def __init__(
        self,
        bars: pl.LazyFrame,
        symbol: str | None,
        threshold_decimal_bps: int | None,
        hidden: frozenset[str],
    ) -> None:
        schema = bars.collect_schema()
        old = [name for name in schema.names() if name in hidden]
        self._bars = bars.drop(old)
        self._names = [name for name in schema.names() if name not in hidden]
        objects = {name: str(schema[name]) for name in self._names if schema[name] == pl.Object}
        self._own = seen_columns(self._names, objects)
        dtypes = seen_dtypes(self._own, schema)
        self._cast = {name for name, own in self._own.items() if dtypes[name] != schema[own]}
        self.context = BarContext(symbol, threshold_decimal_bps, dtypes)
        told = {SYMBOL: symbol, THRESHOLD: threshold_decimal_bps}
        self._keys = [name for name in SERIES_COLUMNS if name in dtypes and told.get(name) is None]

    def with_features(self, declarations: Sequence[Declaration], plan: Plan) -> pl.LazyFrame:
        """Return the caller's columns as they were, then every declared feature."""
        mended = self._mended(plan.inputs)
        bars = self._canonical(mended)
        if not self._keys and any(any(made.warm_up.values()) for made in declarations):
            # NOTE: `int_range(len())` would need the whole table in memory to be streamed.
            bars = bars.with_row_index(_ROW)
        number = None if self._keys else pl.col(_ROW)
        rows = Rows(keys=tuple(self._keys), number=number)
        for step in plan.steps:
            if isinstance(step, NativeStep):
                bars = on_lazy(step, bars, rows)
        failed = plan.failures.keys()
        features = [
            pl.lit(None, dtype=pl.Float64).alias(column) if made.name in failed else pl.col(column)
            for made in declarations
            for column in made.columns
        ]
        return bars.select([*self._restored(mended), *features])

    def _mended(self, inputs: Collection[str]) -> dict[str, pl.Expr]:
        """Return what expressions read that is not as it came: price as float64, NaN as null."""
        made = {}
        for name in self._own:
            dtype = self.context.columns[name]
            if name in inputs and (dtype.is_float() or name in self._cast):
                value = pl.col(name).cast(dtype) if name in self._cast else pl.col(name)
                made[name] = value.fill_nan(None) if dtype.is_float() else value
        return made

    def _canonical(self, mended: Mapping[str, pl.Expr]) -> pl.LazyFrame:
        """Return the bars under canonical names, as expressions read them."""
        renamed = {own: name for name, own in self._own.items() if own != name}
        bars = self._bars.rename(renamed) if renamed else self._bars
        kept = [pl.col(name).alias(f"{SCRATCH_PREFIX}{name}") for name in mended]
        return bars.with_columns(kept).with_columns(mended.values()) if kept else bars

    def _restored(self, mended: Collection[str]) -> list[pl.Expr]:
        canonical = {own: name for name, own in self._own.items()}
        return [
            pl.col(
                f"{SCRATCH_PREFIX}{canonical[own]}"
                if canonical.get(own) in mended
                else canonical.get(own, own)
            ).alias(own)
            for own in self._names
        ]


def lazy_features(
    bars: pl.LazyFrame, settings: Settings, symbol: str | None, threshold: int | None
) -> pl.LazyFrame:
    """Add every provider's features to a lazy plan.

    Args:
        bars: Bars in time order.
        settings: The providers.
        symbol: Symbol of all bars, or `None`.
        threshold: Threshold of all bars in decimal basis points, or `None`.

    Raises:
        UnsupportedBarsError: There is a legacy provider.
        ProviderError: A failure raises, and a provider does not compile.
    """
    planner = settings.planner
    legacy = [made.name for made in planner.declarations if made.kind is Kind.LEGACY]
    if legacy:
        msg = message(
            f"{len(legacy)} legacy provider(s) cannot run on a LazyFrame:",
            [f"'{name}'" for name in legacy],
            "collect it, or walk the file with Enricher.iter_batches().",
        )
        raise UnsupportedBarsError(msg)
    lazy = LazyBars(bars, symbol, threshold, planner.own)
    plan = planner.plan(tuple(lazy.context.columns.items()), symbol, threshold)
    for name, error in plan.failures.items():
        logger.error("provider '%s' failed: %s", name, cause(error))
        if settings.raises:
            raise error
    warn_of(plan.failures, stacklevel=5)
    return lazy.with_features(planner.declarations, plan)
