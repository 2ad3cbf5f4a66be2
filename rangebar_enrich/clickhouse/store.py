"""The bar store: what owners of a pipeline call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rangebar_enrich.clickhouse.announcement import announced
from rangebar_enrich.clickhouse.connection import Connection, open_connection
from rangebar_enrich.clickhouse.dsn import Address, default_url
from rangebar_enrich.clickhouse.features import Features
from rangebar_enrich.clickhouse.guards import check_bars
from rangebar_enrich.clickhouse.identifiers import TableName
from rangebar_enrich.clickhouse.ingest import read_incoming
from rangebar_enrich.clickhouse.lease import LEASE_SECONDS
from rangebar_enrich.clickhouse.migration import DEFAULT_TABLE, wanted_features
from rangebar_enrich.clickhouse.modes import ModeGuard, check_guard
from rangebar_enrich.clickhouse.partitions import optimize_series
from rangebar_enrich.clickhouse.query import select_series
from rangebar_enrich.clickhouse.reader import BarReader
from rangebar_enrich.clickhouse.retry import RetryPolicy
from rangebar_enrich.clickhouse.session import Session
from rangebar_enrich.clickhouse.stamps import builder_version
from rangebar_enrich.clickhouse.write import BarWriter, WriteOptions, WriteResult

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from rangebar_enrich.clickhouse.job import SeriesReport
    from rangebar_enrich.clickhouse.tally import BackfillResult
    from rangebar_enrich.engine import Enricher


class BarStore(BarReader):
    """Range bars and their features in ClickHouse.

    Open one with `BarStore.connect`; it is a context manager. Threads may share it.
    """

    @classmethod
    def connect(
        cls,
        url: str | None = None,
        *,
        table: str | None = None,
        retry: RetryPolicy | None = None,
        lease_seconds: float = LEASE_SECONDS,
        **options: Any,
    ) -> Self:
        """Open a database.

        Args:
            url: DSN of clickhouse-connect, such as `chdb:///path` or
                `https://user:password@host:8443`; default `RANGEBAR_ENRICH_URL`, else an
                embedded database in the user's data folder.
            table: `database.table` of the bars; by default `range_bars` in the database that the
                DSN names, else `rangebar_cache.range_bars`.
            retry: How long a failing statement is repeated, and another writer is waited for.
            lease_seconds: How long others wait for a writer that gives no sign of life.
            **options: For `clickhouse_connect.get_client`: TLS, timeouts, compression.

        Raises:
            StoreConnectionError: It cannot be opened or reached.
            IdentifierError: `table` is not a name.
        """
        address = Address.parse(url or default_url(), options)
        name = TableName(table or DEFAULT_TABLE.rpartition(".")[2], address.database)
        connection = open_connection(address, retry=retry, **options)
        return cls(Session(connection, name, lease_seconds=lease_seconds))

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what a copy is made of: it connects for itself when it is first used."""
        session = self._session
        parts = (session.connection, session.table, session.leases.seconds)
        return _reopened, (type(self), *parts)

    @property
    def client(self) -> Client:
        """The clickhouse-connect client, for what the store does not cover."""
        self._connection.check_usable()
        return self._connection.client

    @property
    def table(self) -> str:
        """`database.table` of the bars."""
        return str(self._table)

    def __enter__(self) -> Self:
        """Return the store."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the store."""
        self.close()

    def close(self) -> None:
        """Let go of the leases and close the connection; a second call does nothing."""
        if self._connection.is_usable:
            self._session.leases.release_all()
        self._connection.close()

    def __repr__(self) -> str:
        """Return where it is, without secrets."""
        return f"BarStore({self._connection.address.shown!r}, table={self.table!r})"

    def ensure_table(self) -> None:
        """Make the tables where they are missing, and see that an existing bar table will do.

        Beside the bar table there are three small ones: `…_claims` with the leases, one row a
        series; `…_providers`, one row a provider version; `…_states`, one row for each of both.

        Raises:
            SchemaError: An existing table differs in a way that would lose or double rows.
        """
        self._session.ensure()

    def migrate(self, providers: Iterable[Any] | str, *, codec: str | None = None) -> list[str]:
        """Add a nullable column for every feature, in one ALTER; idempotent.

        Args:
            providers: Objects with `name`, `version` and `columns`, or column names.
            codec: `ZSTD`, `LZ4` or `GORILLA` for new columns; default the server's choice.

        Returns:
            The columns that were added.

        Raises:
            IdentifierError: A name cannot be a feature's.
            SchemaError: A column exists with another type.
        """
        wanted = wanted_features(providers)
        self._session.schema()
        before = self._session.refresh()
        after = self._session.migrated(wanted, codec=codec)
        return [name for name in after.features if name not in before.columns]

    def write(
        self,
        bars: Any,
        *,
        symbol: str | None = None,
        threshold_decimal_bps: int | None = None,
        ouroboros_mode: str | None = None,
        version: str | None = None,
        features: Features | None = None,
        verify: bool = False,
        max_width_multiple: float | None = None,
        mode_guard: ModeGuard = "strict",
        is_continued: bool = False,
    ) -> WriteResult:
        """Write bars and their features.

        Stored values that the bars do not bring (another provider's, or a failed one's) stay.

        Args:
            bars: Any container of bars, or an enrichment result.
            symbol: Symbol; default the bars' column or schema metadata.
            threshold_decimal_bps: Threshold in decimal basis points; likewise.
            ouroboros_mode: `month`, `week` or `year`; default the column, else `month`.
            version: `rangebar_version` of the rows; default the installed builder's.
            features: Feature columns of containers without field metadata: names, or a mapping
                from name to (provider, version).
            verify: Count the rows in the table afterwards.
            max_width_multiple: Refuse bars wider than so many thresholds.
            mode_guard: Whether a second ouroboros mode of one (symbol, threshold) is refused
                (`strict`), logged (`warn`) or not looked for (`off`).
            is_continued: The features were computed with the bars that are stored before these,
                as `live` or `run(history=...)` do. Otherwise they count as those of a series that
                begins with the batch, and where stored bars come before it the next backfill
                looks at what reaches back to them.

        Returns:
            Rows, inserts, retries and seconds; and which bars were skipped since they changed
            after the caller had read them.

        Raises:
            WriteRefusedError: The bars break a rule; nothing was written.
            SeriesConflictError: An argument contradicts a column.
            SchemaError: The table or a column is not as needed; nothing was written.
            WriteFailedError: The database failed; repeat the call, it completes the rows.
        """
        self._connection.check_usable()
        check_guard(mode_guard)
        options = WriteOptions(
            builder=builder_version() if version is None else version,
            mode_guard=mode_guard,
            verify=verify,
            is_continued=is_continued,
        )
        with announced(self.table, symbol, threshold_decimal_bps) as news:
            incoming = read_incoming(
                bars,
                symbol=symbol,
                threshold_decimal_bps=threshold_decimal_bps,
                ouroboros_mode=ouroboros_mode,
                features=features,
            )
            check_bars(incoming, max_width_multiple=max_width_multiple)
            news.started(incoming)
            result = BarWriter(self._session, incoming, options).write()
            news.completed(result)
        return result

    def enrich_new(
        self,
        enricher: Enricher,
        symbol: str,
        threshold_decimal_bps: int,
        *,
        ouroboros_mode: str = "month",
        rows: int = 100_000,
        start_ms: int | None = None,
        providers: Sequence[str] | None = None,
        force: bool = False,
        retry_failed: bool = False,
    ) -> BackfillResult:
        """Compute and store what is outdated in one series: the daily job for one.

        See `backfill`, which does it for all of them.

        Args:
            enricher: The providers.
            symbol: Trading symbol.
            threshold_decimal_bps: Threshold in decimal basis points.
            ouroboros_mode: `month`, `week` or `year`.
            rows: Most bars of a page in memory.
            start_ms: As for `backfill`.
            providers: As for `backfill`.
            force: As for `backfill`.
            retry_failed: As for `backfill`.

        Returns:
            Rows, range, the providers that were outdated, and all outcomes; rows of a provider
            that failed stay outdated.

        Raises:
            SchemaError: The table or a column is not as needed.
            WriteFailedError: The database failed; repeat the call.
        """
        key = select_series(symbol, threshold_decimal_bps, ouroboros_mode).key
        reports = self.backfill(
            enricher,
            symbol=symbol,
            threshold_decimal_bps=key.threshold_decimal_bps,
            ouroboros_mode=key.ouroboros_mode,
            rows=rows,
            start_ms=start_ms,
            providers=providers,
            force=force,
            retry_failed=retry_failed,
        )
        for report in reports:
            if report.result is not None:
                return report.result
            if report.error is not None:
                raise report.error
        from rangebar_enrich.clickhouse.tally import NOTHING_DONE

        return NOTHING_DONE

    def backfill(
        self,
        enricher: Enricher,
        *,
        symbol: str | None = None,
        threshold_decimal_bps: int | None = None,
        ouroboros_mode: str | None = None,
        start_ms: int | None = None,
        providers: Sequence[str] | None = None,
        force: bool = False,
        retry_failed: bool = False,
        check: bool = False,
        rows: int = 100_000,
        on_done: Callable[[SeriesReport], None] | None = None,
    ) -> list[SeriesReport]:
        """Bring the features of stored bars to what one run over them gives: the daily job.

        Only rows that are outdated are written: those of a new version, and those in whose
        reach a bar changed, came or went, whoever wrote it. Idempotent; a run that is broken off
        is completed by the next one. A series that fails stops none of the others.

        Args:
            enricher: The providers. One whose values depend on the whole series, and that can't
                be held as state, is computed in one run over all of it.
            symbol: Only this symbol.
            threshold_decimal_bps: Only this threshold.
            ouroboros_mode: Only this mode.
            start_ms: Only rows that close at or after this time, ms.
            providers: Names; only these.
            force: Compute the rows again, although they are up to date.
            retry_failed: Try again what failed before, although neither version nor bars changed.
            check: Hold every row against its neighbours, and not only what was written since the
                last time: finds what was deleted.
            rows: Most bars of a page in memory.
            on_done: Called after each series, with its report.

        Returns:
            A report for each series that had something outdated, then one for each that was done
            before and has nothing new.

        Raises:
            SchemaError: The table or a column is not as needed.
            QueryError: The database failed before it was known what is to be done.
        """
        from rangebar_enrich.clickhouse.job import Job, Scope

        self._connection.check_usable()
        scope = Scope(
            symbol,
            threshold_decimal_bps,
            ouroboros_mode,
            start_ms=start_ms,
            providers=providers,
            force=force,
            retry_failed=retry_failed,
            check=check,
        )
        reports = []
        for report in Job(self._session, enricher, scope, rows=rows).run():
            reports.append(report)
            if on_done is not None:
                on_done(report)
        return reports

    def optimize(
        self, symbol: str, threshold_decimal_bps: int, *, since_ms: int | None = None
    ) -> int:
        """Merge away rows of a series that were replaced: features written later double a table.

        Costs about what writing the series anew does; the server does it by itself in time.

        Args:
            symbol: Trading symbol.
            threshold_decimal_bps: Threshold in decimal basis points; with all modes.
            since_ms: Only months that end after this time, ms.

        Returns:
            How many partitions were merged.
        """
        return optimize_series(
            self._connection, self.schema(), symbol, threshold_decimal_bps, since_ms=since_ms
        )


def _reopened(
    kind: type[BarStore], connection: Connection, table: TableName, lease_seconds: float
) -> BarStore:
    """Return a store that was pickled or copied."""
    return kind(Session(connection, table, lease_seconds=lease_seconds))
