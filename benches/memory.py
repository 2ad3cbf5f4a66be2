"""Peak memory of one contender, in a process of its own.

    python -m benches.memory A 1000000 ours

prints one line of JSON. The peak is the process's largest resident size, imports and input
included, since that is what a machine must have. `before_mb` is the peak before the call.
"""

from __future__ import annotations

import json
import logging
import resource
import subprocess
import sys
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

from benches.contest import Contender, Workload

ROOT = Path(__file__).resolve().parent.parent
_LIMIT = 900


@dataclass(frozen=True, slots=True)
class Peak:
    """Largest resident size of a process.

    Attributes:
        peak_mb: At its end, in MB.
        before_mb: Just before the measured call, with its input in memory.
        seconds: What the call took, once and cold.
    """

    peak_mb: float
    before_mb: float
    seconds: float


def measure_peak(workload: Workload, rows: int, contender: str) -> Peak | None:
    """Start a process that runs `contender` once, and return its peak.

    Returns:
        Its peak; `None` where the contender takes no part on this machine.

    Raises:
        RuntimeError: The process failed; what it wrote is in the error.
    """
    command = [sys.executable, "-m", "benches.memory", workload.key, str(rows), contender]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=_LIMIT, check=False
    )
    if done.returncode:
        msg = f"{' '.join(command[1:])} failed:\n{done.stderr[-2000:]}"
        raise RuntimeError(msg)
    made = json.loads(done.stdout.splitlines()[-1])
    return Peak(**made) if made else None


def _resident_mb() -> float:
    """Return the largest resident size so far.

    `ru_maxrss` starts at what the parent held when it started this process, so where Linux
    tells the size of this program alone, that is taken.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def _run_once(contender: Contender) -> Peak:
    argument = contender.prepare() if contender.prepare else None
    before = _resident_mb()
    start = time.perf_counter()
    contender.run(argument)
    return Peak(_resident_mb(), before, time.perf_counter() - start)


def main(arguments: list[str]) -> None:
    """Measure the contender that the arguments name and print its peak."""
    from benches.workloads import BY_KEY

    warnings.simplefilter("ignore")
    logging.disable()
    key, rows, name = arguments
    contest = BY_KEY[key].make(int(rows))
    contender = contest.of(name)
    peak = _run_once(contender) if contender else None
    if contest.close:
        contest.close()
    print(json.dumps(asdict(peak) if peak else None))


if __name__ == "__main__":
    main(sys.argv[1:])
