"""Peak memory: each contender in a process of its own, one after another."""

from __future__ import annotations

import pytest


@pytest.mark.timeout(1200)
@pytest.mark.benchmark
def test_peak_memory(weighed, contender, bench_session, benchmark):
    benchmark.group = f"{weighed.group}-memory"
    benchmark.pedantic(lambda: bench_session.weigh(weighed, contender), rounds=1)
