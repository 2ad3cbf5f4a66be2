"""Stored bars → features → stored bars, for one series: what is outdated, no more.

The worklist says which rows of which provider are outdated. They are computed in *walks*: bars
pushed in time order through one live enricher, which begins

- after the stored snapshot, where no bar up to there has changed: only new bars are read;
- at the first bar of the series, where a recursion has to begin anew;
- `lookback` bars before a run of outdated rows, else.

What no state can continue is computed in one run over the series. Each page is read, computed
and put onto the rows it was computed from (`rewrite`); if another of our writers was at work on
the series meanwhile, the page is done again. A run that is broken off leaves the rest outdated.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich._run.result import ProviderOutcome
from rangebar_enrich.clickhouse.demand import Demand
from rangebar_enrich.clickhouse.insert import Inserter
from rangebar_enrich.clickhouse.query import QUERY_ROWS, Marks, Selection
from rangebar_enrich.clickhouse.retry import RetryCount
from rangebar_enrich.clickhouse.rewrite import Made, Rewriter, read_rows
from rangebar_enrich.clickhouse.session import Session
from rangebar_enrich.clickhouse.states import (
    DONE,
    FAILED,
    RUNNING,
    Record,
    parts_of,
    read_snapshot,
    write_records,
)
from rangebar_enrich.clickhouse.tally import BackfillResult, Tally
from rangebar_enrich.clickhouse.walk import Walk, cut, inside, spans
from rangebar_enrich.clickhouse.worklist import Run, Task
from rangebar_enrich.errors import BarsError, HistoryError, WriteFailedError, message

if TYPE_CHECKING:
    from rangebar_enrich.engine import Enricher

_MOST_ROUNDS = 8


class Backfill:
    """Does the task of one series.

    Args:
        session: The bar table.
        demand: The enricher, and what its providers need.
        task: What is outdated.
        rows: Most bars of a page.
        records: Takes what is to be recorded.
    """

    def __init__(
        self, session: Session, demand: Demand, task: Task, *, rows: int, records: list[Record]
    ) -> None:
        self._session, self._demand, self._task = session, demand, task
        self._rows, self._records = rows, records
        self._count = RetryCount()
        self._done = Tally()
        # NOTE: one stamp for all that is written, given before anything is read: bars that
        # change while the series is worked on are later than what their followers know.
        self._stamp = 0

    @property
    def _key(self) -> SeriesKey:
        return self._task.key

    @property
    def _leased(self) -> tuple[str, int]:
        return str(self._key.symbol), int(self._key.threshold_decimal_bps or 0)

    def run(self) -> BackfillResult:
        """Enrich and write what is outdated."""
        began = time.perf_counter()
        runs = self._task.runs
        if runs:
            self._note_providers()
            for walk in self._walks():
                self._take(walk)
            self._run_whole({n: r for n, r in runs.items() if n in self._demand.stuck})
            self._record()
        everything = [run for some in runs.values() for run in some]
        return BackfillResult(
            rows=self._done.rows,
            first_ms=min((run.first_ms for run in everything), default=None),
            last_ms=max((run.last_ms for run in everything), default=None),
            providers={name: sum(run.rows for run in some) for name, some in runs.items()},
            outcomes=tuple(self._done.outcomes.values()),
            seconds=time.perf_counter() - began,
            read=self._done.read,
        )

    def _note_providers(self) -> None:
        owners = {
            (made.name, made.version): made.columns
            for made in self._demand.declarations
            if made.name in self._task.runs
        }
        self._turn()
        self._session.note(
            owners,
            at_ms=self._stamp,
            count=self._count,
            lookbacks=self._demand.lookbacks,
        )

    # -- walks

    def _walks(self) -> Iterator[Walk]:
        """Yield walks that pass every outdated row of what can go on from bar to bar."""
        stuck = self._demand.stuck
        left = {name: runs for name, runs in self._task.runs.items() if name not in stuck}
        again = {name: runs for name, runs in left.items() if name in self._demand.failed}
        left = {name: runs for name, runs in left.items() if name not in again}
        if left:
            yield from self._healthy_walks(left)
        if again:
            yield self._from_start(self._demand.carried_enricher, again)

    def _healthy_walks(self, left: dict[str, list[Run]]) -> Iterator[Walk]:
        enricher = self._demand.healthy_enricher
        snapshot = self._snapshot()
        if snapshot is not None:
            live, position = snapshot
            after = cut(left, position + 1, None)
            left = cut(left, None, position)
            if after:
                yield Walk(enricher, live, position + 1, None, position, after)
        if not left:
            return
        self._announce_rewrite(left)
        if any(self._demand.lookbacks[name] is None for name in left):
            yield self._from_start(enricher, left)
            return
        lookback = max(self._demand.lookbacks[name] or 0 for name in left)
        for span in spans(left):
            yield self._with_history(enricher, span, lookback, cut(left, span[0], span[1]))

    def _from_start(self, enricher: Enricher, runs: Mapping[str, Sequence[Run]]) -> Walk:
        return Walk(enricher, self._live(enricher), None, None, 0, runs)

    def _live(self, enricher: Enricher, **options: Any) -> Any:
        symbol, threshold, _ = self._key
        return enricher.live(symbol=symbol, threshold_decimal_bps=threshold, **options)

    def _snapshot(self) -> tuple[Any, int] | None:
        """Return a live enricher that goes on from the stored snapshot, and after which bar."""
        stored = read_snapshot(
            self._session.connection, self._session.table, self._key, self._demand.digest
        )
        if stored is None or stored.at_ms < self._task.since_ms:
            return None
        if self._task.changed_ms is not None and self._task.changed_ms <= stored.position_ms:
            return None
        live = self._live(self._demand.healthy_enricher)
        try:
            live.restore(stored.state)
        except (HistoryError, BarsError):
            return None  # of another version of the engine or of the table: made anew
        return live, stored.position_ms

    def _with_history(
        self,
        enricher: Enricher,
        span: tuple[int, int],
        lookback: int,
        runs: Mapping[str, Sequence[Run]],
    ) -> Walk:
        """Return a walk over a span of rows, after the bars that fix its first values."""
        before = self._demand.read_before(self._session, self._key, span[0], lookback + 1)
        self._done.read += before.num_rows
        is_complete = before.num_rows <= lookback
        times = before.column("close_time_ms")
        last = times[-1].as_py() if len(times) else 0
        history = self._bars(before.slice(0 if is_complete else 1))
        live = self._live(enricher, history=history, history_is_complete=is_complete)
        return Walk(enricher, live, span[0], span[1], last, runs)

    def _announce_rewrite(self, runs: Mapping[str, Sequence[Run]]) -> None:
        """Record that rows between others are being rewritten, so that a crash is noticed."""
        firsts = {name: min(run.first_ms for run in some) for name, some in runs.items()}
        # NOTE: a stamp before the one of what follows it, so that that replaces it.
        records = [
            self._made_record(name, RUNNING, position_ms=first, at_ms=self._stamp - 1)
            for name, first in firsts.items()
        ]
        write_records(self._session.connection, self._session.table, records, self._count)

    def _made_record(self, provider: str, status: str, **more: Any) -> Record:
        version = self._demand.versions[provider]
        record = Record(*parts_of(self._key), provider, version, self._stamp, status=status)
        return replace(record, **more)

    # -- pages

    def _take(self, walk: Walk) -> None:
        """Push a walk's bars page by page, and write what was outdated."""
        start, before = walk.first_ms, walk.before_ms
        for end in self._ends(walk):
            while True:
                rows = self._page(walk, Selection(self._key, start, end), before)
                if rows.num_rows:
                    before = rows.column("close_time_ms")[-1].as_py()
                    start = before + 1
                if rows.num_rows < self._rows:
                    break
        if walk.last_ms is None:
            self._keep_snapshot(walk, before or 0)

    def _ends(self, walk: Walk) -> list[int | None]:
        """Return where queries end, so that each reads little more than a page needs."""
        rows = sum(run.rows for some in walk.runs.values() for run in some)
        if walk.first_ms is not None and rows <= self._rows:
            return [walk.last_ms]
        selection = Selection(self._key, walk.first_ms, walk.last_ms)
        marks = Marks.read(self._session.connection, self._session.schema(), selection)
        ends = [end - 1 for end in marks.page_ends(max(self._rows, QUERY_ROWS))]
        first, last = walk.first_ms or 0, walk.last_ms
        inside = [end for end in ends if end >= first and (last is None or end < last)]
        return [*inside, last]

    def _page(self, walk: Walk, selection: Selection, before: int | None) -> pa.Table:
        """Read, compute and write one page; again where another writer came between."""
        snapshot = walk.live.snapshot()
        for attempt in range(_MOST_ROUNDS):
            if attempt:
                walk.live.restore(snapshot)
            seen = self._turn()
            rows = read_rows(self._session, selection, rows=self._rows)
            if not rows.num_rows:
                return rows
            table = walk.live.push(self._bars(rows))
            outcomes = walk.live.outcomes
            if self._put(walk.runs, rows, table, outcomes, before=before, seen=seen):
                return rows
        raise _overtaken(self._key)

    def _turn(self) -> int:
        """Take the lease, so that what is read from now on is all that came before; its turn."""
        with self._session.leases.hold([self._leased], self._count) as hold:
            self._stamp = self._stamp or hold.stamp_ms
            return hold.turn(self._leased)

    def _put(
        self,
        runs: Mapping[str, Sequence[Run]],
        rows: pa.Table,
        table: pa.Table,
        outcomes: Sequence[ProviderOutcome],
        *,
        before: int | None,
        seen: int,
    ) -> bool:
        """Write features onto their rows; `False` where another writer was there meanwhile."""
        made = self._made(runs, rows, table, outcomes)
        with self._session.leases.hold([self._leased], self._count) as hold:
            if hold.turn(self._leased) != seen + 1:
                return False
            inserter = Inserter(
                self._session.connection,
                self._session.table,
                self._count,
                scope=f"/{hold.stamp_ms}",
            )
            written = Rewriter(self._session, self._key, inserter).write(
                rows, made, stamp_ms=self._stamp, margin_ms=hold.margin_ms, before_ms=before
            )
            if hold.lost():
                return False
        self._done.note(outcomes, set(runs))
        self._done.read += rows.num_rows
        self._done.times.append(written)
        return True

    def _made(
        self,
        runs: Mapping[str, Sequence[Run]],
        rows: pa.Table,
        table: pa.Table,
        outcomes: Sequence[ProviderOutcome],
    ) -> list[Made]:
        """Return what was computed for outdated rows by providers that did not fail."""
        ok = {one.provider for one in outcomes if one.ok}
        times = rows.column("close_time_ms").to_numpy()
        made = []
        for one in self._demand.declarations:
            if one.name in ok and one.name in runs:
                mask = inside(times, runs[one.name])
                columns = {name: table.column(name) for name in one.columns}
                made.append(Made(one.name, one.version, columns, mask))
        return made

    def _bars(self, rows: pa.Table) -> pa.Table:
        """Return what providers may see of rows: bars, and features that they require."""
        return rows.select(self._demand.bar_columns(self._session.schema()))

    def _run_whole(self, runs: Mapping[str, Sequence[Run]]) -> None:
        """Compute what no state can continue: the whole series in one run."""
        if not runs:
            return
        self._announce_rewrite(runs)
        symbol, threshold, _ = self._key
        for _ in range(_MOST_ROUNDS):
            seen = self._turn()
            rows = read_rows(self._session, Selection(self._key))
            result = self._demand.enricher.run(
                self._bars(rows), symbol=symbol, threshold_decimal_bps=threshold
            )
            if self._put(runs, rows, result.table, result.outcomes, before=0, seen=seen):
                return
        raise _overtaken(self._key)

    # -- records

    def _keep_snapshot(self, walk: Walk, position: int) -> None:
        """Keep where the walk ended, for the next bars to go on from."""
        is_healthy = walk.enricher is self._demand.healthy_enricher
        if not position or not is_healthy or not all(one.ok for one in walk.live.outcomes):
            return
        self._records.append(
            Record(
                *parts_of(self._key),
                "",
                self._demand.digest,
                self._stamp,
                position,
                state=walk.live.snapshot(),
            )
        )

    def _record(self) -> None:
        for name in self._task.runs:
            outcome = self._done.outcomes.get(name)
            if outcome is not None and not outcome.ok:
                more = {"inputs": self._task.inputs.get(name, ""), "error": outcome.error or ""}
                self._records.append(self._made_record(name, FAILED, **more))
            else:
                self._records.append(self._made_record(name, DONE))


def _overtaken(key: SeriesKey) -> WriteFailedError:
    msg = message(
        f"Other writers were at work on {key} {_MOST_ROUNDS} times while it was enriched.",
        hint="let the daily job run when its series are quiet; what is left is outdated still.",
    )
    return WriteFailedError(msg)
