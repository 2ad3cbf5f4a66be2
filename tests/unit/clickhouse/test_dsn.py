from __future__ import annotations

from pathlib import Path

import pytest

from rangebar_enrich.clickhouse.dsn import Address, default_url

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


def test_default_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("RANGEBAR_ENRICH_URL", "http://configured")
    assert default_url() == "http://configured"


def test_default_is_embedded_in_the_data_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("RANGEBAR_ENRICH_URL", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_url() == f"chdb://{tmp_path}/rangebar-enrich/clickhouse"
