"""One `write` call, step by step.

1. `read_incoming` puts the bars under the table's names (`ingest`), `check_bars` refuses what
   breaks a rule (`guards`): nothing was sent so far. Missing columns are added (`migration`).
2. The series are leased, so that no other writer of ours changes them meanwhile, and the call
   gets its stamp (`lease`).
3. One statement looks at what is stored around the bars (`probe`), and whether the table still
   has the columns that it had. Modes (`modes`) and versions (`merge`) that must be refused are
   refused here: still no row was sent.
4. Providers are noted in the registry (`provenance`), then each series is cut into chunks of one
   partition (`chunks`), merged with stored rows where there are any (`merge`), marked with what
   it knows (`marks`), stamped (`stamps`) and inserted under a token made of its content
   (`insert`), repeated while a failure may heal (`retry`).
5. If another writer took over a lease meanwhile, its series is written again from step 3.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo

import pyarrow as pa

from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich.clickhouse.chunks import CHUNK_ROWS, chunk_bounds
from rangebar_enrich.clickhouse.columns import BY_NAME
from rangebar_enrich.clickhouse.features import Feature, versions_of
from rangebar_enrich.clickhouse.ingest import Incoming, ReadAt, SeriesRows
from rangebar_enrich.clickhouse.insert import Inserter
from rangebar_enrich.clickhouse.lease import Hold
from rangebar_enrich.clickhouse.marks import Marks, with_follows
from rangebar_enrich.clickhouse.merge import Brought, Merge, Part, carried_columns
from rangebar_enrich.clickhouse.modes import ModeGuard, check_modes
from rangebar_enrich.clickhouse.probe import Around, look_around
from rangebar_enrich.clickhouse.provenance import Owner
from rangebar_enrich.clickhouse.query import Selection, count_written, latest_change
from rangebar_enrich.clickhouse.retry import RetryCount
from rangebar_enrich.clickhouse.schema import TableSchema, version_column
from rangebar_enrich.clickhouse.session import Session
from rangebar_enrich.clickhouse.stamps import series_stamps
from rangebar_enrich.errors import (
    QueryError,
    StoreConnectionError,
    StoreError,
    WriteFailedError,
    message,
)

logger = logging.getLogger(__name__)

_MOST_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What a `write` did.

    Attributes:
        rows: Bars written.
        chunks: Inserts that carried them.
        retries: How often a statement had to be repeated.
        seconds: Wall time of the call.
        carried: Rows that took over stored values which the bars did not bring.
        stale: Rows of these whose price or volume changed: their carried features are marked.
        skipped: Close times of bars that were read from the store and changed there since: they
            were not written.
    """

    rows: int
    chunks: int
    retries: int
    seconds: float
    carried: int = 0
    stale: int = 0
    skipped: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How a call writes.

    Attributes:
        builder: `rangebar_version` of the rows.
        mode_guard: What to do when a series gets a second ouroboros mode.
        verify: Count the rows afterwards.
        is_continued: Whether features were computed with the bars stored before these.
        chunk_rows: Most rows of one insert.
    """

    builder: str
    mode_guard: ModeGuard = "strict"
    verify: bool = False
    is_continued: bool = False
    chunk_rows: int = CHUNK_ROWS


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """One series, ready to be sent.

    Attributes:
        key: The series.
        bars: Its bars, under the table's names.
        features: What of them are features.
        versions: Version by provider.
        marks: What the rows know.
        merge: How they go with stored rows, where there are any in their range.
    """

    key: SeriesKey
    bars: pa.Table
    features: Mapping[str, Feature]
    versions: Mapping[str, str]
    marks: Marks
    merge: Merge | None


def leased_by(key: SeriesKey) -> tuple[str, int]:
    """Return what a writer of a series leases: its symbol and threshold, with all modes."""
    return str(key.symbol), int(key.threshold_decimal_bps or 0)


def range_of(key: SeriesKey, bars: pa.Table) -> Selection:
    """Return the stored rows that bars of one series, in time order, may replace."""
    times = bars.column("close_time_ms")
    return Selection(key, times[0].as_py(), times[-1].as_py())


class BarWriter:
    """Writes one batch of checked bars.

    Args:
        session: The bar table.
        incoming: The bars.
        options: How to write them.
    """

    def __init__(self, session: Session, incoming: Incoming, options: WriteOptions) -> None:
        self._session = session
        self._incoming = incoming
        self._options = options
        self._count = RetryCount()
        self._inserter = Inserter(session.connection, session.table, self._count)
        self._written: dict[SeriesKey, int] = {}
        self._skipped: dict[SeriesKey, list[int]] = {}
        self._carried = self._stale = 0

    def write(self) -> WriteResult:
        """Write all series.

        Raises:
            WriteRefusedError: Stored rows do not go with these; nothing was written.
            WriteFailedError: The database failed, or other writers never let go.
        """
        began = time.perf_counter()
        if self._incoming.series:
            try:
                self._write_leased()
            except (QueryError, StoreConnectionError) as error:
                raise self._broken_off(error) from error
        else:
            self._migrated()
        skipped = tuple(time_ms for times in self._skipped.values() for time_ms in times)
        rows = self._incoming.table.num_rows - len(skipped)
        return WriteResult(
            rows=rows,
            chunks=self._inserter.inserts,
            retries=self._count.retries,
            seconds=time.perf_counter() - began,
            carried=self._carried,
            stale=self._stale,
            skipped=skipped,
        )

    def _write_leased(self) -> None:
        """Write the series under their leases, again where another writer took over meanwhile."""
        pending: Sequence[SeriesRows] = self._incoming.series
        self._migrated()
        with self._session.leases.hold([leased_by(s.key) for s in pending], self._count) as hold:
            for _ in range(_MOST_ROUNDS):
                self._write_once(pending, hold)
                lost = hold.lost()
                if not lost:
                    break
                logger.warning("another writer took over %d series, writing them again", len(lost))
                hold.acquire(lost)
                pending = [series for series in pending if leased_by(series.key) in lost]
            else:
                raise _overtaken()
            if self._options.verify:
                self._verify()

    def _broken_off(self, error: StoreError) -> WriteFailedError:
        msg = message(
            f"The write to '{self._session.table}' broke off;"
            f" {self._inserter.inserts} insert(s) were done.",
            str(error).splitlines(),
            "repeat the same call: it completes the rows, and none is doubled.",
        )
        return WriteFailedError(msg)

    def _write_once(self, pending: Sequence[SeriesRows], hold: Hold) -> None:
        """Compare, refuse or send the pending series."""
        schema, found = self._look_around(pending)
        modes = ((s.key, one.other_mode) for s, one in zip(pending, found, strict=True))
        check_modes(modes, guard=self._options.mode_guard)
        latest = max(one.computed_at_ms for one in found)
        if latest >= hold.stamp_ms and self._is_reread(pending) is None:
            # NOTE: rows of another writer's clock lie ahead; ours must be later to be seen.
            hold.acquire([], after_ms=latest)
        plans = [
            self._plan(schema, series, around, hold)
            for series, around in zip(pending, found, strict=True)
        ]
        self._note(plans, hold)
        for plan in plans:
            self._send(schema, plan, hold)
        self._inserter.flush()

    def _look_around(self, pending: Sequence[SeriesRows]) -> tuple[TableSchema, list[Around]]:
        """Return what is stored, and the table's columns as they are at this moment."""
        ranges = [range_of(series.key, self._bars(series)) for series in pending]
        schema = self._migrated()
        found = look_around(self._session.connection, schema, ranges)
        if any(one.fingerprint != schema.fingerprint for one in found):
            self._session.refresh()
            schema = self._migrated()
        return schema, found

    def _bars(self, series: SeriesRows) -> pa.Table:
        return self._incoming.table.slice(series.start, series.stop - series.start)

    def _is_reread(self, pending: Sequence[SeriesRows]) -> ReadAt | None:
        """Return what the bars were read at, where they are a series of this very table."""
        read = self._incoming.read
        if read is None or len(self._incoming.series) > 1 or len(pending) > 1:
            return None
        is_same = read.table == str(self._session.table) and read.key == pending[0].key
        return read if is_same else None

    def _migrated(self) -> TableSchema:
        wanted = [feature.wanted for feature in self._incoming.features.values()]
        bars = [name for name in self._incoming.table.column_names if name in BY_NAME]
        return self._session.migrated(wanted, bar_columns=bars)

    def _plan(
        self, schema: TableSchema, series: SeriesRows, around: Around, hold: Hold
    ) -> SeriesPlan:
        hold.renew()
        bars = self._bars(series)
        features = {
            name: feature.owned_by(schema.columns[name].provider)
            for name, feature in self._incoming.features.items()
            if feature.is_present(series.key, bars.column(name))
        }
        versions = versions_of(features)
        own = {version_column(provider) for provider in versions}
        kept = [n for n in bars.column_names if n in features or n in BY_NAME or n in own]
        bars = with_follows(bars.select(kept), around.before_ms)
        selection = range_of(series.key, bars)
        brought = Brought(frozenset(kept), versions)
        carried: tuple[str, ...] = ()
        if around.rows:
            carried = carried_columns(self._session.connection, schema, selection, brought)
        read = self._is_reread([series])
        marks = Marks(
            stamp_ms=hold.stamp_ms,
            first_ms=selection.start_ms or 0,
            last_ms=around.last_ms,
            begins=around.before_ms is not None and not self._options.is_continued,
            is_current=read is None or self._is_current(schema, read, selection),
            providers=tuple(sorted(versions)),
        )
        if read is not None:
            read = replace(read, margin_ms=hold.margin_ms)
        merge = Merge(schema, marks, carried, read) if around.rows else None
        return SeriesPlan(series.key, bars, features, versions, marks, merge)

    def _is_current(self, schema: TableSchema, read: ReadAt, selection: Selection) -> bool:
        """Return whether no bar in the range changed since it was read."""
        bar_at, at_ms = latest_change(self._session.connection, schema, selection)
        return bar_at <= read.bar_at and at_ms <= read.at_ms

    def _note(self, plans: Sequence[SeriesPlan], hold: Hold) -> None:
        written: dict[Owner, set[str]] = {}
        for plan in plans:
            for feature in plan.features.values():
                if feature.provider is not None:
                    owner = (feature.provider, feature.version or "")
                    written.setdefault(owner, set()).add(feature.name)
        self._session.note(written, at_ms=hold.stamp_ms, count=self._count)

    def _send(self, schema: TableSchema, plan: SeriesPlan, hold: Hold) -> None:
        stamps = series_stamps(
            plan.key,
            plan.bars,
            computed_at_ms=hold.stamp_ms,
            builder=self._options.builder,
            versions=plan.versions,
        )
        stamps = {name: value for name, value in stamps.items() if name in schema.columns}
        self._written[plan.key] = hold.stamp_ms
        self._skipped[plan.key] = []
        times = plan.bars.column("close_time_ms").to_numpy()
        alone = len(self._incoming.series) == 1
        for start, stop in chunk_bounds(times, self._zone(schema), rows=self._options.chunk_rows):
            hold.renew()
            chunk = plan.bars.slice(start, stop - start)
            selection = range_of(plan.key, chunk)
            for part in self._parts(plan, selection, chunk):
                if part.inside:
                    self._inserter.add_inside(part.rows, stamps, selection, part.inside)
                else:
                    self._inserter.add(part.rows, stamps, alone=alone)
                self._carried += part.rows.num_rows if part.carried else 0
                self._stale += part.rows.num_rows if part.stale else 0

    def _parts(self, plan: SeriesPlan, selection: Selection, chunk: pa.Table) -> list[Part]:
        if plan.merge is None:
            return [Part(plan.marks.mark_new(chunk))]
        parts, skipped = plan.merge.parts(self._session.connection, selection, chunk)
        self._skipped[plan.key] += skipped
        return parts

    def _zone(self, schema: TableSchema) -> tzinfo:
        """Return the time zone in which the table cuts months."""
        return UTC if schema.partition_is_utc else self._session.connection.client.server_tz

    def _verify(self) -> None:
        """Count the rows of this call: what an insert reports also counts what was dropped."""
        lines = []
        for series in self._incoming.series:
            selection = range_of(series.key, self._bars(series))
            expected = series.stop - series.start - len(self._skipped[series.key])
            stamp = self._written[series.key]
            found = count_written(self._session.connection, self._session.table, selection, stamp)
            if found != expected and self._is_reread([series]) is None:
                lines.append(f"{series.key}: got {found} row(s), expected {expected}")
        if lines:
            msg = message(
                "Rows that were written are not in the table:",
                lines,
                "see that no other program deletes or replaces them, then repeat the call.",
            )
            raise WriteFailedError(msg)


def _overtaken() -> WriteFailedError:
    msg = message(
        f"Other writers took over the same series {_MOST_ROUNDS} times while it was written.",
        hint="let one writer at a time write a series, or raise lease_seconds in connect().",
    )
    return WriteFailedError(msg)
