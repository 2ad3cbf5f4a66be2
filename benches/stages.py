"""Where the time of one run goes: Polars, the database driver, and what is between them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import polars as pl

from benches.contest import Contender

COLLECT, INSERT, REST = "Polars collect", "insert_arrow", "the engine around it"
_REPEATS = 5


class _Clock:
    """Adds up the time spent in wrapped calls, outermost only."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside = False

    def wrap(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            if self._inside:
                return function(*args, **kwargs)
            self._inside = True
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self._inside = False
                spent = time.perf_counter() - start
                self.seconds[stage] = self.seconds.get(stage, 0.0) + spent

        return timed


@contextmanager
def _watched(clock: _Clock) -> Iterator[None]:
    from clickhouse_connect.driver.client import Client

    watched = [
        (pl.LazyFrame, "collect", COLLECT),
        (pl, "collect_all", COLLECT),
        (Client, "insert_arrow", INSERT),
    ]
    with ExitStack() as stack:
        for owner, name, stage in watched:
            wrapped = clock.wrap(stage, getattr(owner, name))
            stack.enter_context(mock.patch.object(owner, name, wrapped))
        yield


def stage_seconds(contender: Contender) -> dict[str, float]:
    """Return stage to seconds of the middle one of a few runs."""
    runs = []
    for _ in range(_REPEATS):
        clock = _Clock()
        argument = contender.prepare() if contender.prepare else None
        with _watched(clock):
            start = time.perf_counter()
            contender.run(argument)
            total = time.perf_counter() - start
        rest = total - sum(clock.seconds.values())
        runs.append((total, clock.seconds | {REST: rest}))
        if total > 1.0:
            break
    runs.sort(key=lambda run: run[0])
    return runs[len(runs) // 2][1]
