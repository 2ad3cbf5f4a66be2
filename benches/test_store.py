"""Writing, and end to end into ClickHouse: contenders timed in turns."""

from __future__ import annotations

import pytest

from benches.clock import CLOCK

STAGES = {"store"}


@pytest.mark.timeout(600)
@pytest.mark.benchmark(timer=CLOCK)
def test_store(case, contender, bench_session, benchmark):
    workload, rows = case
    CLOCK.record(benchmark, workload, bench_session.lanes(workload, rows), contender)
    bench_session.check(contender)
