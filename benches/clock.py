"""Give pytest-benchmark times that were taken in turns.

pytest-benchmark reads its timer before and after each round. This timer, given to it by a marker,
moves on by the seconds that the race recorded, so that its statistics, groups, files and
comparisons are those of the interleaved measurement.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from benches.contest import Workload
from benches.race import Lane


class RecordedClock:
    """A timer that replays recorded durations, one for each pair of readings."""

    __name__ = "interleaved"

    def __init__(self) -> None:
        self._now = 0.0
        self._left: list[float] = []
        self._is_running = False

    def __call__(self) -> float:
        if self._is_running:
            self._now += self._left.pop(0)
        self._is_running = not self._is_running
        return self._now

    def record(
        self, benchmark: Any, workload: Workload, lanes: Mapping[str, Lane], contender: str
    ) -> None:
        """Let `benchmark` take over the rounds of one contender."""
        benchmark.group = workload.group
        if contender not in lanes:
            benchmark.skipped = True
            pytest.skip(f"{contender} takes no part here")
        seconds = lanes[contender].times.tolist()
        self._left = list(seconds)
        self._is_running = False
        benchmark.pedantic(lambda: None, rounds=max(1, len(seconds)), iterations=1)


CLOCK = RecordedClock()
