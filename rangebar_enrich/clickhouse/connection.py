"""One connection to the database: opened, guarded, its failures translated.

Every statement of the store passes `Connection.run`: it refuses a connection that was closed
or inherited through fork, repeats what heals, and raises the package's errors, free of secrets.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from rangebar_enrich.clickhouse.dsn import Address
from rangebar_enrich.clickhouse.reply import READONLY, plain_sql, read_arrow
from rangebar_enrich.clickhouse.retry import RetryCount, RetryPolicy
from rangebar_enrich.errors import QueryError, StoreConnectionError, StoreError, message

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

T = TypeVar("T")
Params = Mapping[str, Any]
_LOCKED = "EmbeddedServer"
_ANOTHER_PATH = "already initialized"


class Connection:
    """A clickhouse-connect client and what must be known to use it safely.

    The client is made when it is first asked for, so that a copy, or what was pickled, connects
    for itself.

    Args:
        address: Where it is connected to; hides its secrets.
        retry: How long failing statements are repeated.
        options: For `clickhouse_connect.get_client`.
    """

    def __init__(
        self, address: Address, retry: RetryPolicy, options: Mapping[str, Any] | None = None
    ) -> None:
        self.address = address
        self.retry = retry
        self.options = dict(options or {})
        self._process = os.getpid()
        self._closed = False
        self._is_readonly = False
        self._client: Client | None = None
        self._opening = threading.Lock()

    @classmethod
    def of(cls, client: Client, address: Address, retry: RetryPolicy) -> Connection:
        """Return a connection over a client that is open already."""
        made = cls(address, retry)
        made._client = client
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what a copy is made of: it is not connected yet."""
        return type(self), (self.address, self.retry, self.options)

    @property
    def client(self) -> Client:
        """The clickhouse-connect client.

        Raises:
            StoreConnectionError: The database cannot be opened or reached.
        """
        with self._opening:
            if self._client is None:
                self._client = _open_client(self.address, self.retry, self.options)
            return self._client

    def check_usable(self) -> None:
        """Refuse a closed connection, and one that came through fork.

        Raises:
            StoreConnectionError: It is either.
        """
        if self._closed:
            msg = message(
                f"The store {self.address.shown} is closed.", hint="call BarStore.connect() again."
            )
            raise StoreConnectionError(msg)
        if os.getpid() != self._process:
            msg = message(
                f"The store was opened in process {self._process} and is used in its fork"
                f" {os.getpid()}; the embedded engine would hang, a socket would be shared.",
                hint="start workers with multiprocessing's 'spawn' and connect in each of them.",
            )
            raise StoreConnectionError(msg)

    def run(self, action: Callable[[], T], count: RetryCount | None = None) -> T:
        """Call `action`, repeat it while its failure may heal, translate the last failure.

        Raises:
            QueryError: The database refused or failed the statement.
            StoreConnectionError: It cannot be reached, or the connection cannot be used.
        """
        from clickhouse_connect.driver import exceptions as driver

        self.check_usable()
        try:
            return self.retry.run(action, count)
        except StoreError:
            raise
        except (driver.Error, OSError) as error:
            raise self._translated(error) from None

    def _translated(self, error: Exception) -> StoreError:
        text = self.address.scrub(str(error)).strip()
        code = getattr(error, "code", None)
        if code is None:
            msg = message(
                f"The database {self.address.shown} could not be reached:",
                [text],
                "see that it runs and the address is right, then repeat the call.",
            )
            return StoreConnectionError(msg)
        return QueryError.of(code, message("The database refused a statement:", [text]))

    def command(self, sql: str, params: Params | None = None, **settings: Any) -> None:
        """Run a statement that returns nothing."""
        self.run(lambda: self.client.command(sql, parameters=_bound(params), settings=settings))

    def rows(self, sql: str, params: Params | None = None) -> list[tuple[Any, ...]]:
        """Return the rows of a small query."""
        found = self._ask(lambda text: self.client.query(text, parameters=_bound(params)), sql)
        return [tuple(row) for row in found.result_rows]

    def arrow(self, sql: str, params: Params | None = None) -> pa.Table:
        """Return the result of a query as Arrow."""
        if self.address.is_embedded:
            return self.run(
                lambda: self.client.query_arrow(sql, parameters=_bound(params), use_strings=True)
            )
        return self._ask(lambda text: self._raw_arrow(text, params), sql)

    def _raw_arrow(self, sql: str, params: Params | None) -> pa.Table:
        # NOTE: the bytes are read here, since an error within a reply of status 200 is in them.
        return read_arrow(self.client.raw_query(sql, parameters=_bound(params), fmt="Arrow"))

    def _ask(self, action: Callable[[str], T], sql: str) -> T:
        """Run a query; without its settings where the user may not set any (`readonly=1`)."""
        text = plain_sql(sql) if self._is_readonly else sql
        try:
            return self.run(lambda: action(text))
        except QueryError as error:
            if error.code != READONLY or self._is_readonly:
                raise
        self._is_readonly = True
        return self.run(lambda: action(plain_sql(sql)))

    def insert(
        self, table: str, rows: pa.Table, count: RetryCount | None = None, **settings: Any
    ) -> None:
        """Insert Arrow rows; with a deduplication token a repetition inserts nothing twice."""
        self.run(lambda: self.client.insert_arrow(table, rows, settings=settings), count)

    def close(self) -> None:
        """Close the client; a second call does nothing."""
        if self._client is not None and not self._closed and os.getpid() == self._process:
            self._client.close()
        self._closed = True

    @property
    def is_usable(self) -> bool:
        """Whether statements may still be sent."""
        return not self._closed and os.getpid() == self._process


def _bound(params: Params | None) -> dict[str, Any] | None:
    return dict(params) if params else None


def open_connection(
    address: Address, *, retry: RetryPolicy | None = None, **options: Any
) -> Connection:
    """Open a database.

    Args:
        address: Where it is.
        retry: How long failing statements are repeated.
        **options: Passed to `clickhouse_connect.get_client`, TLS options among them.

    Raises:
        StoreConnectionError: It cannot be opened or reached.
    """
    connection = Connection(address, retry or RetryPolicy(), options)
    _ = connection.client
    return connection


def _open_client(address: Address, retry: RetryPolicy, options: Mapping[str, Any]) -> Client:
    from clickhouse_connect.driver import exceptions as driver

    _check_not_forked(address)
    # NOTE: a wrong address fails like a server that restarts; do not make its owner wait long.
    opening = replace(retry, attempts=min(retry.attempts, 3))
    try:
        client = opening.run(lambda: _client(address, options))
    except ImportError as error:
        msg = message(
            "The embedded database needs the package chdb, which is not installed.",
            hint="pip install 'rangebar-enrich[chdb]', or give the address of a server.",
        )
        raise StoreConnectionError(msg) from error
    except (driver.Error, OSError, ValueError, TypeError) as error:
        raise _cannot_open(address, error) from None
    if address.is_embedded:
        _engines.add(os.getpid())
    return client


_engines: set[int] = set()
"""Processes that loaded the embedded engine: this one, and those it was forked from."""


def _check_not_forked(address: Address) -> None:
    """Refuse the embedded engine in a fork of a process that had it: its threads are not here.

    Raises:
        StoreConnectionError: It would hang.
    """
    if address.is_embedded and _engines - {os.getpid()}:
        msg = message(
            f"The embedded engine was opened in process {min(_engines)}, and cannot be used in its"
            f" fork {os.getpid()}: it would hang.",
            hint="start workers with multiprocessing's 'spawn'.",
        )
        raise StoreConnectionError(msg)


def _client(address: Address, options: Mapping[str, Any]) -> Client:
    import clickhouse_connect

    if address.path is not None:
        address.path.mkdir(parents=True, exist_ok=True)
    # NOTE: without a session, threads may share the client; with one they may not. Repeating
    # is the retry policy's business, for reads too.
    fixed: dict[str, Any] = {"autogenerate_session_id": False, "query_retries": 0}
    if address.is_embedded:
        fixed = {}
    if address.interface:
        fixed["interface"] = address.interface
    return clickhouse_connect.get_client(dsn=address.url, **{**fixed, **options})


def _cannot_open(address: Address, error: Exception) -> StoreConnectionError:
    text = address.scrub(str(error)).strip()
    hint = "see that it runs, and that address, user and password are right."
    if address.is_embedded:
        hint = "see that the directory can be written."
        if _ANOTHER_PATH in text:
            hint = "one process can open one embedded database at a time: close the other store."
        elif _LOCKED in text:
            hint = (
                "another process has it open, and one at a time can: end that process,"
                " or run a ClickHouse server and give its address."
            )
    msg = message(f"The database {address.shown} cannot be opened:", [text], hint)
    return StoreConnectionError(msg)
