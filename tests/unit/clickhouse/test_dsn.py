from __future__ import annotations

from pathlib import Path

import pytest

from rangebar_enrich.clickhouse.dsn import Address, default_url
from rangebar_enrich.errors import StoreConnectionError

SECRET = "p@ss/w:rd%"  # noqa: S105 - made up
ENCODED = "p%40ss%2Fw%3Ard%25"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"http://joe:{ENCODED}@host:8123/db", "http://joe:***@host:8123/db"),
        (
            f"clickhouse://joe:{ENCODED}@host/db?secure=true",
            "clickhouse://joe:***@host/db?secure=true",
        ),
        ("http://joe@host", "http://joe@host"),
        ("https://host:8443", "https://host:8443"),
        (
            "http://host/?access_token=abc&compress=lz4",
            "http://host/?access_token=***&compress=lz4",
        ),
        ("chdb:///data/db", "chdb:///data/db"),
        ("chdb://memory", "chdb://memory"),
    ],
)
def test_shown_address_has_no_secret(url, shown):
    address = Address.parse(url, {})
    assert address.shown == shown
    assert repr(address) == f"Address({shown!r})"


@pytest.mark.parametrize("text", [SECRET, ENCODED, "cEBzcy93OnJkJQ"])
def test_scrub_hides_every_spelling(text):
    address = Address.parse(f"http://joe:{ENCODED}@host", {})
    assert address.scrub(f"failed with {text}!").startswith("failed with ***")


def test_scrub_hides_options():
    options = {"password": "one", "access_token": "two", "headers": {"X-Key": "three"}}
    assert Address.parse("http://h", options).scrub("one two three") == "*** *** ***"


@pytest.mark.parametrize(
    ("url", "path"),
    [("chdb:///data/db", Path("/data/db")), ("chdb://memory", None), ("http://h/db", None)],
)
def test_path_of_an_embedded_database(url, path):
    assert Address.parse(url, {}).path == path


@pytest.mark.parametrize(
    ("url", "interface"), [("https://h", "https"), ("http://h", "http"), ("clickhouse://h", None)]
)
def test_https_is_never_downgraded(url, interface):
    assert Address.parse(url, {}).interface == interface


@pytest.mark.parametrize("sign", ["/", "#", "?", "[", "]", "/@", "?x"])
@pytest.mark.parametrize("start", ["tops3cret", "77"])
@pytest.mark.parametrize("scheme", ["http", "clickhouse"])
def test_password_that_divides_the_address_is_not_shown(scheme, start, sign):
    url = f"{scheme}://joe:{start}{sign}hush@host:8123/db"
    with pytest.raises(StoreConnectionError, match=r"(?s)joe:\*\*\*@host.*%2F, # as %23") as caught:
        Address.parse(url, {})
    assert "hush" not in str(caught.value)
    assert start not in str(caught.value)


@pytest.mark.parametrize("url", ["http://h/db?user=a@b", "http://joe:p@ss@h/db", "http://h:1/db"])
def test_addresses_with_odd_signs_are_taken(url):
    assert Address.parse(url, {}).database == "db"


@pytest.mark.parametrize("url", ["sqlite:///x", "host:8123", "postgres://a:b@c"])
def test_unknown_scheme_is_named(url):
    scheme = url.partition(":")[0]
    with pytest.raises(StoreConnectionError, match=f"unknown scheme '{scheme}'"):
        Address.parse(url, {})


def test_database_of_an_address():
    assert Address.parse("http://h/my%2Ddb", {}).database == "my-db"
    assert Address.parse("chdb:///data/db", {}).database is None


def test_default_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("RANGEBAR_ENRICH_URL", "http://configured")
    assert default_url() == "http://configured"


def test_default_is_embedded_in_the_data_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("RANGEBAR_ENRICH_URL", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_url() == f"chdb://{tmp_path}/rangebar-enrich/clickhouse"
