"""What a backfill has to do, for all series and providers, in three statements.

1. The records of the table of `states` say up to which stamp each provider is done.
2. One statement looks at bars that changed since the oldest of these stamps, or that nobody
   knows, and at nothing else: an index over `_bar_at` finds them. Of each series it gives the
   first bar from which on something may be outdated.
3. One statement holds the rows from there on against the rule (`facts`), and gives them as runs
   of rows, for each provider. Where nothing changed there is nothing to look at.

The second statement sees rows that were replaced and not yet merged away; the third does not, so
these cost a look and no work.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich.clickhouse.facts import (
    SERIES_WINDOW,
    Wanted,
    bound_versions,
    changed_at,
    stale,
    unmade,
)
from rangebar_enrich.clickhouse.identifiers import Sql, compose, join, literal
from rangebar_enrich.clickhouse.query import final_clause
from rangebar_enrich.clickhouse.session import Session
from rangebar_enrich.clickhouse.states import (
    DAY_MS,
    FAILED,
    RUNNING,
    Record,
    read_records,
    states_table,
)

ALL = SeriesKey("", 0, "")
"""Stands for all series, in the record of a provider version that was looked for everywhere."""

_SERIES_AT_ONCE = 1000
_FAR_MS = 30 * 24 * 3_600_000
_KEY = Sql("symbol, threshold_decimal_bps, ouroboros_mode")
_NEWS = """
SELECT symbol, threshold_decimal_bps, ouroboros_mode, minIf(close_time_ms, $changed),
    greatest(any(ifNull(known.at_snapshot, 0)), {floor:Int64}), $firsts
FROM (
    SELECT * FROM $table WHERE (_bar_at = 0 OR _bar_at > {floor:Int64})$series
) AS bars LEFT JOIN (
    SELECT symbol, threshold_decimal_bps, ouroboros_mode, $stamps FROM $states
    WHERE (provider, version) IN {owners:Array(Tuple(String, String))} GROUP BY $key
) AS known USING (symbol, threshold_decimal_bps, ouroboros_mode)
GROUP BY $key HAVING $any
"""
_RUNS = """
SELECT symbol, threshold_decimal_bps, ouroboros_mode, number,
    min(close_time_ms), max(close_time_ms), count()
FROM (
    SELECT $key, close_time_ms, number,
        place - row_number() OVER (PARTITION BY $key, number ORDER BY close_time_ms) AS run
    FROM (
        SELECT $key, close_time_ms, place,
            arrayJoin(arrayFilter((n, is_stale) -> is_stale, $numbers, [$stale])) AS number
        FROM (
            SELECT *, $changed AS changed_at, row_number() OVER series AS place FROM (
                SELECT *, {starts:Array(Int64)}[indexOf({names:Array(String)}, $name)] AS start_ms
                FROM $table FINAL
                WHERE symbol IN {symbols:Array(String)}
                    AND threshold_decimal_bps IN {thresholds:Array(UInt32)}
                    AND close_time_ms >= {first:Int64}
                    AND has({names:Array(String)}, $name) AND close_time_ms >= start_ms
            ) $window
        )
    )
) GROUP BY $key, number, run ORDER BY $key, number, min(close_time_ms)$final
"""
_NAME = Sql(
    "concat(toString(symbol), '\\n', toString(threshold_decimal_bps), '\\n',"
    " toString(ouroboros_mode))"
)
_OF_ONE = Sql(
    " AND symbol = {symbol:String} AND threshold_decimal_bps = {threshold:UInt32}"
    " AND ouroboros_mode = {mode:String}"
)


@dataclass(frozen=True, slots=True)
class Run:
    """Rows of one series, one after the other, that are outdated.

    Attributes:
        first_ms: Close time of the first.
        last_ms: Close time of the last.
        rows: How many.
    """

    first_ms: int
    last_ms: int
    rows: int


@dataclass(slots=True)
class Task:
    """What is to be done for one series.

    Attributes:
        key: The series.
        changed_ms: Close time of the first bar that changed after `since_ms`.
        since_ms: Stamp: what changed before it was not looked for.
        starts: Close time from which on each provider may be outdated; 0: from the first bar.
        runs: What is outdated, by provider.
        inputs: What each provider's work is for: a failure is not tried again on the same.
        failed: Providers that failed on the series when it was done last.
    """

    key: SeriesKey
    changed_ms: int | None = None
    since_ms: int = 0
    starts: dict[str, int] = field(default_factory=dict)
    runs: dict[str, list[Run]] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)


class Planner:
    """Finds what is outdated.

    Args:
        session: The bar table.
        wanted: The providers' features as they should be.
        digest: Names the set of providers that a stored snapshot is of.
    """

    def __init__(self, session: Session, wanted: Sequence[Wanted], digest: str) -> None:
        self._session = session
        self._wanted = tuple(wanted)
        self._digest = digest
        self.knows_all = True
        self.known: frozenset[SeriesKey] = frozenset()
        self.oldest_days = 0.0

    def plan(self, key: SeriesKey | None = None, *, retry_failed: bool = False) -> list[Task]:
        """Return a task for each series that has something outdated.

        Args:
            key: Only this series; by default all of them.
            retry_failed: Try again what failed, although nothing changed.
        """
        if not self._wanted:
            return []
        records = self._records(key)
        self.knows_all = all((ALL, one.provider) in records for one in self._wanted)
        self.known = frozenset(one for one, _ in records if one != ALL)
        stamps = [record.at_ms for (one, _), record in records.items() if one != ALL]
        self.oldest_days = (time.time() * 1000 - min(stamps)) / DAY_MS if stamps else 0.0
        tasks = {task.key: task for task in self._news(key, records)}
        self._add_recorded(tasks, records, retry_failed=retry_failed)
        wanted = [task for task in tasks.values() if task.starts]
        self.find_runs(wanted)
        return [task for task in wanted if task.runs]

    def _records(self, key: SeriesKey | None) -> dict[tuple[SeriesKey, str], Record]:
        owners = [(one.provider, one.version) for one in self._wanted]
        found = read_records(self._session.connection, self._session.table, owners, key)
        return {(record.key, record.provider): record for record in found}

    def _floor(self, key: SeriesKey | None, records: Mapping[tuple[SeriesKey, str], Record]) -> int:
        """Return a stamp up to which everything is recorded; 0 where something may be unknown."""
        scope = ALL if key is None else key
        if any((scope, one.provider) not in records for one in self._wanted):
            return 0
        stamps = [record.at_ms for (one, _), record in records.items() if one != ALL]
        return min(stamps, default=0)

    def _news(
        self, key: SeriesKey | None, records: Mapping[tuple[SeriesKey, str], Record]
    ) -> list[Task]:
        """Return the series with rows that changed since they were recorded."""
        schema = self._session.schema()
        series, params = _scope(key)
        since = Sql("(_bar_at = 0 OR _bar_at > ifNull(known.at_{}, 0))")
        news = [
            Sql(f"({unmade(schema, one, i)} AND {since.format(i)})")
            for i, one in enumerate(self._wanted)
        ]
        firsts = [
            Sql(
                f"minIf(close_time_ms, {one}), countIf({one}), maxIf(close_time_ms, {one}),"
                f" toUnixTimestamp64Milli(maxIf(computed_at, {one}))"
            )
            for one in news
        ]
        statement = compose(
            _NEWS,
            changed=Sql(since.format("snapshot")),
            firsts=join(firsts),
            table=schema.table.sql,
            series=series,
            stamps=self._stamps(),
            states=states_table(schema.table).sql,
            key=_KEY,
            any=join([Sql(f"countIf({one}) > 0") for one in news], " OR "),
        )
        owners = [(one.provider, one.version) for one in self._wanted]
        params |= {
            **bound_versions(self._wanted),
            "floor": self._floor(key, records),
            "owners": [*owners, ("", self._digest)],
        }
        rows = self._session.connection.rows(statement, params)
        return [self._task(row, records) for row in rows]

    def _stamps(self) -> Sql:
        """Return the stamps at which each provider, and the snapshot, is recorded."""
        names = [
            Sql(f"maxIf(at_ms, provider = {literal(one.provider)}) AS at_{i}")
            for i, one in enumerate(self._wanted)
        ]
        return join([*names, Sql("maxIf(at_ms, provider = '') AS at_snapshot")])

    def _task(self, row: Sequence[Any], records: Mapping[tuple[SeriesKey, str], Record]) -> Task:
        task = Task(SeriesKey(*row[:3]), row[3] or None, row[4])
        for i, one in enumerate(self._wanted):
            first, count, last, latest = row[5 + 4 * i : 9 + 4 * i]
            if not count:
                continue
            inputs = f"{last}/{latest}"
            record = records.get((task.key, one.provider))
            task.inputs[one.provider] = inputs
            if record is None or record.status != FAILED:
                task.starts[one.provider] = first
            elif record.inputs != inputs:
                task.starts[one.provider] = 0
        return task

    def _add_recorded(
        self,
        tasks: dict[SeriesKey, Task],
        records: Mapping[tuple[SeriesKey, str], Record],
        *,
        retry_failed: bool,
    ) -> None:
        """Add what the records themselves say: work that was broken off, and failures."""
        for (key, provider), record in records.items():
            if key == ALL:
                continue
            if record.status == FAILED and key in tasks:
                tasks[key].failed.add(provider)
            start = None
            if record.status == RUNNING:
                start = record.position_ms
            elif record.status == FAILED and retry_failed:
                start = 0
            if start is not None:
                task = tasks.setdefault(key, Task(key, start or 1))
                known = task.starts.get(provider, start)
                task.starts[provider] = min(start, known)
                task.changed_ms = min(task.changed_ms or start, start)
                if record.status == FAILED:
                    task.failed.add(provider)

    def find_runs(self, tasks: Sequence[Task]) -> None:
        """Fill in what is outdated from each task's starts on."""
        for task in tasks:
            task.runs = {}
        # NOTE: a series in which something long past changed would make the others be read as far.
        ordered = sorted(tasks, key=_start)
        for some in _groups(ordered):
            self._find_runs(some)

    def _find_runs(self, tasks: Sequence[Task]) -> None:
        schema = self._session.schema()
        by_key = {task.key: task for task in tasks}
        starts = {_name(task.key): _start(task) for task in tasks}
        statement = compose(
            _RUNS,
            key=_KEY,
            numbers=Sql(str(list(range(len(self._wanted))))),
            stale=join([stale(schema, one, i) for i, one in enumerate(self._wanted)]),
            changed=changed_at(is_first=Sql("start_ms = 0")),
            name=_NAME,
            table=schema.table.sql,
            window=SERIES_WINDOW,
            final=final_clause(schema),
        )
        params = {
            **bound_versions(self._wanted),
            "starts": list(starts.values()),
            "names": list(starts),
            "symbols": sorted({str(key.symbol) for key in by_key}),
            "thresholds": sorted({int(key.threshold_decimal_bps or 0) for key in by_key}),
            "first": min(starts.values()),
        }
        for *key, number, first, last, rows in self._session.connection.rows(statement, params):
            task, provider = by_key[SeriesKey(*key)], self._wanted[number].provider
            if provider in task.starts:
                task.runs.setdefault(provider, []).append(Run(first, last, rows))


def _start(task: Task) -> int:
    return min(task.starts.values(), default=0)


def _groups(tasks: Sequence[Task]) -> Iterable[Sequence[Task]]:
    """Cut tasks, which are sorted by their start, where starts lie far apart."""
    if len(tasks) <= 1:
        return [tasks] if tasks else []
    gaps = [(_start(b) - _start(a), i) for i, (a, b) in enumerate(pairwise(tasks), 1)]
    far = sorted(i for gap, i in sorted(gaps, reverse=True)[:2] if gap > _FAR_MS)
    edges = [0, *far, len(tasks)]
    return [
        tasks[first : min(first + _SERIES_AT_ONCE, stop)]
        for start, stop in pairwise(edges)
        for first in range(start, stop, _SERIES_AT_ONCE)
    ]


def _name(key: SeriesKey) -> str:
    return f"{key.symbol}\n{key.threshold_decimal_bps}\n{key.ouroboros_mode}"


def _scope(key: SeriesKey | None) -> tuple[Sql, dict[str, object]]:
    if key is None:
        return Sql(), {}
    return _OF_ONE, {"symbol": key[0], "threshold": key[1], "mode": key[2]}
