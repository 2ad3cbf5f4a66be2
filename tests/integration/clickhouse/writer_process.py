"""A writer that can be killed: writes seeded batches into one series, once or until it is killed, or prints what is there.

Usage: python writer_process.py URL TABLE write|forever|dump
"""

from __future__ import annotations

import itertools
import json
import sys

from conftest import FAST, make_bars

from rangebar_enrich.clickhouse import BarStore

DAY_MS = 24 * 3_600_000
BATCHES = 5
ROWS = 40
SERIES = {"symbol": "KILLED", "threshold_decimal_bps": 250}
NAMES = ["close_time_ms", "close", "volume", "momentum_x", "trend_x"]


def batch(number: int):
    """Return bars over two months; odd batches bring one provider, even ones the other."""
    name = "momentum" if number % 2 else "trend"
    return make_bars(ROWS, step_ms=DAY_MS, seed=7, **{f"{name}_x": (name, str(number))})


def expected() -> list[dict]:
    rows: dict[int, dict] = {}
    for number in range(BATCHES):
        for row in batch(number).to_pylist():
            rows.setdefault(row["close_time_ms"], {}).update(row)
    return [{name: rows[time][name] for name in NAMES} for time in sorted(rows)]


def main() -> None:
    url, table, action = sys.argv[1:4]
    with BarStore.connect(url, table=table, retry=FAST, lease_seconds=0.3) as store:
        if action == "dump":
            rows = store.read("KILLED", 250, columns=NAMES).to_pylist()
            versions = [
                (row.provider, row.version, row.rows) for row in store.provenance("KILLED", 250)
            ]
            print(json.dumps([rows, versions]))  # noqa: T201 - the parent reads it
            return
        store.ensure_table()
        print("ready", flush=True)  # noqa: T201 - the parent reads it
        for _ in itertools.count() if action == "forever" else range(1):
            for number in range(BATCHES):
                store.write(batch(number), **SERIES, verify=number % 3 == 0)


if __name__ == "__main__":
    main()
