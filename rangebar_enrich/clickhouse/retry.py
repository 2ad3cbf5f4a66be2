"""Which failures heal by waiting, and the loop that waits.

clickhouse-connect repeats reads, never inserts. Everything the store sends can be repeated:
reads are reads, DDL says IF NOT EXISTS, and inserts carry a deduplication token.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

logger = logging.getLogger(__name__)
T = TypeVar("T")

TRANSIENT_CODES = frozenset(
    {
        159,  # TIMEOUT_EXCEEDED
        198,  # DNS_ERROR
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        203,  # NO_FREE_CONNECTION
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        225,  # NO_ZOOKEEPER
        236,  # ABORTED: the server is shutting down
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY: a replica without its keeper
        252,  # TOO_MANY_PARTS
        289,  # REPLICA_IS_NOT_IN_QUORUM: it catches up
        279,  # ALL_CONNECTION_TRIES_FAILED
        285,  # TOO_FEW_LIVE_REPLICAS
        286,  # UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
        319,  # UNKNOWN_STATUS_OF_INSERT
        364,  # CANNOT_ASSIGN_OPTIMIZE
        425,  # SYSTEM_ERROR
        439,  # CANNOT_SCHEDULE_TASK
        473,  # DEADLOCK_AVOIDED
        517,  # CANNOT_ASSIGN_ALTER
        745,  # SERVER_OVERLOADED
        999,  # KEEPER_EXCEPTION
    }
)
"""ClickHouse error codes that may heal: overload, memory, network, keeper."""

ONLY_ONCE = frozenset({159, 241})
"""Of these, codes that waiting does not heal where they come again at once: the query is too large."""
_HOPELESS = "in all partitions"
"""In the text of 252: too many parts of the table altogether, which no waiting merges away."""

TRANSIENT_STATUS = frozenset({408, 429, 500, 502, 503, 504})
_STATUS = re.compile(r"HTTP status (\d{3})")


class CutReplyError(OSError):
    """A reply that is no result: cut off, or the page of a proxy."""


class _Patience:
    """Decides whether one statement is tried again."""

    def __init__(self) -> None:
        self._last: object = None

    def __call__(self, error: BaseException) -> bool:
        code = getattr(error, "code", None)
        again = code in ONLY_ONCE and code == self._last
        self._last = code
        return is_transient(error) and not again


def is_transient(error: BaseException) -> bool:
    """Return whether waiting may heal `error`.

    A ClickHouse code decides where there is one; without one, an HTTP status of overload, or
    a transport failure (refused, reset, timed out), is transient.
    """
    from clickhouse_connect.driver import exceptions as driver

    if not isinstance(error, driver.Error):
        return isinstance(error, (ConnectionError, TimeoutError, CutReplyError))
    if error.code is not None:
        return error.code in TRANSIENT_CODES and _HOPELESS not in str(error)
    status = _STATUS.search(str(error))
    if status:
        return int(status.group(1)) in TRANSIENT_STATUS
    return isinstance(error, driver.OperationalError)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a statement is repeated.

    Attributes:
        attempts: Most attempts for one statement.
        seconds: No new attempt after so many seconds.
        first_wait: Mean wait before the second attempt, in seconds; it doubles each time.
        longest_wait: Longest wait between two attempts, in seconds.
    """

    attempts: int = 8
    seconds: float = 120.0
    first_wait: float = 0.2
    longest_wait: float = 15.0

    def run(self, action: Callable[[], T], count: RetryCount | None = None) -> T:
        """Call `action` until it succeeds, fails for good, or patience ends."""

        def note(state: RetryCallState) -> None:
            if count is not None:
                count.retries += 1
            error = state.outcome.exception() if state.outcome else None
            logger.warning(
                "attempt %d failed, trying again: %s", state.attempt_number, type(error).__name__
            )

        loop = Retrying(
            retry=retry_if_exception(_Patience()),
            stop=stop_after_attempt(self.attempts) | stop_after_delay(self.seconds),
            wait=wait_random_exponential(multiplier=self.first_wait, max=self.longest_wait),
            before_sleep=note,
            reraise=True,
        )
        return loop(action)


@dataclass(slots=True)
class RetryCount:
    """How often one call had to repeat a statement."""

    retries: int = 0
