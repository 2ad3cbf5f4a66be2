"""Every workload, in the order of the report."""

from __future__ import annotations

from benches.contest import Workload
from benches.workloads import (
    alpha158,
    daily,
    failures,
    indicators,
    large,
    live,
    series,
    store,
    technical,
)

ALL: tuple[Workload, ...] = (
    *indicators.WORKLOADS,
    *alpha158.WORKLOADS,
    *technical.WORKLOADS,
    *live.WORKLOADS,
    *series.WORKLOADS,
    *store.WORKLOADS,
    *daily.WORKLOADS,
    *large.WORKLOADS,
    *failures.WORKLOADS,
)

BY_KEY = {workload.key: workload for workload in ALL}
