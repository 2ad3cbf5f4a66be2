"""Hold the lines that the tests ran against what is promised: `make coverage`.

python tests/coverage_gate.py REPORT.json

Every line of the rooms whose faults would be silent, and nine of ten of all others. Says which lines
are short of it, and exits 1.
"""

from __future__ import annotations

import json
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

WHOLE = ("_plan", "_run", "_stream", "_windows")
OVERALL = 92.0


def _ranges(lines: list[int]) -> str:
    """Spell [1, 2, 3, 7] as 1-3, 7."""
    runs = groupby(enumerate(lines), lambda at: at[1] - at[0])
    spans = [[line for _, line in run] for _, run in runs]
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in spans)


def shortfalls(report: dict[str, Any]) -> list[str]:
    """Return what is short, a line each; nothing where all is well."""
    files = {Path(name): found for name, found in report["files"].items()}
    found = [
        f"{path}: lines {_ranges(one['missing_lines'])} are never run"
        for path, one in sorted(files.items())
        if path.parts[1] in WHOLE and one["missing_lines"]
    ]
    overall = report["totals"]["percent_covered"]
    if overall < OVERALL:
        worst = sorted(files, key=lambda path: -len(files[path]["missing_lines"]))[:10]
        found.append(
            f"{overall:.1f} % of all lines are run, and {OVERALL} % are promised; most are missing in:"
        )
        found += [f"{path}: lines {_ranges(files[path]['missing_lines'])}" for path in worst]
    return found


def main(report: Path) -> int:
    """Return the exit code: 1 where something is short."""
    made = json.loads(report.read_text(encoding="utf-8"))
    short = shortfalls(made)
    sys.stdout.write("".join(f"{line}\n" for line in short))
    overall, whole = made["totals"]["percent_covered"], ", ".join(WHOLE)
    sys.stdout.write(
        f"coverage: {overall:.1f} % of lines, {len(short)} shortfall(s); whole: {whole}\n"
    )
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
