"""The bar store: what owners of a pipeline call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import polars as pl
import pyarrow as pa

from rangebar_enrich.clickhouse.connection import Connection, open_connection
from rangebar_enrich.clickhouse.features import Features
from rangebar_enrich.clickhouse.identifiers import TableName
from rangebar_enrich.clickhouse.incoming import read_incoming
from rangebar_enrich.clickhouse.migration import DEFAULT_TABLE, migrate, wanted_features
from rangebar_enrich.clickhouse.read import chosen_columns, read_bars_of, select_series
from rangebar_enrich.clickhouse.retry import RetryPolicy
from rangebar_enrich.clickhouse.schema import TableSchema, ensure_table, read_schema
from rangebar_enrich.clickhouse.write import WriteResult, write_bars

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


class BarStore:
    """Range bars and their features in ClickHouse.

    Open one with `BarStore.connect`; it is a context manager. Threads may share it.
    """

    def __init__(self, connection: Connection, table: TableName) -> None:
        self._connection = connection
        self._table = table

    @classmethod
    def connect(
        cls,
        url: str | None = None,
        *,
        table: str = DEFAULT_TABLE,
        retry: RetryPolicy | None = None,
        **options: Any,
    ) -> Self:
        """Open a database.

        Args:
            url: DSN of clickhouse-connect, such as `chdb:///path` or
                `https://user:password@host:8443`; default `RANGEBAR_ENRICH_URL`, else an
                embedded database in the user's data folder.
            table: `database.table` of the bars.
            retry: How long a failing statement is repeated.
            **options: For `clickhouse_connect.get_client`: TLS, timeouts, compression.

        Raises:
            StoreConnectionError: It cannot be opened or reached.
            IdentifierError: `table` is not a name.
        """
        name = TableName(table)
        return cls(open_connection(url, retry=retry, **options), name)

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
        """Make the table where it is missing, and see that an existing one will do.

        Raises:
            SchemaError: An existing table differs in a way that would lose or double rows.
        """
        ensure_table(self._connection, self._table)

    def schema(self) -> TableSchema:
        """Return the table's columns as they are now.

        Raises:
            SchemaError: There is no table.
        """
        return read_schema(self._connection, self._table)

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
        before = ensure_table(self._connection, self._table)
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
        max_width_multiple: float | None = None,
    ) -> WriteResult:
        """Write bars and their features.

        Args:
            bars: Any container of bars, or an enrichment result.
            symbol: Symbol; default the bars' column or schema metadata.
            threshold_decimal_bps: Threshold in decimal basis points; likewise.
            ouroboros_mode: `month`, `week` or `year`; default the column, else `month`.
            version: `rangebar_version` of the rows; default the installed builder's.
            features: Feature columns of containers without field metadata: names, or a mapping
                from name to (provider, version).
            max_width_multiple: Refuse bars wider than so many thresholds.

        Raises:
            WriteRefusedError: The bars break a rule; nothing was written.
            SeriesConflictError: An argument contradicts a column.
            SchemaError: The table is missing, or a column has another type.
        """
        incoming = read_incoming(
            bars,
            symbol=symbol,
            threshold_decimal_bps=threshold_decimal_bps,
            ouroboros_mode=ouroboros_mode,
            features=features,
        )
        schema = ensure_table(self._connection, self._table)
        return write_bars(
            self._connection,
            schema,
            incoming,
            version=version,
            max_width_multiple=max_width_multiple,
        )

    def read(
        self,
        symbol: str,
        threshold_decimal_bps: int,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        last: int | None = None,
        ouroboros_mode: str = "month",
        columns: Sequence[str] | None = None,
        plugin_features: bool | Sequence[str] = False,
    ) -> pa.Table:
        """Read bars of one series: latest version of each, chronological.

        Args:
            symbol: Trading symbol.
            threshold_decimal_bps: Threshold in decimal basis points.
            start_ms: First close time, ms, inclusive.
            end_ms: Last close time, ms, inclusive.
            last: Only the last so many bars of the range.
            ouroboros_mode: `month`, `week` or `year`.
            columns: Columns to read; default all bar columns.
            plugin_features: `True` for all feature columns of the table, or their names.

        Returns:
            One row a bar; feature fields carry `provider` and `version` as metadata.

        Raises:
            BarColumnError: A named column is not in the table.
        """
        schema = self.schema()
        selection = select_series(
            symbol, threshold_decimal_bps, ouroboros_mode, start_ms=start_ms, end_ms=end_ms
        )
        chosen = chosen_columns(schema, columns, plugin_features)
        return read_bars_of(self._connection, schema, selection, chosen, last=last)

    def read_polars(self, symbol: str, threshold_decimal_bps: int, **options: Any) -> pl.DataFrame:
        """Read bars as a Polars DataFrame; options are those of `read`."""
        frame = pl.from_arrow(self.read(symbol, threshold_decimal_bps, **options))
        if not isinstance(frame, pl.DataFrame):  # pragma: no cover - a table is a frame
            return frame.to_frame()
        return frame
