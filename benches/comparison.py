"""Hold a run against a stored one, and say which differences are more than noise.

Ratios between contenders are compared, never seconds: machines differ, and so do their hours.
The noise of a ratio is half the distance between its quartiles, of both runs together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benches.contest import OURS, size_name

_CLEAR = 2.0
"""A change is called one when it is this many times the noise."""


@dataclass(frozen=True, slots=True)
class Change:
    """One ratio, then and now.

    Attributes:
        label: What is divided by what.
        before: Median in the stored run.
        after: Median in the new one.
        noise: Relative noise of both together.
    """

    label: str
    before: float
    after: float
    noise: float

    @property
    def relative(self) -> float:
        """Relative change; above 0 is slower."""
        return self.after / self.before - 1

    @property
    def word(self) -> str:
        """`slower`, `faster`, or `within noise`."""
        if abs(self.relative) <= _CLEAR * self.noise:
            return "within noise"
        return "slower" if self.relative > 0 else "faster"


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Return every ratio that both runs have."""
    stored = {(case["workload"], case["rows"]): case["ratios"] for case in before["cases"]}
    return [
        Change(
            f"{case['workload']} {size_name(case['rows'])}: {name}",
            old["median"],
            new["median"],
            _noise(old) + _noise(new),
        )
        for case in after["cases"]
        for name, new in case["ratios"].items()
        for old in [stored.get((case["workload"], case["rows"]), {}).get(name)]
        if old is not None and name.startswith(f"{OURS} ÷")
    ]


def _noise(spread: Mapping[str, float]) -> float:
    return (spread["high"] - spread["low"]) / 2 / spread["median"]


def as_text(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return the comparison as a table, with the noise beside every change."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("ratio", "then", "now", "change", "noise", ""):
        made.add_column(heading, justify="left" if heading == "ratio" else "right")
    changes = compare(before, after)
    for change in changes:
        made.add_row(
            change.label,
            f"{change.before:.3f}",
            f"{change.after:.3f}",
            f"{change.relative:+.1%}",
            f"±{change.noise:.1%}",
            change.word,
        )
    console = Console(width=100, no_color=True, highlight=False)
    with console.capture() as capture:
        console.print(f"then: {before['commit']}, {before['at']}, {before['processor']}")
        console.print(f"now:  {after['commit']}, {after['at']}, {after['processor']}")
        if before["processor"] != after["processor"] or before["cores"] != after["cores"]:
            console.print("NOTE: the two runs are of different machines.")
        console.print(made)
        clear = [change for change in changes if change.word != "within noise"]
        console.print(f"{len(changes)} ratios, {len(clear)} changed by more than the noise")
    return capture.get()
