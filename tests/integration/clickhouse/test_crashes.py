"""kill -9 of the writer and of the server, two processes on one directory."""

from __future__ import annotations

import importlib.util
import json
import random
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from rangebar_enrich.clickhouse import BarStore, RetryPolicy
from rangebar_enrich.errors import StoreError

SCRIPT = Path(__file__).with_name("writer_process.py")
VERSIONS = [["momentum", "3", 40], ["trend", "4", 40]]
QUICK = RetryPolicy(attempts=3, seconds=2, first_wait=0.01, longest_wait=0.05)


@pytest.fixture(scope="module")
def expected() -> list[dict]:
    spec = importlib.util.spec_from_file_location("writer_process", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(SCRIPT.parent))
    return module.expected()


def start(url: str, table: str, action: str = "write") -> subprocess.Popen:
    command = [sys.executable, str(SCRIPT), url, table, action]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> str:
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return out


def kill_at_random(url: str, table: str, rng: random.Random, times: int) -> None:
    """Start writers that never end, and kill them at work."""
    for _ in range(times):
        with start(url, table, "forever") as process:
            assert process.stdout.readline() == "ready\n"
            time.sleep(rng.uniform(0.0, 0.5))
            assert process.poll() is None
            process.kill()


def dump(url: str, table: str) -> list:
    return json.loads(finish(start(url, table, "dump")))


@pytest.mark.slow
def test_killed_writer_over_http(standin, expected):
    table = f"killed_{uuid.uuid4().hex}.range_bars"
    kill_at_random(standin.url, table, random.Random(1), 3)
    finish(start(standin.url, table))
    assert dump(standin.url, table) == [expected, VERSIONS]


@pytest.mark.slow
def test_killed_writer_of_an_embedded_database(tmp_path, expected):
    url, table = f"chdb://{tmp_path / 'db'}", "killed.range_bars"
    kill_at_random(url, table, random.Random(2), 3)
    finish(start(url, table))
    assert dump(url, table) == [expected, VERSIONS]


@pytest.mark.slow
def test_killed_server(tmp_path, start_standin, expected):
    rng, table = random.Random(3), "killed.range_bars"
    server = start_standin(tmp_path / "db")
    try:
        for _ in range(2):
            writer = start(server.url, table, "forever")
            assert writer.stdout.readline() == "ready\n"
            time.sleep(rng.uniform(0.05, 0.4))
            server.kill()
            writer.communicate(timeout=120)
            server.start()
        finish(start(server.url, table))
        assert dump(server.url, table) == [expected, VERSIONS]
    finally:
        server.kill()


def test_second_process_on_one_directory_is_told(tmp_path):
    url = f"chdb://{tmp_path / 'db'}"
    holder = "import sys\nfrom rangebar_enrich.clickhouse import BarStore\n"
    holder += f"store = BarStore.connect({url!r})\nprint('open', flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout.readline() == "open\n"
        second = start(url, "x.range_bars")
        _, errors = second.communicate(timeout=60)
        first.stdin.close()
    assert second.returncode == 1
    assert f"StoreConnectionError: The database {url} cannot be opened:" in errors
    assert "Hint: another process has it open, and one at a time can: end that process" in errors


def test_second_directory_in_one_process_is_told(url, tmp_path):
    if not url.startswith("chdb"):
        pytest.skip("of the embedded engine only")
    with pytest.raises(
        StoreError, match=r"cannot be opened:\n(?s:.*)\nHint: one process can open one emb"
    ):
        BarStore.connect(f"chdb://{tmp_path / 'other'}", retry=QUICK)
