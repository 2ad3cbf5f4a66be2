"""The reading half of the store: bars, counts, and who made which features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
import pyarrow as pa

from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.facts import Wanted
from rangebar_enrich.clickhouse.identifiers import TableName, feature_name
from rangebar_enrich.clickhouse.labels import hidden_columns, labelled, read_labels, with_labels
from rangebar_enrich.clickhouse.provenance import (
    Outdated,
    RowVersions,
    StoredProvider,
    find_outdated,
    row_versions,
    stored_lookback,
    stored_providers,
)
from rangebar_enrich.clickhouse.query import (
    StoredSeries,
    all_series,
    chosen_columns,
    count_bars,
    iter_pages,
    read_bars_of,
    select_series,
)
from rangebar_enrich.clickhouse.schema import TableSchema, read_schema
from rangebar_enrich.clickhouse.session import Session


class BarReader:
    """What can be asked of a bar table; `BarStore` adds what changes it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def _connection(self) -> Connection:
        return self._session.connection

    @property
    def _table(self) -> TableName:
        return self._session.table

    def schema(self) -> TableSchema:
        """Return the table's columns as they are now.

        Raises:
            SchemaError: There is no table.
        """
        return read_schema(self._connection, self._table)

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
        columns = [*chosen, *hidden_columns(schema, chosen)]
        found = read_bars_of(self._connection, schema, selection, columns, last=last)
        return labelled(found, schema, selection.key, chosen)

    def read_polars(self, symbol: str, threshold_decimal_bps: int, **options: Any) -> pl.DataFrame:
        """Read bars as a Polars DataFrame; options are those of `read`."""
        frame = pl.from_arrow(self.read(symbol, threshold_decimal_bps, **options))
        return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()

    def read_batches(
        self,
        symbol: str,
        threshold_decimal_bps: int,
        *,
        rows: int = 100_000,
        start_ms: int | None = None,
        end_ms: int | None = None,
        ouroboros_mode: str = "month",
        columns: Sequence[str] | None = None,
        plugin_features: bool | Sequence[str] = False,
    ) -> pa.RecordBatchReader:
        """Read a large range in bounded memory.

        Each batch is a query of its own: a batch never mixes two versions of a row, but bars
        that are written meanwhile may be in later batches.

        Args:
            symbol: Trading symbol.
            threshold_decimal_bps: Threshold in decimal basis points.
            rows: Most rows of a batch.
            start_ms: First close time, ms, inclusive.
            end_ms: Last close time, ms, inclusive.
            ouroboros_mode: `month`, `week` or `year`.
            columns: Columns to read; default all bar columns.
            plugin_features: `True` for all feature columns of the table, or their names.

        Returns:
            A reader whose batches, one after the other, are what `read` returns.
        """
        schema = self.schema()
        selection = select_series(
            symbol, threshold_decimal_bps, ouroboros_mode, start_ms=start_ms, end_ms=end_ms
        )
        chosen = chosen_columns(schema, columns, plugin_features)
        labels, read = read_labels(self._connection, schema, selection, chosen)
        empty = read_bars_of(self._connection, schema, selection, chosen, last=0)
        pages = iter_pages(self._connection, schema, selection, chosen, rows=rows)
        batches = (
            batch for page in pages for batch in with_labels(page, labels, read).to_batches()
        )
        return pa.RecordBatchReader.from_batches(with_labels(empty, labels, read).schema, batches)

    def count(
        self,
        symbol: str,
        threshold_decimal_bps: int,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        ouroboros_mode: str = "month",
    ) -> int:
        """Count the bars of one series, both ends of the time range included."""
        selection = select_series(
            symbol, threshold_decimal_bps, ouroboros_mode, start_ms=start_ms, end_ms=end_ms
        )
        return count_bars(self._connection, self.schema(), selection)

    def series(self) -> list[StoredSeries]:
        """List the series of the table: rows, first and last close time of each."""
        return all_series(self._connection, self.schema())

    def providers(self) -> list[StoredProvider]:
        """List the provider versions that wrote to the table, and when they did."""
        return stored_providers(self._connection, self._table)

    def provenance(
        self, symbol: str, threshold_decimal_bps: int, *, ouroboros_mode: str = "month"
    ) -> list[RowVersions]:
        """List, for each provider, how many rows of a series each of its versions made."""
        selection = select_series(symbol, threshold_decimal_bps, ouroboros_mode)
        return row_versions(self._connection, self.schema(), selection)

    def outdated(
        self,
        symbol: str,
        threshold_decimal_bps: int,
        *,
        provider: str,
        version: str,
        start_ms: int | None = None,
        end_ms: int | None = None,
        ouroboros_mode: str = "month",
        lookback: int | None = None,
    ) -> Outdated:
        """Find every row whose features may differ from those of one run over the stored bars.

        Those that another version made, and those in whose reach a bar changed, came or went
        since. Decided by what the rows record (see `facts`), never by NULL: warm-up and undefined
        are NULL too.

        Args:
            symbol: Trading symbol.
            threshold_decimal_bps: Threshold in decimal basis points.
            provider: Name of the provider.
            version: Version that should have made them.
            start_ms: First close time, ms, inclusive.
            end_ms: Last close time, ms, inclusive.
            ouroboros_mode: `month`, `week` or `year`.
            lookback: Earlier bars that fix a value; by default what the last backfill of this
                version noted, and all of them where none did.
        """
        selection = select_series(
            symbol, threshold_decimal_bps, ouroboros_mode, start_ms=start_ms, end_ms=end_ms
        )
        if lookback is None:
            lookback = stored_lookback(self._connection, self._table, provider, version)
        wanted = Wanted(feature_name(provider), version, lookback)
        return find_outdated(self._connection, self.schema(), selection, wanted)
