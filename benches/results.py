"""A run on disk: what was measured, where, and with what."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from math import isfinite
from pathlib import Path
from typing import Any

from benches.agreement import Accuracy
from benches.contest import OURS, Contest, Workload
from benches.memory import ROOT, Peak
from benches.race import Lane, Spread, ratio

FOLDER = ROOT / "benches" / "results"
LATEST = FOLDER / "latest.json"
_PACKAGES = (
    "rangebar-enrich",
    "polars",
    "pyarrow",
    "pandas",
    "numpy",
    "chdb",
    "clickhouse-connect",
    "TA-Lib",
    "polars_talib",
    "atr-adaptive-laguerre",
    "pytest-benchmark",
)


def case_of(
    workload: Workload,
    contest: Contest,
    lanes: Mapping[str, Lane],
    *,
    rows: int,
    accuracy: Mapping[str, Accuracy],
    stages: Mapping[str, float],
) -> dict[str, Any]:
    """Return one contest's figures as plain values."""
    pairs = [(top, bottom) for top in lanes for bottom in lanes if top != bottom]
    return {
        "workload": workload.key,
        "group": workload.group,
        "title": workload.title,
        "rows": rows,
        "bars": contest.rows,
        "accuracy": {name: _found(one) for name, one in accuracy.items()},
        "contenders": {
            name: {
                "seconds": asdict(Spread.of(lane.times)),
                "loops": lane.loops,
            }
            for name, lane in lanes.items()
        },
        "ratios": {
            f"{top} ÷ {bottom}": asdict(ratio(lanes[top], lanes[bottom]))
            for top, bottom in pairs
            if _is_told(top) and lanes[top].seconds.keys() & lanes[bottom].seconds.keys()
        },
        "stages": dict(stages),
    }


def _found(accuracy: Accuracy) -> dict[str, Any]:
    """Return an accuracy as plain values; JSON has no infinity."""
    found = asdict(accuracy)
    for one in (found, *found["wrong"]):
        one["error"] = one["error"] if isfinite(one["error"]) else None
    return found


def _is_told(name: str) -> bool:
    """Return whether ratios of a contender to the others are kept: those of this engine."""
    return name.startswith(OURS)


def peaks_of(workload: Workload, rows: int, peaks: Mapping[str, Peak]) -> dict[str, Any]:
    """Return the peaks of a workload as plain values."""
    return {
        "title": workload.title,
        "rows": rows,
        "contenders": {name: asdict(peak) for name, peak in peaks.items()},
    }


def new_run(profile: str, command: str) -> dict[str, Any]:
    """Return an empty run with everything that a reader must know of its circumstances."""
    return {
        "profile": profile,
        "command": command,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "platform": platform.platform(),
        "versions": {"python": sys.version.split()[0], **_versions()},
        "cases": [],
        "memory": {},
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],  # noqa: S607 - whichever git is there
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return git("rev-parse", "--short", "HEAD") + (" with changes" if changed else "")


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or "unknown"
    names = [line.split(":", 1)[1] for line in text.splitlines() if line.startswith("model name")]
    return names[0].strip() if names else platform.machine()


def save(run: Mapping[str, Any], path: Path = LATEST) -> None:
    """Write a run as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load(path: Path) -> dict[str, Any]:
    """Read a run.

    Raises:
        FileNotFoundError: There is none; the error says which there are.
    """
    if not path.exists():
        msg = f"{path} does not exist; stored runs: {', '.join(names()) or 'none'}"
        raise FileNotFoundError(msg)
    run: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return run


def names() -> Sequence[str]:
    """Return the names of the stored runs."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))
