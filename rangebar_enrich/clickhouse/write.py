"""One `write` call, step by step.

1. `read_incoming` puts the bars under the table's names (`incoming`), `check_bars` refuses
   what breaks a rule (`guards`): nothing was sent so far.
2. The series are claimed, so that no other writer of ours changes them meanwhile, and the call
   gets its `computed_at` (`claims`).
3. Missing columns are added in one ALTER (`migration`).
4. Each series is compared with what is stored: modes (`modes`), values to carry over (`merge`).
   What must be refused is refused here: still no row was sent.
5. Providers are noted in the registry (`provenance`), then each series is cut into chunks of one
   partition (`chunks`), merged, stamped (`stamps`) and inserted under a token made of its
   content (`tokens`), repeated while a failure may heal (`retry`).
6. If another writer took over a claim meanwhile, its series is written again from step 2.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo

import pyarrow as pa

from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich.clickhouse.chunks import CHUNK_ROWS, chunk_bounds
from rangebar_enrich.clickhouse.columns import BY_NAME
from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.dedup import content_token
from rangebar_enrich.clickhouse.features import Feature, versions_of
from rangebar_enrich.clickhouse.identifiers import TableName
from rangebar_enrich.clickhouse.ingest import Incoming, SeriesRows
from rangebar_enrich.clickhouse.lease import Claims, KnownClaims
from rangebar_enrich.clickhouse.merge import Brought, Part, Stored, merged_parts, probe
from rangebar_enrich.clickhouse.migration import migrate
from rangebar_enrich.clickhouse.modes import ModeGuard, check_modes
from rangebar_enrich.clickhouse.provenance import record
from rangebar_enrich.clickhouse.query import Selection, count_written
from rangebar_enrich.clickhouse.retry import RetryCount
from rangebar_enrich.clickhouse.schema import TableSchema, read_schema, version_column
from rangebar_enrich.clickhouse.stamps import series_stamps, with_constants
from rangebar_enrich.errors import (
    QueryError,
    StoreConnectionError,
    StoreError,
    WriteFailedError,
    message,
)

logger = logging.getLogger(__name__)

INSERT_SETTINGS: Mapping[str, int] = {
    "optimize_on_insert": 0,
    "async_insert": 0,
    "input_format_null_as_default": 0,
    "insert_deduplicate": 1,
}
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
    """

    rows: int
    chunks: int
    retries: int
    seconds: float
    carried: int = 0
    stale: int = 0


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How a call writes.

    Attributes:
        builder: `rangebar_version` of the rows.
        mode_guard: What to do when a series gets a second ouroboros mode.
        verify: Count the rows afterwards.
        chunk_rows: Most rows of one insert.
        lease_seconds: How long other writers wait for one that gives no sign of life.
    """

    builder: str
    mode_guard: ModeGuard = "strict"
    verify: bool = False
    chunk_rows: int = CHUNK_ROWS
    lease_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class _Plan:
    """One series, ready to be sent."""

    key: SeriesKey
    bars: pa.Table
    features: Mapping[str, Feature]
    stored: Stored

    @property
    def versions(self) -> dict[str, str]:
        return versions_of(self.features)


def claimed_by(key: SeriesKey) -> tuple[str, int]:
    """Return what a writer of a series claims: its symbol and threshold, with all modes."""
    return str(key.symbol), int(key.threshold_decimal_bps or 0)


def range_of(key: SeriesKey, bars: pa.Table) -> Selection:
    """Return the stored rows that bars of one series, in time order, may replace."""
    times = bars.column("close_time_ms")
    return Selection(key, times[0].as_py(), times[-1].as_py())


class BarWriter:
    """Writes one batch of checked bars.

    Args:
        connection: The database.
        table: The bar table.
        incoming: The bars.
        options: How to write them.
        known: Claims that this store released last; saves looking them up.
    """

    def __init__(
        self,
        connection: Connection,
        table: TableName,
        incoming: Incoming,
        options: WriteOptions,
        known: KnownClaims,
    ) -> None:
        self._connection = connection
        self._table = table
        self._incoming = incoming
        self._options = options
        self._count = RetryCount()
        self._claims = Claims(
            connection, table, self._count, known=known, lease_seconds=options.lease_seconds
        )
        self._written: dict[SeriesKey, int] = {}
        self._chunks = self._carried = self._stale = 0

    def write(self) -> WriteResult:
        """Write all series.

        Raises:
            WriteRefusedError: Stored rows do not go with these; nothing was written.
            WriteFailedError: The database failed, or other writers never let go.
        """
        began = time.perf_counter()
        if self._incoming.series:
            try:
                self._write_claimed()
            except (QueryError, StoreConnectionError) as error:
                raise self._broken_off(error) from error
            finally:
                self._release()
        else:
            self._migrated()
        rows, seconds = self._incoming.table.num_rows, time.perf_counter() - began
        return WriteResult(
            rows, self._chunks, self._count.retries, seconds, self._carried, self._stale
        )

    def _write_claimed(self) -> None:
        """Claim the series and write them, again where another writer took over meanwhile."""
        pending: Sequence[SeriesRows] = self._incoming.series
        self._claims.acquire(claimed_by(series.key) for series in pending)
        for _ in range(_MOST_ROUNDS):
            self._write_once(pending)
            lost = self._claims.lost()
            if not lost:
                break
            logger.warning("another writer took over %d series, writing them again", len(lost))
            self._claims.acquire(lost)
            pending = [series for series in pending if claimed_by(series.key) in lost]
        else:
            raise _overtaken()
        if self._options.verify:
            self._verify()

    def _broken_off(self, error: StoreError) -> WriteFailedError:
        done = f"{self._chunks} insert(s) were done"
        msg = message(
            f"The write to '{self._table}' broke off; {done}.",
            str(error).splitlines(),
            "repeat the same call: it completes the rows, and none is doubled.",
        )
        return WriteFailedError(msg)

    def _release(self) -> None:
        try:
            self._claims.release()
        except StoreError as error:
            # NOTE: the lease ends by itself; what matters, the rows, is decided already.
            logger.warning("a claim could not be released: %s", error)

    def _write_once(self, pending: Sequence[SeriesRows]) -> None:
        """Compare, refuse or send the pending series."""
        schema = self._migrated()
        plans = [self._plan(schema, series) for series in pending]
        modes = ((plan.key, plan.stored.other_mode) for plan in plans)
        check_modes(modes, guard=self._options.mode_guard)
        latest = max(plan.stored.computed_at_ms for plan in plans)
        if latest >= self._claims.computed_at_ms:
            # NOTE: rows of another writer's clock lie ahead; ours must be later to be seen.
            self._claims.acquire([claimed_by(s.key) for s in pending], after_ms=latest)
        self._record(plans)
        for plan in plans:
            self._send(schema, plan)

    def _migrated(self) -> TableSchema:
        features = self._incoming.features
        schema = read_schema(self._connection, self._table)
        wanted = [feature.wanted for feature in features.values()]
        bars = [name for name in self._incoming.table.column_names if name in BY_NAME]
        return migrate(self._connection, schema, wanted, bar_columns=bars)

    def _plan(self, schema: TableSchema, series: SeriesRows) -> _Plan:
        bars = self._incoming.table.slice(series.start, series.stop - series.start)
        features = {
            name: feature.owned_by(schema.columns[name].provider)
            for name, feature in self._incoming.features.items()
            if feature.is_present(series.key, bars.column(name))
        }
        versions = versions_of(features)
        own = {version_column(provider) for provider in versions}
        kept = [n for n in bars.column_names if n in features or n in BY_NAME or n in own]
        bars = bars.select(kept)
        brought = Brought(frozenset(kept), versions)
        stored = probe(self._connection, schema, range_of(series.key, bars), brought)
        return _Plan(series.key, bars, features, stored)

    def _record(self, plans: Sequence[_Plan]) -> None:
        written: dict[tuple[str, str], set[str]] = {}
        for plan in plans:
            for feature in plan.features.values():
                if feature.provider is not None:
                    owner = (feature.provider, feature.version or "")
                    written.setdefault(owner, set()).add(feature.name)
        at = self._claims.computed_at_ms
        record(self._connection, self._table, written, at_ms=at, count=self._count)

    def _send(self, schema: TableSchema, plan: _Plan) -> None:
        stamps = series_stamps(
            plan.key,
            plan.bars,
            computed_at_ms=self._claims.computed_at_ms,
            builder=self._options.builder,
            versions=plan.versions,
        )
        stamps = {name: value for name, value in stamps.items() if name in schema.columns}
        self._written[plan.key] = self._claims.computed_at_ms
        times = plan.bars.column("close_time_ms").to_numpy()
        for start, stop in chunk_bounds(times, self._zone(schema), rows=self._options.chunk_rows):
            chunk = plan.bars.slice(start, stop - start)
            for part in self._parts(schema, plan, chunk):
                self._insert(with_constants(part.rows, stamps))
                self._carried += part.rows.num_rows if part.carried else 0
                self._stale += part.rows.num_rows if part.stale else 0
            self._claims.renew()

    def _parts(self, schema: TableSchema, plan: _Plan, chunk: pa.Table) -> Iterable[Part]:
        if not plan.stored.carried:
            return [Part(chunk)]
        selection = range_of(plan.key, chunk)
        return merged_parts(self._connection, schema, selection, chunk, plan.stored.carried)

    def _insert(self, rows: pa.Table) -> None:
        token = content_token(rows, str(self._table))
        settings = {**INSERT_SETTINGS, "insert_deduplication_token": token}
        self._connection.insert(str(self._table.sql), rows, self._count, **settings)
        self._chunks += 1

    def _zone(self, schema: TableSchema) -> tzinfo:
        """Return the time zone in which the table cuts months."""
        return UTC if schema.partition_is_utc else self._connection.client.server_tz

    def _verify(self) -> None:
        """Count the rows of this call: what an insert reports also counts what was dropped."""
        lines = []
        for series in self._incoming.series:
            expected = series.stop - series.start
            bars = self._incoming.table.slice(series.start, expected)
            selection = range_of(series.key, bars)
            stamp = self._written[series.key]
            found = count_written(self._connection, self._table, selection, stamp)
            if found != expected:
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
