"""Where the database is, and the secrets in its address that nobody may see."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlencode, urlsplit

from rangebar_enrich.errors import StoreConnectionError, message

URL_VARIABLE = "RANGEBAR_ENRICH_URL"
HIDDEN = "***"
_EMBEDDED = "chdb"
_SECRET_OPTIONS = frozenset({"password", "access_token", "client_cert_key", "token"})
_INTERFACES = frozenset({"http", "https"})
_SCHEMES = ("chdb", "http", "https", "clickhouse", "clickhousedb", "clickhouse+http", "ch")
_MUST_ENCODE = {"/": "%2F", "#": "%23", "?": "%3F", "[": "%5B", "]": "%5D", "@": "%40"}


def default_url() -> str:
    """Return `RANGEBAR_ENRICH_URL`, else an embedded directory under the user's data folder."""
    configured = os.environ.get(URL_VARIABLE)
    if configured:
        return configured
    from platformdirs import user_data_path

    return f"chdb://{user_data_path('rangebar-enrich', appauthor=False) / 'clickhouse'}"


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """A DSN of clickhouse-connect, with its secrets set apart.

    Attributes:
        url: The DSN as given; it may hold a password.
        secrets: Every spelling of the secrets in it and in the options.
    """

    url: str
    secrets: tuple[str, ...] = ()

    @classmethod
    def parse(cls, url: str, options: Mapping[str, Any]) -> Address:
        """Read a DSN and the client's options.

        Raises:
            StoreConnectionError: It can't be taken apart; no part of it that may be secret is shown.
        """
        _check_url(url)
        parts = urlsplit(url)
        found = [parts.password or ""]
        found += [value for name, value in parse_qsl(parts.query) if _is_secret(name)]
        found += [str(value) for name, value in options.items() if _is_secret(name)]
        headers = options.get("headers")
        if isinstance(headers, Mapping):
            found += [str(value) for value in headers.values()]
        spelled = {text for raw in found if raw for text in _spellings(raw)}
        return cls(url, tuple(sorted(spelled, key=len, reverse=True)))

    @property
    def is_embedded(self) -> bool:
        """Whether it names a chDB directory or chDB in memory."""
        return self.url.startswith(f"{_EMBEDDED}:")

    @property
    def path(self) -> Path | None:
        """Directory of an embedded database, or `None`."""
        parts = urlsplit(self.url)
        on_disk = self.is_embedded and not parts.netloc and parts.path
        return Path(parts.path) if on_disk else None

    @property
    def database(self) -> str | None:
        """The database that a server's DSN names, or `None`."""
        if self.is_embedded:
            return None
        return unquote(urlsplit(self.url).path[1:].split("/")[0]) or None

    @property
    def interface(self) -> str | None:
        """`http` or `https` where the DSN says so: https must never fall back to clear text."""
        scheme = urlsplit(self.url).scheme
        return scheme if scheme in _INTERFACES else None

    @property
    def shown(self) -> str:
        """The DSN without secrets."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        user = f"{parts.username}:{HIDDEN}@" if parts.password else ""
        if parts.username and not parts.password:
            user = f"{parts.username}@"
        query = urlencode(
            [(k, HIDDEN if _is_secret(k) else v) for k, v in parse_qsl(parts.query)], safe="*"
        )
        return f"{parts.scheme}://{user}{host}{parts.path}{'?' if query else ''}{query}"

    def scrub(self, text: str) -> str:
        """Hide every secret in `text`."""
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        return text

    def __repr__(self) -> str:
        """Return the address without secrets."""
        return f"Address({self.shown!r})"


def _check_url(url: str) -> None:
    """Refuse a DSN that is read otherwise than it was meant: a password with a slash, say."""
    scheme, sign, rest = url.partition("://")
    if not sign or scheme not in _SCHEMES:
        shown = scheme if sign else scheme.partition(":")[0]
        msg = message(
            f"The address has an unknown scheme {shown[:20]!r}.",
            hint=f"known are {', '.join(f'{one}://' for one in _SCHEMES)}.",
        )
        raise StoreConnectionError(msg)
    if scheme == _EMBEDDED:
        return
    if _is_clear(url, rest):
        return
    user, _, host = rest.rpartition("@")
    name = user.partition(":")[0] if user else ""
    shown = f"{scheme}://{name}:{HIDDEN}@{host.partition('/')[0]}" if user else f"{scheme}://…"
    signs = ", ".join(f"{sign} as {code}" for sign, code in _MUST_ENCODE.items())
    msg = message(
        f"The address {shown} can't be taken apart: signs of the password divide it.",
        hint=f"encode them: {signs}; or pass password= to connect().",
    )
    raise StoreConnectionError(msg)


def _is_clear(url: str, rest: str) -> bool:
    """Return whether what was read as host, path and options holds no part of a password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return not ("#" in rest or "@" in parts.path or "@" in parts.query.partition("=")[0])


def _is_secret(option: str) -> bool:
    return option.lower() in _SECRET_OPTIONS


def _spellings(secret: str) -> set[str]:
    """Return how a secret may be written in a URL, a log line or a header."""
    from base64 import b64encode

    plain = unquote(secret)
    encoded = b64encode(plain.encode()).decode().rstrip("=")
    return {secret, plain, quote(plain, safe=""), quote_plus(plain), repr(plain)[1:-1], encoded}
