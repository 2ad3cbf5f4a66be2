"""Run every property with fresh seeds for as long as told: `make fuzz MINUTES=10`.

python tests/fuzz.py MINUTES [SEED]

Stops at the first find: prints the seed, the shrunk input and how to see it again, and exits 1. A SEED
is where the first pass starts; without one it is drawn.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).parent
PYTEST = (
    "-m pytest -q --tb=short -p no:cacheprovider -m hypothesis --hypothesis-profile=fuzz".split()
)


def run_pass(seed: int, until: float) -> subprocess.CompletedProcess[str]:
    """Try every property once with `seed`; what has not begun when time is up is skipped."""
    options = f"--numprocesses auto --dist worksteal --maxfail 1 --hypothesis-seed={seed}".split()
    command = [sys.executable, *PYTEST, *options, f"--fuzz-until={until}", str(TESTS)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=TESTS.parent)


def main(minutes: float, seed: int) -> int:
    """Return the exit code: 0 when time is up and nothing was found."""
    until = time.time() + 60 * minutes
    passes = 0
    while time.time() < until:
        done = run_pass(seed, until)
        passes += 1
        closing = done.stdout.rstrip().splitlines()[-1:] or [done.stderr]
        print(f"pass {passes}, seed {seed}: {closing[0]}", flush=True)  # noqa: T201 - for a person
        if done.returncode:
            again = f"python {' '.join(PYTEST)} --hypothesis-seed={seed} tests/…::test_…"
            print(f"{done.stdout}{done.stderr}\nseed {seed}; again with: {again}")  # noqa: T201
            return 1
        seed += 1
    return 0


if __name__ == "__main__":
    first = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(2**32)
    sys.exit(main(float(sys.argv[1]), first))
