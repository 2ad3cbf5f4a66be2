"""Stored bars → features → stored bars: what the recorded versions say is missing, no more.

Rows are found by the version of each provider that is recorded beside them, never by NULL. They
are read with just the history that fixes their values, enriched page by page, and written with
the columns of the outdated providers only. A run that is broken off leaves the rest outdated,
so the next run goes on there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from rangebar_enrich._run.result import ProviderOutcome
from rangebar_enrich.clickhouse.columns import BY_NAME, Role
from rangebar_enrich.engine import Enricher

if TYPE_CHECKING:
    from rangebar_enrich.clickhouse.store import BarStore

_BUILDER = "rangebar_version"


@dataclass(frozen=True, slots=True)
class BackfillResult:
    """What a backfill did.

    Attributes:
        rows: Stored bars that got features.
        first_ms: Close time of the first of them, ms, or `None`.
        last_ms: Close time of the last, ms, or `None`.
        providers: Providers that were outdated, and how many rows of each.
        outcomes: What became of each provider of the enricher.
        seconds: How long it took.
    """

    rows: int
    first_ms: int | None
    last_ms: int | None
    providers: Mapping[str, int]
    outcomes: tuple[ProviderOutcome, ...]
    seconds: float


class Backfill:
    """Fills the features of one stored series.

    Args:
        store: Where the bars are.
        enricher: What computes the features.
        symbol: Trading symbol.
        threshold_decimal_bps: Threshold in decimal basis points.
        ouroboros_mode: `month`, `week` or `year`.
        rows: Most bars of a page.
    """

    def __init__(
        self,
        store: BarStore,
        enricher: Enricher,
        symbol: str,
        threshold_decimal_bps: int,
        *,
        ouroboros_mode: str,
        rows: int,
    ) -> None:
        self._store, self._enricher, self._rows = store, enricher, rows
        self._symbol, self._threshold, self._mode = symbol, threshold_decimal_bps, ouroboros_mode
        self._outcomes: dict[str, ProviderOutcome] = {}

    def run(self) -> BackfillResult:
        """Enrich and write what is outdated; see `BarStore.enrich_new`."""
        began = time.perf_counter()
        declarations = {made.name: made for made in self._enricher.declarations}
        self._store.migrate(declarations.values())
        found = {name: self._outdated(name, made.version) for name, made in declarations.items()}
        pending = {name: one for name, one in found.items() if one.rows}
        first = min(
            (one.first_ms for one in pending.values() if one.first_ms is not None), default=None
        )
        last = max(
            (one.last_ms for one in pending.values() if one.last_ms is not None), default=None
        )
        rows = 0
        if first is not None and last is not None:
            rows = self._fill(first, last, pending)
        return BackfillResult(
            rows=rows,
            first_ms=first,
            last_ms=last,
            providers={name: one.rows for name, one in pending.items()},
            outcomes=tuple(self._outcomes.values()),
            seconds=time.perf_counter() - began,
        )

    def _fill(self, first: int, last: int, pending: Mapping[str, Any]) -> int:
        """Enrich what can go on from bar to bar page by page, the rest in one run."""
        rows = [0]
        sample = self._store.read(
            self._symbol, self._threshold, last=0, ouroboros_mode=self._mode, **self._columns()
        )
        stuck = self._enricher.not_continued(
            sample, symbol=self._symbol, threshold_decimal_bps=self._threshold
        )
        carried = [made for made in self._enricher.declarations if made.name not in stuck]
        if pending.keys() - stuck.keys():
            enricher = Enricher([made.provider for made in carried]) if stuck else self._enricher
            rows.append(self._carry(enricher, first, last, pending.keys() - stuck.keys()))
        if pending.keys() & stuck.keys():
            rows.append(self._at_once(first, last, pending.keys() & stuck.keys()))
        return max(rows)

    def _outdated(self, provider: str, version: str) -> Any:
        return self._store.outdated(
            self._symbol,
            self._threshold,
            provider=provider,
            version=version,
            ouroboros_mode=self._mode,
        )

    def _columns(self) -> dict[str, Any]:
        """Return what to read: bars, their builder's version, features that providers require."""
        schema = self._store.schema()
        names = [
            name
            for name in schema.columns
            if name == _BUILDER or (name in BY_NAME and BY_NAME[name].role is not Role.STAMP)
        ]
        required = {name for made in self._enricher.declarations for name in made.requires or ()}
        others = [
            name
            for name in schema.features
            if name in required and name not in self._enricher.columns
        ]
        return {"columns": names, "plugin_features": others}

    def _carry(self, enricher: Enricher, first: int, last: int, pending: AbstractSet[str]) -> int:
        """Enrich page by page, with the history that fixes the first values; count the bars."""
        columns = self._columns()
        needed = enricher.history_bars
        start, history, is_complete = None, None, True
        if needed is not None:
            start = first
            history = self._store.read(
                self._symbol,
                self._threshold,
                end_ms=first - 1,
                last=needed,
                ouroboros_mode=self._mode,
                **columns,
            )
            # NOTE: fewer bars than asked for: the series starts with them.
            is_complete = needed > 0 and history.num_rows < needed
        live = enricher.live(
            symbol=self._symbol,
            threshold_decimal_bps=self._threshold,
            history=history,
            history_is_complete=is_complete,
        )
        pages = self._store.read_batches(
            self._symbol,
            self._threshold,
            rows=self._rows,
            start_ms=start,
            end_ms=last,
            ouroboros_mode=self._mode,
            **columns,
        )
        rows = 0
        for batch in pages:
            made = live.push(pa.Table.from_batches([batch]))
            self._note(live.outcomes)
            rows += self._write(made, first, pending)
        return rows

    def _at_once(self, first: int, last: int, names: AbstractSet[str]) -> int:
        """Enrich what no state can continue: the whole series in one run; count the bars."""
        bars = self._store.read(
            self._symbol,
            self._threshold,
            end_ms=last,
            ouroboros_mode=self._mode,
            **self._columns(),
        )
        result = self._enricher.run(
            bars, symbol=self._symbol, threshold_decimal_bps=self._threshold
        )
        self._outcomes |= {one.provider: one for one in result.outcomes if one.provider in names}
        return self._write(result.table, first, names)

    def _note(self, outcomes: Iterable[ProviderOutcome]) -> None:
        """Keep the worst outcome of each provider over all pages."""
        for one in outcomes:
            known = self._outcomes.get(one.provider)
            if known is None or known.ok:
                self._outcomes[one.provider] = one

    def _write(self, table: pa.Table, first: int, names: AbstractSet[str]) -> int:
        """Write the rows from `first` on with the columns of the providers named; count them."""
        unwanted = [
            column
            for made in self._enricher.declarations
            if made.name not in names
            for column in made.columns
            if column in table.column_names
        ]
        rows = table.drop_columns(unwanted).filter(pc.field("close_time_ms") >= first)
        statuses = [(field.metadata or {}).get(b"status") for field in rows.schema]
        if b"ok" not in statuses:
            return 0
        # NOTE: a row keeps the version of the builder that made it.
        for version in rows.column(_BUILDER).unique().to_pylist():
            part = rows.filter(pc.field(_BUILDER) == version).drop_columns([_BUILDER])
            self._store.write(
                part,
                symbol=self._symbol,
                threshold_decimal_bps=self._threshold,
                ouroboros_mode=self._mode,
                version=version,
                mode_guard="off",  # the bars are stored already
            )
        return int(rows.num_rows)
