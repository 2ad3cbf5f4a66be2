"""A stand-in for a ClickHouse server: a loopback HTTP front of an embedded chDB engine.

No recent server can be installed from a package registry, so the HTTP path of the store is
tested against this: the handshake, queries, binds, inserts and errors that clickhouse-connect
sends and reads. It is not a server: no users, sessions, TLS, cluster, or concurrent queries.
Set RANGEBAR_ENRICH_TEST_URL to run the same tests against a real one.

It runs in a process of its own, so that its engine is not the test's, and can be told to fail:
`POST /faults` with a JSON list takes the next requests through these faults, one each.

    ok              serve it
    503 429 500     answer with that status, do nothing
    code:N          answer with ClickHouse error N, do nothing
    reset-before    reset the connection before reading the body
    reset-during    reset it when half the body is read
    reset-after     read the body, reset, do nothing
    lost-reply      do the work, then reset instead of replying
    late:S          wait S seconds, then do the work and reply
    late-reply:S    do the work, then wait S seconds and reply

Usage: python standin_server.py DIRECTORY; prints its port.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import sys
import tempfile
import threading
import time
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import chdb

TRANSPORT = frozenset(
    """query database user password buffer_size session_id session_timeout session_check query_id
    quota_key compress decompress wait_end_of_query client_protocol_version role default_format
    send_progress_in_http_headers http_headers_progress_interval_ms enable_http_compression""".split()
)
INSERT = re.compile(
    r"\s*INSERT\s+INTO\s+(?P<into>.*?)\s+FORMAT\s+(?P<format>\w+)\s*$", re.DOTALL | re.IGNORECASE
)
FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)


class Engine:
    """The one engine; statements run one after the other."""

    def __init__(self, path: str) -> None:
        self.connection = chdb.connect(path)
        self.connection.query("SET max_threads = 1")  # tiny statements: threads only cost
        self.lock = threading.Lock()
        self.database = "default"
        self.settings: dict[str, str] = {}

    def run(self, sql: str, body: bytes, params: dict, settings: dict, database: str) -> bytes:
        insert = INSERT.match(sql)
        with self.lock:
            self.use(database or "default", settings)
            if insert:
                return self.insert(insert["into"], insert["format"], body)
            text = sql + ("\n" + body.decode() if body and sql else body.decode())
            return self.connection.query(text, "TabSeparated", params=params).bytes() or b""

    def use(self, database: str, settings: dict) -> None:
        """Give the one session the request's database and settings, where they differ."""
        if database != self.database:
            self.connection.query(f"USE `{database}`")
            self.database = database
        old = [f"{name} = DEFAULT" for name in self.settings if name not in settings]
        new = [f"{k} = {quoted(v)}" for k, v in settings.items() if self.settings.get(k) != v]
        self.settings = {}  # unknown, should the next statement fail
        if old or new:
            self.connection.query(f"SET {', '.join(old + new)}")
        self.settings = settings

    def insert(self, into: str, fmt: str, body: bytes) -> bytes:
        with tempfile.NamedTemporaryFile(suffix=".body") as file:
            file.write(body)
            file.flush()
            self.connection.query(f"INSERT INTO {into} FROM INFILE '{file.name}' FORMAT {fmt}")
        return b""


def quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Faults:
    """What the next requests go through; `served` counts requests."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.plan: list[str] = []
        self.served = 0

    def next(self) -> str:
        with self.lock:
            self.served += 1
            return self.plan.pop(0) if self.plan else "ok"


class Handler(BaseHTTPRequestHandler):
    """One request: find its fault, run it, answer as a server does."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    engine: Engine
    faults: Faults

    def do_GET(self) -> None:
        self.serve()

    def do_POST(self) -> None:
        self.serve()

    def log_message(self, *args: object) -> None:
        pass

    def serve(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/ping":
            self.answer(200, b"Ok.\n")
        elif parts.path == "/faults":
            self.faults.plan = json.loads(self.body())
            self.answer(200, str(self.faults.served).encode())
        else:
            self.with_fault(
                self.faults.next(), dict(parse_qsl(parts.query, keep_blank_values=True))
            )

    def with_fault(self, fault: str, query: dict) -> None:
        kind, _, argument = fault.partition(":")
        if kind.startswith("reset"):
            self.reset_at(kind)
        elif kind.isdigit():
            self.body()
            self.answer(int(kind), b"stand-in: told to fail")
        elif kind == "code":
            self.body()
            text = f"Code: {argument}. DB::Exception: stand-in: told to fail. (TOLD_TO_FAIL)"
            self.answer(500, text.encode(), {"X-ClickHouse-Exception-Code": argument})
        else:
            self.work_with_fault(kind, argument, query)

    def reset_at(self, kind: str) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        self.rfile.read({"reset-before": 0, "reset-during": size // 2}.get(kind, size))
        self.reset()

    def work_with_fault(self, kind: str, argument: str, query: dict) -> None:
        body = self.body()
        if kind == "late":
            time.sleep(float(argument))
        status, answer, headers = self.work(query, body)
        if kind == "late-reply":
            time.sleep(float(argument))
        if kind == "lost-reply":
            self.reset()
        else:
            self.answer(status, answer, headers)

    def work(self, query: dict, body: bytes) -> tuple[int, bytes, dict]:
        if self.headers.get("Content-Type", "").startswith("multipart/form-data"):
            query, body = {**query, **self.form(body)}, b""
        sql = query.get("query", "")
        params = {k.removeprefix("param_"): v for k, v in query.items() if k.startswith("param_")}
        settings = {
            k: v for k, v in query.items() if k not in TRANSPORT and not k.startswith("param_")
        }
        try:
            answer = self.engine.run(sql, body, params, settings, query.get("database", ""))
        except Exception as error:  # noqa: BLE001 - whatever the engine says is the answer
            text = str(error)
            code = re.search(r"Code: (\d+)", text)
            return 500, text.encode(), {"X-ClickHouse-Exception-Code": code[1] if code else "1"}
        named = FORMAT.search(sql or body.decode(errors="replace"))
        headers = {"X-ClickHouse-Summary": json.dumps({"written_rows": "0"})}
        if answer or named:
            headers["X-ClickHouse-Format"] = named[1] if named else "TabSeparated"
        return 200, answer, {**headers, "X-ClickHouse-Timezone": "UTC"}

    def form(self, body: bytes) -> dict:
        """Read the parts of a form: long binds come this way."""
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = BytesParser().parsebytes(head + body).get_payload()
        return {
            part.get_param("name", header="content-disposition"): part.get_payload(
                decode=True
            ).decode()
            for part in parts
        }

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, status: int, body: bytes, headers: dict | None = None) -> None:
        try:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
        except OSError:
            self.close_connection = True  # the client did not wait; that is the test's point

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
        self.wfile = self.rfile = open("/dev/null", "r+b")  # noqa: SIM115, PTH123 - flushed by the base class


def main() -> None:
    Handler.engine = Engine(str(Path(sys.argv[1])))
    Handler.faults = Faults()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)  # noqa: T201 - the parent reads it
    server.serve_forever()


if __name__ == "__main__":
    main()
