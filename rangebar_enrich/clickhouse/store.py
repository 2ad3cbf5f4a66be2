"""The bar store: what owners of a pipeline call."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rangebar_enrich.clickhouse.announcement import announced
from rangebar_enrich.clickhouse.connection import Connection, open_connection
from rangebar_enrich.clickhouse.features import Features
from rangebar_enrich.clickhouse.guards import check_bars
from rangebar_enrich.clickhouse.identifiers import TableName
from rangebar_enrich.clickhouse.ingest import read_incoming
from rangebar_enrich.clickhouse.lease import LEASE_SECONDS, KnownClaims, ensure_claims
from rangebar_enrich.clickhouse.migration import DEFAULT_TABLE, migrate, wanted_features
from rangebar_enrich.clickhouse.modes import ModeGuard, check_guard
from rangebar_enrich.clickhouse.provenance import ensure_registry
from rangebar_enrich.clickhouse.reader import BarReader
from rangebar_enrich.clickhouse.retry import RetryPolicy
from rangebar_enrich.clickhouse.schema import ensure_table
from rangebar_enrich.clickhouse.stamps import builder_version
from rangebar_enrich.clickhouse.write import BarWriter, WriteOptions, WriteResult

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from rangebar_enrich.clickhouse.backfill import BackfillResult
    from rangebar_enrich.engine import Enricher


class BarStore(BarReader):
    """Range bars and their features in ClickHouse.

    Open one with `BarStore.connect`; it is a context manager. Threads may share it.
    """

    def __init__(
        self, connection: Connection, table: TableName, *, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        super().__init__(connection, table)
        self._lease = lease_seconds
        self._is_ensured = False
        self._known: KnownClaims = {}

    @classmethod
    def connect(
        cls,
        url: str | None = None,
        *,
        table: str = DEFAULT_TABLE,
        retry: RetryPolicy | None = None,
        lease_seconds: float = LEASE_SECONDS,
        **options: Any,
    ) -> Self:
        """Open a database.

        Args:
            url: DSN of clickhouse-connect, such as `chdb:///path` or
                `https://user:password@host:8443`; default `RANGEBAR_ENRICH_URL`, else an
                embedded database in the user's data folder.
            table: `database.table` of the bars.
            retry: How long a failing statement is repeated, and another writer is waited for.
            lease_seconds: How long others wait for a writer that gives no sign of life.
            **options: For `clickhouse_connect.get_client`: TLS, timeouts, compression.

        Raises:
            StoreConnectionError: It cannot be opened or reached.
            IdentifierError: `table` is not a name.
        """
        name = TableName(table)
        connection = open_connection(url, retry=retry, **options)
        return cls(connection, name, lease_seconds=lease_seconds)

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
        """Close the connection; a second call does nothing."""
        self._connection.close()

    def __repr__(self) -> str:
        """Return where it is, without secrets."""
        return f"BarStore({self._connection.address.shown!r}, table={self.table!r})"

    def ensure_table(self) -> None:
        """Make the tables where they are missing, and see that an existing bar table will do.

        Beside the bar table there are two small ones: `…_claims`, one row a series, and
        `…_providers`, one row a provider version.

        Raises:
            SchemaError: An existing table differs in a way that would lose or double rows.
        """
        self._connection.check_usable()
        ensure_table(self._connection, self._table)
        ensure_claims(self._connection, self._table)
        ensure_registry(self._connection, self._table)
        self._is_ensured = True

    def _ensure_once(self) -> None:
        if not self._is_ensured:
            self.ensure_table()

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
        self._ensure_once()
        before = self.schema()
        after = migrate(self._connection, before, wanted, codec=codec)
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

        Returns:
            Rows, inserts, retries and seconds.

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
            lease_seconds=self._lease,
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
            self._ensure_once()
            result = BarWriter(
                self._connection, self._table, incoming, options, self._known
            ).write()
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
    ) -> BackfillResult:
        """Compute and store the features that stored bars of one series lack: the daily job.

        Rows whose recorded version of a provider is missing or not the enricher's are enriched
        with just the history that fixes their values, and written page by page. Idempotent; a run
        that is broken off is completed by the next one.

        Args:
            enricher: The providers. One whose values depend on the whole series, and that neither
                declares `lookback` nor can be held as state, is computed in one run over all of it.
            symbol: Trading symbol.
            threshold_decimal_bps: Threshold in decimal basis points.
            ouroboros_mode: `month`, `week` or `year`.
            rows: Most bars of a page in memory.

        Returns:
            Rows, range, the providers that were outdated, and all outcomes; rows of a provider
            that failed stay outdated.

        Raises:
            SchemaError: The table or a column is not as needed.
            WriteFailedError: The database failed; repeat the call.
        """
        from rangebar_enrich.clickhouse.backfill import Backfill

        backfill = Backfill(
            self,
            enricher,
            symbol,
            threshold_decimal_bps,
            ouroboros_mode=ouroboros_mode,
            rows=rows,
        )
        return backfill.run()
