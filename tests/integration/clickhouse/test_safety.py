from __future__ import annotations

import logging
import os
import select
import signal
import traceback

import pytest

import rangebar_enrich as rbe
from rangebar_enrich.clickhouse import BarStore, RetryPolicy
from rangebar_enrich.errors import StoreConnectionError, WriteFailedError, WriteRefusedError

SERIES = {"symbol": "BTCUSDT", "threshold_decimal_bps": 250}
ONCE = RetryPolicy(attempts=1, seconds=1, first_wait=0, longest_wait=0)
SYMBOLS = [
    "a'b", 'a"b', "a`b", "a\\b", "a;DROP TABLE x", "a--b", "a\nb\tc", "{x:String}", "%(s)s", "$t",
    "BTC\u200bUSDT", "\u0412\u0422\u0421USDT", "\u202eUSDT", "日本", "😀", " ", "x" * 300, "NULL", "\\N", "\0a",
]  # fmt: skip


def test_hostile_symbols_are_only_data(store, make_bars):
    for i, symbol in enumerate(SYMBOLS):
        store.write(make_bars(3, seed=i), symbol=symbol, threshold_decimal_bps=250, verify=True)
    for i, symbol in enumerate(SYMBOLS):
        found = store.read(symbol, 250, columns=["close"])["close"].to_pylist()
        assert found == make_bars(3, seed=i)["close"].to_pylist()
    assert sorted(found.symbol for found in store.series()) == sorted(SYMBOLS)


@pytest.mark.parametrize("name", ["x'); DROP TABLE t; --", "x`", "日本", "a b", "x" * 300])
def test_hostile_column_names_are_refused(store, make_bars, name):
    store.write(make_bars(3), **SERIES)
    with pytest.raises(rbe.errors.BarColumnError, match="not in table"):
        store.read("BTCUSDT", 250, columns=[name])
    bars = make_bars(3).append_column(name, make_bars(3)["close"])
    with pytest.raises(rbe.errors.IdentifierError, match="cannot be an identifier"):
        store.write(bars, **SERIES, features=[name])


def test_hostile_versions_are_only_data(store, make_bars):
    version = "1'; DROP TABLE x; -- ` \\ \n 😀"
    store.write(make_bars(4, m_x=("m", version)), **SERIES)
    assert store.providers()[0].version == version
    assert store.outdated("BTCUSDT", 250, provider="m", version=version).rows == 0


def test_mode_guard_refuses_a_second_mode(store, make_bars):
    store.write(make_bars(3), **SERIES)
    expected = (
        r"^1 series would mix ouroboros modes\. Nothing was written\.\n"
        r"- BTCUSDT@250: 'week' beside 'month' stored\nHint: write them to another table"
    )
    with pytest.raises(WriteRefusedError, match=expected):
        store.write(make_bars(3), **SERIES, ouroboros_mode="week")
    assert [found.ouroboros_mode for found in store.series()] == ["month"]


def test_mode_guard_looks_at_the_batch_too(store, make_bars):
    import pyarrow as pa

    modes = pa.array(["month", "month", "week", "week"])
    bars = make_bars(4).append_column("ouroboros_mode", modes)
    with pytest.raises(WriteRefusedError, match="'week' beside 'month' in the same batch"):
        store.write(bars, **SERIES)
    assert store.series() == []


@pytest.mark.parametrize("guard", ["warn", "off"])
def test_mode_guard_can_be_lowered(store, make_bars, caplog, guard):
    store.write(make_bars(3), **SERIES)
    with caplog.at_level(logging.WARNING, "rangebar_enrich.clickhouse.modes"):
        store.write(make_bars(3), **SERIES, ouroboros_mode="week", mode_guard=guard)
    assert [found.ouroboros_mode for found in store.series()] == ["month", "week"]
    assert ("would mix ouroboros modes" in caplog.text) == (guard == "warn")


def test_unknown_mode_guard_is_refused(store, make_bars):
    with pytest.raises(WriteRefusedError, match="mode_guard='soft' is unknown"):
        store.write(make_bars(3), **SERIES, mode_guard="soft")


def test_refused_batch_writes_nothing(store, make_bars):
    bars = make_bars(4)
    store.write(bars, **SERIES)
    before = store.read("BTCUSDT", 250)
    with pytest.raises(WriteRefusedError, match="duplicate_key"):
        store.write(bars.take([0, 1, 1, 2]), **SERIES)
    assert store.read("BTCUSDT", 250).equals(before)


def test_events_of_a_write(store, make_bars):
    seen = []
    for event in rbe.HookEvent:
        rbe.register_hook(event, seen.append)
    store.write(make_bars(3, m_x=("m", "1")), **SERIES)
    names = [payload.event.name for payload in seen]
    assert names == ["CACHE_WRITE_START", "CACHE_WRITE_COMPLETE"]
    assert {payload.symbol for payload in seen} == {"BTCUSDT"}
    assert len({payload.trace_id for payload in seen}) == 1
    assert seen[0].details["feature_count"] == 1
    assert (seen[1].details["bar_count"], seen[1].details["chunk_count"]) == (3, 1)


def test_event_of_a_refused_write(store, make_bars):
    seen = []
    rbe.register_for_failures(seen.append)
    with pytest.raises(WriteRefusedError, match="duplicate_key"):
        store.write(make_bars(3).take([0, 0]), **SERIES)
    assert [payload.event.name for payload in seen] == ["CACHE_WRITE_FAILED"]
    assert seen[0].details["error"].startswith("WriteRefusedError: 2 bar(s) refused")


def test_leases_outlast_a_clock_that_goes_back(store, connect, make_bars, monkeypatch):
    import time

    store.write(make_bars(3, seed=1), **SERIES)
    real = time.time
    monkeypatch.setattr("rangebar_enrich.clickhouse.chain.time.time", lambda: real() - 3600)
    last = make_bars(3, seed=2)
    connect().write(last, **SERIES, verify=True)
    assert (
        store.read("BTCUSDT", 250, columns=["close"])["close"].to_pylist()
        == last["close"].to_pylist()
    )


def test_clock_that_is_years_ahead_is_refused(store, make_bars, monkeypatch):
    import time

    ahead = time.time() + 3 * 365 * 86_400
    monkeypatch.setattr("rangebar_enrich.clickhouse.chain.time.time", lambda: ahead)
    expected = r"(?s)ahead of the database's by more than a day:\n- here: 20.* UTC\n- database: 20"
    with pytest.raises(WriteRefusedError, match=expected):
        store.write(make_bars(3), **SERIES)
    monkeypatch.undo()
    assert store.count("BTCUSDT", 250) == 0
    assert store.write(make_bars(3), **SERIES).rows == 3


def test_rows_of_a_clock_ahead_are_replaced(store, make_bars):
    store.write(make_bars(3, seed=1), **SERIES)
    ahead = "SELECT * EXCEPT computed_at, computed_at + 3600"
    store.client.command(
        f"INSERT INTO {store.table} (* EXCEPT computed_at, computed_at) {ahead} FROM {store.table}"
    )
    last = make_bars(3, seed=2)
    store.write(last, **SERIES, verify=True)
    assert (
        store.read("BTCUSDT", 250, columns=["close"])["close"].to_pylist()
        == last["close"].to_pylist()
    )


def test_writer_that_is_overtaken_writes_again(store, connect, make_bars, monkeypatch):
    """A writer sleeps between its read and its insert; another one comes and goes."""
    from rangebar_enrich.clickhouse.write import BarWriter

    slow, quick = connect(lease_seconds=0.05), store
    original, slept = BarWriter._send, []

    def send(self, schema, plan, hold):
        if not slept:
            slept.append(1)
            # NOTE: what an embedded holder of this process looks like to itself: expired.
            import time

            time.sleep(0.3)
            quick.write(make_bars(5, trend_x=("trend", "1")), **SERIES)
        return original(self, schema, plan, hold)

    monkeypatch.setattr(BarWriter, "_send", send)
    slow.write(make_bars(5, momentum_x=("momentum", "1")), **SERIES, verify=True)
    found = {(row.provider, row.version, row.rows) for row in store.provenance("BTCUSDT", 250)}
    assert found == {("momentum", "1", 5), ("trend", "1", 5)}


def test_writer_waits_no_longer_than_told(store, connect, make_bars):
    from rangebar_enrich.clickhouse.retry import RetryCount

    store.ensure_table()
    impatient = connect(retry=RetryPolicy(attempts=2, seconds=0.2))
    with (
        store._session.leases.hold([("BTCUSDT", 250)], RetryCount()),
        pytest.raises(
            WriteFailedError, match=r"^Another writer has held BTCUSDT@250 for more than 0.2 s\."
        ),
    ):
        impatient.write(make_bars(3), **SERIES)
    assert impatient.write(make_bars(3), **SERIES).rows == 3


# NOTE: the child also holds the pipes of the test runner: were it to hang, so would the whole run.
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # of Python 3.12
def test_fork_is_an_error_and_not_a_hang(store, make_bars):
    store.ensure_table()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - the child reports through the pipe
        try:
            store.count("BTCUSDT", 250)
            os.write(writer, b"no error")
        except StoreConnectionError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    answered, _, _ = select.select([reader], [], [], 60)
    if not answered:
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    assert "is used in its fork" in text
    assert "Hint: start workers with multiprocessing's 'spawn'" in text


SECRET = "tops3cret/w:rd"  # noqa: S105 - made up


@pytest.mark.parametrize(
    "url",
    ["http://joe:tops3cret%2Fw%3Ard@127.0.0.1:9/db", "https://joe:tops3cret%2Fw%3Ard@127.0.0.1:9"],
)
def test_secrets_reach_no_text(url, caplog):
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(StoreConnectionError, match=r"joe:.*@127") as caught,
    ):
        BarStore.connect(url, retry=ONCE, connect_timeout=1)
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert "tops3cret" not in shown


def test_secrets_of_an_open_store_reach_no_text(standin):
    url = standin.url.replace("http://", "http://joe:tops3cret@")
    with BarStore.connect(url, retry=ONCE) as store:
        assert repr(store).startswith("BarStore('http://joe:***@127.0.0.1:")
        standin.fault(["code:60"])
        with pytest.raises(rbe.errors.QueryError, match="refused a statement") as caught:
            store.series()
        assert "tops3cret" not in "".join(traceback.format_exception(caught.value))


def test_tls_options_are_passed_on(monkeypatch):
    import clickhouse_connect

    seen, stop = {}, "stop here"

    def get_client(**options):
        seen.update(options)
        raise ConnectionError(stop)

    monkeypatch.setattr(clickhouse_connect, "get_client", get_client)
    with pytest.raises(StoreConnectionError, match="stop here"):
        BarStore.connect("https://h:9440", ca_cert="ca.pem", client_cert="me.pem", retry=ONCE)
    assert (seen["interface"], seen["ca_cert"], seen["client_cert"]) == (
        "https",
        "ca.pem",
        "me.pem",
    )


def test_write_that_breaks_off_says_so(standin, make_bars):
    with BarStore.connect(standin.url, table="broken_off.range_bars", retry=ONCE) as store:
        store.ensure_table()
        standin.fault(["ok"] * 4 + ["code:252"] * 3)
        expected = (
            r"^The write to 'broken_off\.range_bars' broke off; 0 insert\(s\) were done\.\n"
            r"- The database refused a statement:\n- (?s:.*)"
            r"Hint: repeat the same call: it completes the rows, and none is doubled\.$"
        )
        with pytest.raises(WriteFailedError, match=expected):
            store.write(make_bars(3), **SERIES)
        standin.fault([])
        assert store.write(make_bars(3), **SERIES, verify=True).rows == 3
        store.client.command("DROP DATABASE broken_off")
