"""The daily job: every stored series, one after the other, none stopping the others."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich.clickhouse.backfill import Backfill
from rangebar_enrich.clickhouse.demand import Demand
from rangebar_enrich.clickhouse.migration import wanted_features
from rangebar_enrich.clickhouse.query import StoredSeries, all_series
from rangebar_enrich.clickhouse.retry import RetryCount
from rangebar_enrich.clickhouse.session import Session
from rangebar_enrich.clickhouse.states import Record, freshen, parts_of, write_records
from rangebar_enrich.clickhouse.tally import NOTHING_DONE, BackfillResult
from rangebar_enrich.clickhouse.worklist import ALL, Planner, Run, Task
from rangebar_enrich.errors import RangebarEnrichError

if TYPE_CHECKING:
    from rangebar_enrich.engine import Enricher

_RECORDS_AT_ONCE = 200
_BYTES_AT_ONCE = 8_000_000
_OLD_DAYS = 2


@dataclass(frozen=True, slots=True)
class Scope:
    """What a backfill is asked to look at.

    Attributes:
        symbol: Only this symbol.
        threshold_decimal_bps: Only this threshold.
        ouroboros_mode: Only this mode.
        start_ms: Only rows that close at or after this time, ms.
        providers: Only these providers.
        force: Compute them again, although they are up to date.
        retry_failed: Try again what failed before, although nothing changed since.
        check: Hold every row against the rule, not only those that changed since the last time:
            finds what another program deleted.
    """

    symbol: str | None = None
    threshold_decimal_bps: int | None = None
    ouroboros_mode: str | None = None
    start_ms: int | None = None
    providers: Sequence[str] | None = None
    force: bool = False
    retry_failed: bool = False
    check: bool = False

    @property
    def is_all(self) -> bool:
        """Whether it is every series, and every provider of the enricher."""
        parts = (self.symbol, self.threshold_decimal_bps, self.ouroboros_mode, self.start_ms)
        return all(part is None for part in (*parts, self.providers))

    @property
    def key(self) -> SeriesKey | None:
        """The one series that is meant, or `None` where there may be several."""
        parts = (self.symbol, self.threshold_decimal_bps, self.ouroboros_mode)
        return None if None in parts else SeriesKey(*parts)

    def has(self, key: SeriesKey) -> bool:
        """Return whether a series is meant."""
        parts = (self.symbol, self.threshold_decimal_bps, self.ouroboros_mode)
        return all(ask is None or ask == own for ask, own in zip(parts, key, strict=True))


@dataclass(frozen=True, slots=True)
class SeriesReport:
    """What became of one series.

    Attributes:
        symbol: Trading symbol.
        threshold_decimal_bps: Threshold in decimal basis points.
        ouroboros_mode: Its mode.
        result: What was done, or `None` where it broke off.
        error: Why it broke off, or `None`.
    """

    symbol: str
    threshold_decimal_bps: int
    ouroboros_mode: str
    result: BackfillResult | None
    error: RangebarEnrichError | None = None


class Job:
    """A backfill of some or all series.

    Args:
        session: The bar table.
        enricher: The providers.
        scope: What to look at.
        rows: Most bars of a page.
    """

    def __init__(self, session: Session, enricher: Enricher, scope: Scope, *, rows: int) -> None:
        self._session, self._enricher, self._scope = session, enricher, scope
        self._rows = rows
        self._records: list[Record] = []
        self._count = RetryCount()
        self._demands: dict[frozenset[str], Demand] = {}
        self._spans: dict[SeriesKey, StoredSeries] = {}

    def run(self) -> Iterator[SeriesReport]:
        """Do one series after the other, and yield what became of each that had work.

        Raises:
            QueryError: The database failed before it was known what is to be done.
        """
        self._session.refresh() if self._session.is_known else self._session.ensure()
        self._session.migrated(wanted_features(self._enricher.declarations))
        tasks = self._tasks()
        broken = False
        try:
            for task in tasks:
                report = self._do(task)
                broken |= report.error is not None
                yield report
                self._flush()
            if self._scope.is_all and not broken and not self._scope.force:
                self._note_all([task.key for task in tasks])
            yield from self._quiet({task.key for task in tasks})
        finally:
            self._flush(all_of_it=True)

    def _quiet(self, done: set[SeriesKey]) -> Iterator[SeriesReport]:
        """Yield a report for each series that is known and had nothing to be done."""
        for key in sorted(self._planner.known - done, key=parts_of):
            if self._scope.has(key):
                yield SeriesReport(*parts_of(key), NOTHING_DONE)

    def _demand(self, failed: frozenset[str] = frozenset()) -> Demand:
        if failed not in self._demands:
            schema = self._session.schema()
            self._demands[failed] = Demand(self._enricher, schema, failed=failed)
        return self._demands[failed]

    def _tasks(self) -> list[Task]:
        demand, scope = self._demand(), self._scope
        names = set(scope.providers or demand.versions)
        wanted = [one for one in demand.wanted if one.provider in names]
        self._planner = planner = Planner(self._session, wanted, demand.digest)
        if scope.force or scope.check:
            tasks = [Task(key, 0) for key in self._all_keys()]
            for task in tasks:
                task.starts = dict.fromkeys(names, 0)
            if scope.check:
                planner.find_runs(tasks)
            else:
                self._force(tasks, names)
        else:
            tasks = planner.plan(scope.key, retry_failed=scope.retry_failed)
        for task in tasks:
            self._narrow(task)
        return [task for task in tasks if task.runs and scope.has(task.key)]

    def _all_keys(self) -> list[SeriesKey]:
        found = all_series(self._session.connection, self._session.schema())
        self._spans = {
            SeriesKey(one.symbol, one.threshold_decimal_bps, one.ouroboros_mode): one
            for one in found
        }
        return [key for key in self._spans if self._scope.has(key)]

    def _force(self, tasks: Sequence[Task], names: set[str]) -> None:
        for task in tasks:
            one = self._spans[task.key]
            task.runs = {name: [Run(one.first_ms, one.last_ms, one.rows)] for name in names}

    def _narrow(self, task: Task) -> None:
        """Leave out rows before the time that is asked for."""
        start = self._scope.start_ms
        if start is None:
            return
        for name, runs in list(task.runs.items()):
            kept = [
                Run(max(run.first_ms, start), run.last_ms, run.rows)
                for run in runs
                if run.last_ms >= start
            ]
            if kept:
                task.runs[name] = kept
            else:
                del task.runs[name]

    def _do(self, task: Task) -> SeriesReport:
        try:
            result = self._backfill(task)
        except RangebarEnrichError as error:
            return SeriesReport(*parts_of(task.key), None, error)
        return SeriesReport(*parts_of(task.key), result)

    def _backfill(self, task: Task) -> BackfillResult:
        demand = self._demand(frozenset(task.failed))
        records: list[Record] = []
        made = Backfill(self._session, demand, task, rows=self._rows, records=records).run()
        if self._scope.start_ms is None:
            self._records += records
        return made

    def _note_all(self, done: Sequence[SeriesKey]) -> None:
        """Record that these provider versions were looked for in every series."""
        wanted = self._demand().wanted
        if not self._planner.knows_all:
            now = int(time.time() * 1000)
            self._records += [
                Record(*parts_of(ALL), one.provider, one.version, now) for one in wanted
            ]
        if self._planner.oldest_days > _OLD_DAYS:
            owners = [(one.provider, one.version) for one in wanted]
            owners.append(("", self._demand().digest))
            freshen(self._session.connection, self._session.table, owners, done)

    def _flush(self, *, all_of_it: bool = False) -> None:
        """Store what was recorded, many series in one insert."""
        size = sum(len(one.state) for one in self._records)
        if all_of_it or len(self._records) >= _RECORDS_AT_ONCE or size >= _BYTES_AT_ONCE:
            records, self._records = self._records, []
            write_records(self._session.connection, self._session.table, records, self._count)
