"""Events of a `write`: `CACHE_WRITE_START`, then `CACHE_WRITE_COMPLETE` or `CACHE_WRITE_FAILED`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich.clickhouse.ingest import Incoming
from rangebar_enrich.clickhouse.write import WriteResult
from rangebar_enrich.hooks import HookEvent, emit_hook, new_trace_id

logger = logging.getLogger(__name__)


class Announcement:
    """Tells callbacks of one `write`.

    Args:
        table: `database.table`.
        key: What is known of the series so far.
    """

    def __init__(self, table: str, key: SeriesKey) -> None:
        self._table = table
        self._key = key
        self._trace = new_trace_id()

    def _emit(self, event: HookEvent, **details: object) -> None:
        symbol, threshold, mode = self._key
        known = {"table": self._table, "threshold_decimal_bps": threshold, "ouroboros_mode": mode}
        emit_hook(event, symbol, trace_id=self._trace, **known, **details)

    def started(self, incoming: Incoming) -> None:
        """Tell that checked bars are about to be written."""
        if len(incoming.series) == 1:
            self._key = incoming.series[0].key
        self._emit(
            HookEvent.CACHE_WRITE_START,
            bar_count=incoming.table.num_rows,
            series_count=len(incoming.series),
            feature_count=len(incoming.features),
        )

    def completed(self, result: WriteResult) -> None:
        """Tell that all rows are in the table."""
        if result.stale:
            logger.warning(
                "%d bar(s) of %s changed; features that were not written with them are marked stale",
                result.stale,
                self._key,
            )
        self._emit(
            HookEvent.CACHE_WRITE_COMPLETE,
            bar_count=result.rows,
            chunk_count=result.chunks,
            retry_count=result.retries,
            carried_count=result.carried,
            stale_count=result.stale,
            seconds=result.seconds,
        )

    def failed(self, error: Exception) -> None:
        """Tell that the write was refused or broke off."""
        text = f"{type(error).__name__}: {error}"
        self._emit(HookEvent.CACHE_WRITE_FAILED, error=text)


@contextmanager
def announced(table: str, symbol: str | None, threshold: int | None) -> Iterator[Announcement]:
    """Announce a write around its body; a failure is announced and passed on."""
    news = Announcement(table, SeriesKey(symbol, threshold))
    try:
        yield news
    except Exception as error:
        news.failed(error)
        raise
