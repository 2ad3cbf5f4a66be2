"""One open bar table: its connection, its leases, and what is known of it from call to call.

What is cached is held against the database: the columns by a fingerprint that every write reads
with its first statement, the registry of providers by the age of what was noted.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from rangebar_enrich.clickhouse.connection import Connection
from rangebar_enrich.clickhouse.identifiers import TableName
from rangebar_enrich.clickhouse.lease import LEASE_SECONDS, Leases
from rangebar_enrich.clickhouse.migration import WantedFeature, migrate
from rangebar_enrich.clickhouse.provenance import Owner, record
from rangebar_enrich.clickhouse.retry import RetryCount
from rangebar_enrich.clickhouse.schema import TableSchema, read_schema
from rangebar_enrich.clickhouse.tables import ensure_tables
from rangebar_enrich.errors import SchemaError

_NOTED_SECONDS = 600.0
"""How old the registry's `last_written` may get under a writer that writes all the time."""


class Session:
    """A bar table that is open.

    Args:
        connection: The database.
        table: The bar table.
        lease_seconds: How long others wait for a writer that gives no sign of life.
    """

    def __init__(
        self, connection: Connection, table: TableName, *, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self.connection = connection
        self.table = table
        self.leases = Leases(connection, table, lease_seconds)
        self._schema: TableSchema | None = None
        self._noted: dict[object, float] = {}

    def ensure(self) -> TableSchema:
        """Make the tables where they are missing, and see that an existing bar table will do.

        Raises:
            SchemaError: An existing table differs in a way that would lose or double rows.
        """
        self.connection.check_usable()
        ensure_tables(self.connection, self.table)
        self._schema = migrate(self.connection, read_schema(self.connection, self.table), [])
        return self._schema

    def schema(self) -> TableSchema:
        """Return the table's columns as they were last seen; made where there is no table."""
        return self._schema or self.ensure()

    @property
    def is_known(self) -> bool:
        """Whether the tables were seen to be there."""
        return self._schema is not None

    def refresh(self) -> TableSchema:
        """Read the table's columns anew."""
        self._schema = read_schema(self.connection, self.table)
        return self._schema

    def migrated(
        self,
        wanted: Sequence[WantedFeature],
        *,
        bar_columns: Iterable[str] = (),
        codec: str | None = None,
    ) -> TableSchema:
        """Return the columns with those that are wanted, added where they are missing."""
        schema = self.schema()
        try:
            found = migrate(self.connection, schema, wanted, bar_columns=bar_columns, codec=codec)
        except SchemaError:
            self._schema = None
            raise
        self._schema = found
        return found

    def note(
        self,
        written: Mapping[Owner, Iterable[str]],
        *,
        at_ms: int,
        count: RetryCount,
        lookbacks: Mapping[str, int | None] | None = None,
    ) -> None:
        """Note in the registry who is about to write, unless that was done a while ago."""
        now, known = time.monotonic(), lookbacks or {}
        keys = {
            owner: (owner, frozenset(columns), known.get(owner[0], -1))
            for owner, columns in written.items()
        }
        due = [
            owner
            for owner, key in keys.items()
            if now - self._noted.get(key, -_NOTED_SECONDS) >= _NOTED_SECONDS
        ]
        if due:
            columns = {owner: written[owner] for owner in due}
            record(self.connection, self.table, columns, at_ms=at_ms, count=count, lookbacks=known)
            self._noted.update({keys[owner]: now for owner in due})
