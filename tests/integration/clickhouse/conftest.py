"""Databases to test on: embedded, a stand-in for a server, and a real server where one is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from rangebar_enrich.clickhouse import BarStore, RetryPolicy

STANDIN = Path(__file__).with_name("standin_server.py")
# Patient with others, whatever else the machine does; quick with what is repeated.
FAST = RetryPolicy(attempts=12, seconds=200, first_wait=0.002, longest_wait=0.02)
HOUR_MS = 3_600_000
START_MS = 1_704_067_200_000
"""2024-01-01 UTC."""


class Standin:
    """A running stand-in server."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.start()

    def start(self) -> None:
        command = [sys.executable, str(STANDIN), str(self.path)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def fault(self, plan: Sequence[str]) -> int:
        """Take the next requests through `plan`; return the number of requests so far."""
        body = json.dumps(list(plan)).encode()
        with urllib.request.urlopen(f"{self.url}/faults", body, timeout=10) as answer:  # noqa: S310
            return int(answer.read())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="session")
def standin(tmp_path_factory) -> Iterator[Standin]:
    server = Standin(tmp_path_factory.mktemp("standin") / "db")
    yield server
    server.kill()


@pytest.fixture
def start_standin() -> type[Standin]:
    return Standin


OVER_HTTP = {"test_store.py", "test_facts.py"}
"""The modules whose tests are quick over HTTP too; `make test-all` runs the others so."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave most of HTTP to `make test-all`: the server takes more time than the tests."""
    for item in items:
        kind = item.callspec.params.get("url") if hasattr(item, "callspec") else None
        if kind == "http" and item.path.name not in OVER_HTTP:
            item.add_marker(pytest.mark.slow)


KINDS = ["embedded", "http"]
if os.environ.get("RANGEBAR_ENRICH_TEST_URL"):
    KINDS.append("server")


@pytest.fixture(scope="module", params=KINDS)
def url(request, tmp_path_factory) -> Iterator[str]:
    """Address of a database; the embedded engine is closed when the module ends."""
    if request.param == "http":
        yield request.getfixturevalue("standin").url
    elif request.param == "server":
        yield os.environ["RANGEBAR_ENRICH_TEST_URL"]
    else:
        address = f"chdb://{tmp_path_factory.mktemp('chdb') / 'db'}"
        # NOTE: held open, so that the engine starts once; other modules have other paths.
        with BarStore.connect(address):
            yield address


@pytest.fixture
def connect(url) -> Iterator[Callable[..., BarStore]]:
    """Open stores on one fresh database, dropped at the end."""
    database = f"test_{uuid.uuid4().hex}"
    opened: list[BarStore] = []

    def open_store(**options) -> BarStore:
        options.setdefault("retry", FAST)
        store = BarStore.connect(url, table=f"{database}.range_bars", **options)
        opened.append(store)
        return store

    yield open_store
    usable = [store for store in opened if not store._connection._closed]
    cleaner = usable[0] if usable else BarStore.connect(url)
    cleaner.client.command(f"DROP DATABASE IF EXISTS {database}")
    for store in [*opened, cleaner]:
        store.close()


@pytest.fixture
def store(connect) -> BarStore:
    return connect()


def make_bars(
    rows: int = 12,
    *,
    start_ms: int = START_MS,
    step_ms: int = HOUR_MS,
    seed: int = 0,
    **features: tuple[str, str] | tuple[str, str, str],
) -> pa.Table:
    """Return bars under the table's names; features are name=(provider, version[, status])."""
    rng = np.random.default_rng(seed)
    close = 100 + rng.normal(0, 1, rows).cumsum()
    opened = np.concatenate([[100.0], close])[:rows]
    times = start_ms + step_ms * np.arange(1, rows + 1)
    table = pa.table(
        {
            "close_time_ms": times,
            "open_time_ms": times - step_ms,
            "open": opened,
            "high": np.maximum(opened, close) + 0.25,
            "low": np.minimum(opened, close) - 0.25,
            "close": close,
            "volume": rng.uniform(1, 9, rows),
        }
    )
    for name, (provider, version, *status) in features.items():
        made = with_status(provider, version, status[0] if status else "ok")
        values = rng.normal(0, 1, rows)
        empty = made[b"status"] in {b"failed", b"short_history"}
        mask = np.ones(rows, dtype=bool) if empty else np.arange(rows) < 2
        field = pa.field(name, pa.float64(), metadata=made)
        table = table.append_column(field, pa.array(values, mask=mask))
    return table


def with_status(provider: str, version: str, status: str = "ok", **more: str) -> dict:
    notes = {"provider": provider, "version": version, "status": status, **more}
    return {key.encode(): value.encode() for key, value in notes.items()}


@pytest.fixture(name="make_bars")
def make_bars_fixture() -> Callable[..., pa.Table]:
    return make_bars


@pytest.fixture(name="with_status")
def with_status_fixture() -> Callable[..., dict]:
    return with_status
