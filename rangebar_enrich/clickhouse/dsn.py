"""Where the database is, and the secrets in its address that nobody may see."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlencode, urlsplit

URL_VARIABLE = "RANGEBAR_ENRICH_URL"
HIDDEN = "***"
_EMBEDDED = "chdb"
_SECRET_OPTIONS = frozenset({"password", "access_token", "client_cert_key", "token"})
_SCHEMES = frozenset({"http", "https"})


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
        """Read a DSN and the client's options."""
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
    def interface(self) -> str | None:
        """`http` or `https` where the DSN says so: https must never fall back to clear text."""
        scheme = urlsplit(self.url).scheme
        return scheme if scheme in _SCHEMES else None

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


def _is_secret(option: str) -> bool:
    return option.lower() in _SECRET_OPTIONS


def _spellings(secret: str) -> set[str]:
    """Return how a secret may be written in a URL, a log line or a header."""
    from base64 import b64encode

    plain = unquote(secret)
    encoded = b64encode(plain.encode()).decode().rstrip("=")
    return {secret, plain, quote(plain, safe=""), quote_plus(plain), repr(plain)[1:-1], encoded}
