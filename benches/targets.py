"""The figures that the engine is to reach, each a ratio within one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from benches.contest import OURS, size_name
from benches.workloads import daily, failures, large, live, store
from benches.workloads.indicators import ONE as ONE_PROVIDER
from benches.workloads.series import ONE as ONE_SERIES

Measure = Literal["time", "memory", "once", "seconds"]
"""What is divided: times in turns, peaks, or the time of the one cold run whose peak was taken."""


@dataclass(frozen=True, slots=True)
class Target:
    """A ratio of two contenders, and the most it may be.

    Attributes:
        workload: Its key.
        rows: The size that counts; in a shorter run the largest size that was timed.
        top: Numerator.
        bottom: Denominator; `None` for an absolute time.
        most: The limit, in seconds for an absolute time.
        measure: What is divided.
    """

    workload: str
    rows: int
    top: str
    bottom: str | None
    most: float
    measure: Measure = "time"

    @property
    def label(self) -> str:
        """What it says, in a line."""
        what = {"memory": "peak memory, ", "once": "cold, "}.get(self.measure, "")
        over = f" ÷ {self.bottom}" if self.bottom else ""
        return f"{self.workload} {size_name(self.rows)}: {what}{self.top}{over}"


TARGETS = (
    *(
        Target("A", rows, OURS, "flat", most)
        for rows, most in ((100, 1.2), (10_000, 0.7), (100_000, 0.45), (1_000_000, 0.40))
    ),
    Target("A", 100_000, OURS, "TA-Lib", 1.0),
    Target("A", 1_000_000, OURS, "TA-Lib", 1.1),
    Target("A", 1_000_000, OURS, "flat", 1.1, "memory"),
    Target("A", 100, OURS, "pandas", 0.10),
    Target("A", 100_000, OURS, "pandas", 0.45),
    Target("B", 100_000, OURS, "pandas", 0.12),
    Target("B", 100_000, OURS, "flat", 0.5),
    Target("T", 100_000, OURS, "TA-Lib", 1.3),
    Target("T", 100_000, OURS, "pandas", 0.3),
    Target("L", 200, OURS, live.SELECT, 1.5),
    Target("S", 2_000_000, OURS, ONE_SERIES, 1.2),
    Target("S5", 1_000_000, OURS, ONE_SERIES, 3.0),
    Target("E", 1_000_000, OURS, store.NULLABLE, 0.10),
    Target("E", 1_000_000, OURS, store.PLAIN, 0.6),
    Target("E", 1_000_000, OURS, store.NULLABLE, 0.33, "memory"),
    Target("W", 1_000_000, OURS, store.BARE, 1.15),
    Target("O", 1, OURS, daily.BARE, 3.0),
    Target("M", 20_000_000, OURS, large.FLAT, 1.2, "once"),
    Target("M", 20_000_000, OURS, large.FLAT, 1.2, "memory"),
    Target("M", 20_000_000, OURS, large.WHOLE, 0.2, "memory"),
    Target("P", 100_000, OURS, "flat", 0.8),
    Target("P", 100_000, OURS, ONE_PROVIDER, 1.1),
    Target("F", 100_000, failures.FIRST, failures.HEALTHY_FIRST, 2.2),
    Target("F", 100_000, failures.LATER, failures.HEALTHY_LATER, 1.1),
    Target("G", 100_000, OURS, failures.BY_HAND, 1.1),
    Target("Z", 100_000, OURS, None, 5e-6, "seconds"),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run says of a target.

    Attributes:
        target: The target.
        value: The figure, or `None` where the run did not measure it.
        low: Lower quartile.
        high: Upper quartile.
    """

    target: Target
    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def word(self) -> str:
        """`met`, `missed`, or `not measured`."""
        if self.value is None:
            return "not measured"
        return "met" if self.value <= self.target.most else "missed"


def verdicts(run: Mapping[str, Any]) -> list[Verdict]:
    """Hold a stored run against every target; only the very sizes count."""
    return [_verdict(target, run) for target in TARGETS]


def _verdict(target: Target, run: Mapping[str, Any]) -> Verdict:
    if target.measure in {"memory", "once"}:
        peaks = run["memory"].get(target.workload, {})
        found = peaks.get("contenders", {})
        if peaks.get("rows") != target.rows or not {target.top, target.bottom} <= found.keys():
            return Verdict(target, None)
        assert target.bottom is not None
        figure = "peak_mb" if target.measure == "memory" else "seconds"
        return Verdict(target, found[target.top][figure] / found[target.bottom][figure])
    case = next(
        (
            case
            for case in run["cases"]
            if case["workload"] == target.workload and case["rows"] == target.rows
        ),
        None,
    )
    if case is None or target.top not in case["contenders"]:
        return Verdict(target, None)
    if target.bottom is None:
        spread = case["contenders"][target.top]["seconds"]
    else:
        spread = case["ratios"].get(f"{target.top} ÷ {target.bottom}")
    if spread is None:
        return Verdict(target, None)
    return Verdict(target, spread["median"], spread["low"], spread["high"])
