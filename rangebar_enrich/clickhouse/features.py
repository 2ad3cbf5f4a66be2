"""Which columns of a table are features, who made them, and where they are worth storing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich.clickhouse.identifiers import feature_name
from rangebar_enrich.clickhouse.migration import WantedFeature, check_feature_name
from rangebar_enrich.errors import WriteRefusedError, message

Features = Sequence[str] | Mapping[str, tuple[str, str]]
"""`features=` of `write`: names, or a mapping from name to (provider, version)."""

_OK = "ok"
_PARTIAL = "partial"
_STATUSES = frozenset({_OK, _PARTIAL, "failed", "short_history"})


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature column of what is to be written.

    Attributes:
        name: Column name.
        provider: Who made it, or `None` where nobody says.
        version: Version of the provider, or `None`.
        status: `ok`, `partial`, `failed` or `short_history`; `None` where nobody says.
        failed_series: Series in which a `partial` feature failed.
    """

    name: str
    provider: str | None = None
    version: str | None = None
    status: str | None = None
    failed_series: frozenset[tuple[Any, ...]] = frozenset()

    @property
    def wanted(self) -> WantedFeature:
        """The column that the table needs for it."""
        return WantedFeature(self.name, self.provider, self.version)

    def owned_by(self, provider: str | None) -> Feature:
        """Return the feature with the provider that the table knows, where nobody else says."""
        return (
            self
            if self.provider is not None or provider is None
            else replace(self, provider=provider)
        )

    def is_present(self, key: SeriesKey, column: pa.ChunkedArray) -> bool:
        """Return whether its values of one series are results, and not a failure's nulls.

        Where no status is known, a column without a single value may be a failure's: it counts
        as absent, so that stored values stay.
        """
        if self.status is None:
            return bool(column.null_count < len(column))
        if self.status == _PARTIAL:
            return not any(_matches(failed, key) for failed in self.failed_series)
        return self.status == _OK


def _matches(failed: tuple[Any, ...], key: SeriesKey) -> bool:
    """Compare with a failed series, whose unknown parts are null."""
    return all(part is None or part == own for part, own in zip(failed, key, strict=False))


def resolve_features(schema: pa.Schema, features: Features | None) -> dict[str, Feature]:
    """Find the feature columns of a table.

    Args:
        schema: Its schema; fields with metadata `provider` are features.
        features: Further features, for kinds of tables that carry no metadata.

    Returns:
        Features by name.

    Raises:
        WriteRefusedError: A named feature is not there, or metadata are malformed.
        IdentifierError: A name cannot be a feature's.
    """
    found = {field.name: _of_field(field) for field in schema if _has_provider(field)}
    for name, owner in _named(features).items():
        if name not in schema.names:
            msg = message(
                f"Feature '{name}' is not a column of the bars.",
                hint="name columns that are there in `features=`.",
            )
            raise WriteRefusedError(msg)
        if owner is not None:
            found[name] = Feature(name, feature_name(owner[0]), str(owner[1]))
        elif name not in found:
            found[name] = Feature(name)
    for name in found:
        check_feature_name(name)
    return found


def _named(features: Features | None) -> dict[str, tuple[str, str] | None]:
    if features is None:
        return {}
    if isinstance(features, str):
        return {features: None}
    if isinstance(features, Mapping):
        return dict(features)
    return dict.fromkeys(features)


def _has_provider(field: pa.Field) -> bool:
    return b"provider" in (field.metadata or {})


def _of_field(field: pa.Field) -> Feature:
    notes = {key.decode(): value.decode() for key, value in field.metadata.items()}
    status = notes.get("status", _OK)
    if status not in _STATUSES:
        msg = message(
            f"Feature '{field.name}' has the status {status!r} in its metadata.",
            hint=f"known are {', '.join(sorted(_STATUSES))}.",
        )
        raise WriteRefusedError(msg)
    failed = _failed_series(field.name, notes.get("failed_series", "[]"))
    version = notes.get("version")
    return Feature(field.name, feature_name(notes["provider"]), version, status, failed)


def _failed_series(name: str, text: str) -> frozenset[tuple[Any, ...]]:
    try:
        return frozenset(tuple(triple) for triple in json.loads(text))
    except (ValueError, TypeError):
        msg = message(
            f"Feature '{name}' has a malformed 'failed_series' in its metadata: {text!r}.",
            hint="it is a JSON list of [symbol, threshold, mode] triples.",
        )
        raise WriteRefusedError(msg) from None


def versions_of(features: Mapping[str, Feature]) -> dict[str, str]:
    """Return the version of each provider, `""` where nobody says.

    Raises:
        WriteRefusedError: A provider's features are said to be of several versions.
    """
    found: dict[str, set[str]] = {}
    for feature in features.values():
        if feature.provider is not None:
            found.setdefault(feature.provider, set()).add(feature.version or "")
    mixed = [
        f"'{name}': {sorted(versions)}" for name, versions in found.items() if len(versions) > 1
    ]
    if mixed:
        msg = message(
            f"{len(mixed)} provider(s) have features of several versions:",
            sorted(mixed),
            "write one version of a provider at a time.",
        )
        raise WriteRefusedError(msg)
    return {name: next(iter(versions)) for name, versions in found.items()}
