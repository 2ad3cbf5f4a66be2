"""The ClickHouse store: bars and features in, bars and features out."""

from __future__ import annotations

from rangebar_enrich.clickhouse.provenance import Outdated, RowVersions, StoredProvider
from rangebar_enrich.clickhouse.query import StoredSeries
from rangebar_enrich.clickhouse.retry import RetryPolicy
from rangebar_enrich.clickhouse.store import BarStore
from rangebar_enrich.clickhouse.tables import migrate_plugin_columns
from rangebar_enrich.clickhouse.violations import Violation
from rangebar_enrich.clickhouse.write import WriteResult

__all__ = [
    "BarStore",
    "Outdated",
    "RetryPolicy",
    "RowVersions",
    "StoredProvider",
    "StoredSeries",
    "Violation",
    "WriteResult",
    "migrate_plugin_columns",
]
