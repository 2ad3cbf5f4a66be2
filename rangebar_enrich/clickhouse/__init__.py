"""The ClickHouse store: bars and features in, bars and features out."""

from __future__ import annotations

from rangebar_enrich.clickhouse.migration import migrate_plugin_columns
from rangebar_enrich.clickhouse.retry import RetryPolicy
from rangebar_enrich.clickhouse.store import BarStore
from rangebar_enrich.clickhouse.write import WriteResult

__all__ = ["BarStore", "RetryPolicy", "WriteResult", "migrate_plugin_columns"]
