"""What an enricher's providers need of the table, and which of them can go on from bar to bar."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import pyarrow as pa

from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich.clickhouse.columns import BY_NAME, Role
from rangebar_enrich.clickhouse.facts import Wanted
from rangebar_enrich.clickhouse.query import Marks, Selection
from rangebar_enrich.clickhouse.rewrite import read_rows
from rangebar_enrich.clickhouse.schema import TableSchema
from rangebar_enrich.clickhouse.session import Session
from rangebar_enrich.clickhouse.states import providers_digest
from rangebar_enrich.engine import Enricher


class Demand:
    """An enricher, seen from the table.

    Args:
        enricher: The providers.
        schema: The bar table.
        failed: Providers that failed on the series when it was done last.
    """

    def __init__(
        self, enricher: Enricher, schema: TableSchema, *, failed: frozenset[str] = frozenset()
    ) -> None:
        self.enricher, self.failed = enricher, failed
        self._schema = schema
        self.declarations = enricher.declarations
        self.versions = {made.name: made.version for made in self.declarations}
        sample = self._sample(schema)
        self.stuck: Mapping[str, str] = enricher.not_continued(sample)
        self._dependences = enricher.dependences(sample)

    def _sample(self, schema: TableSchema) -> pa.Table:
        """Return no bars, with the columns that providers may see."""
        names = self.bar_columns(schema)
        kinds = {n: BY_NAME[n].arrow if n in BY_NAME else pa.float64() for n in names}
        return pa.table({n: pa.array([], kind) for n, kind in kinds.items()})

    def bar_columns(self, schema: TableSchema) -> list[str]:
        """Return what providers may see: bars, and features of others that they require."""
        names = [n for n in schema.columns if n in BY_NAME and BY_NAME[n].role is not Role.STAMP]
        required = {name for made in self.declarations for name in made.requires or ()}
        own = set(self.enricher.columns)
        return names + [n for n in schema.features if n in required and n not in own]

    @cached_property
    def lookbacks(self) -> dict[str, int | None]:
        """Earlier bars that fix each provider's values, `None` for all."""
        return {
            made.name: self._dependences[made.name].bars if made.name in self._dependences else None
            for made in self.declarations
        }

    @cached_property
    def wanted(self) -> list[Wanted]:
        """The features as they should be."""
        return [
            Wanted(made.name, made.version, self.lookbacks[made.name], self._reads(made))
            for made in self.declarations
        ]

    def _reads(self, made: Any) -> tuple[str, ...]:
        """Return the providers whose features one reads, those of the table among them."""
        found = set(
            self._dependences[made.name].providers if made.name in self._dependences else ()
        )
        for name in made.requires or ():
            column = self._schema.features.get(name)
            if column is not None and column.provider not in {None, made.name}:
                found.add(str(column.provider))
        return tuple(sorted(found))

    @cached_property
    def carried_enricher(self) -> Enricher:
        """The providers that can go on from bar to bar."""
        return self._without(frozenset(self.stuck))

    @cached_property
    def healthy_enricher(self) -> Enricher:
        """The same without those that failed before: these are tried apart."""
        return (
            self._without(frozenset(self.stuck) | self.failed)
            if self.failed
            else (self.carried_enricher)
        )

    def _without(self, names: frozenset[str]) -> Enricher:
        if not names & self.versions.keys():
            return self.enricher
        return Enricher([made.provider for made in self.declarations if made.name not in names])

    @cached_property
    def digest(self) -> str:
        """Names the set of providers that snapshots are of."""
        made = self.healthy_enricher.declarations
        return providers_digest([(one.name, one.version, *one.columns) for one in made])

    def read_before(self, session: Session, key: SeriesKey, time_ms: int, rows: int) -> pa.Table:
        """Read the last rows before a time, and not many more."""
        selection = Selection(key, None, time_ms - 1)
        start = Marks.read(session.connection, self._schema, selection).last(rows)
        if start is not None:
            found = read_rows(session, selection.from_ms(start))
            if found.num_rows >= rows:
                return found.slice(found.num_rows - rows)
        found = read_rows(session, selection)
        return found.slice(max(0, found.num_rows - rows))
