"""Providers found by entry point: lazily, once, and never fatally."""

from __future__ import annotations

import importlib.metadata
import logging
import os
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from threading import Lock
from typing import Any

from rangebar_enrich._provider.declaration import ISOLATED, Declaration, Rejection, cause, declare
from rangebar_enrich.errors import DiscoveryError, ProviderError, message
from rangebar_enrich.protocol import ENTRY_POINT_GROUP

logger = logging.getLogger(__name__)

OWN_PACKAGE = "rangebar-enrich"

PROVIDERS_VARIABLE = "RANGEBAR_ENRICH_PROVIDERS"
"""`a,b` allows only those entry points and packs, `-c` all but `c`, `+d` the pack `d` as well."""

PACKS = tuple(
    EntryPoint(name, f"rangebar_enrich.features.{place}", ENTRY_POINT_GROUP)
    for name, place in {
        "alpha158": "alpha158:Alpha158",
        "microstructure": "microstructure:Core",
        "ta": "ta:Core",
    }.items()
)
"""The engine's own packs. They are installed with it and run only where they are asked for."""


@dataclass(frozen=True, slots=True)
class Discovered:
    """A provider that was found, and the package that it came from."""

    declaration: Declaration
    entry_point: str
    package: str
    package_version: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """All that the entry points gave: providers sorted by name, and those left out."""

    found: tuple[Discovered, ...]
    rejected: tuple[Rejection, ...]

    @property
    def providers(self) -> tuple[Any, ...]:
        """The provider objects, sorted by provider name."""
        return tuple(one.declaration.provider for one in self.found)


_cache: Discovery | None = None
_lock = Lock()


def discover() -> Discovery:
    """Return what the entry points give; found once, then cached."""
    global _cache  # noqa: PLW0603 - the cache is the module's one piece of state
    if _cache is None:
        with _lock:
            if _cache is None:
                _cache = _load_all()
    return _cache


def discover_providers(*, strict: bool = False) -> list[Any]:
    """Return the providers of all installed packages, sorted by name.

    Args:
        strict: Raise for a provider that cannot be used, instead of leaving it out.

    Returns:
        Provider objects, native and legacy. `RANGEBAR_ENRICH_PROVIDERS` says which are allowed;
        the others are not imported.

    Raises:
        ProviderError: `strict`, and a provider cannot be loaded, breaks its declaration, or
            shares its name with another package's.
    """
    discovery = discover()
    if strict and discovery.rejected:
        raise _joined([one.error for one in discovery.rejected])
    return list(discovery.providers)


def reset_provider_cache() -> None:
    """Forget what was found: the next call looks again."""
    global _cache  # noqa: PLW0603
    with _lock:
        _cache = None


def _joined(errors: Sequence[ProviderError]) -> ProviderError:
    if len(errors) == 1:
        return errors[0]
    lines = [cause(error) for error in errors]
    msg = message(f"{len(errors)} providers cannot be used:", lines)
    return DiscoveryError.of(None, msg)


def _allowed(found: Iterable[EntryPoint]) -> list[EntryPoint]:
    """Return the entry points that the environment allows; the others stay unimported."""
    rule = os.environ.get(PROVIDERS_VARIABLE, "")
    words = [word.strip() for word in rule.split(",") if word.strip()]
    denied, added = ({word[1:].strip() for word in words if word[0] == sign} for sign in "-+")
    only = {word for word in words if word[0] not in "-+"}
    points = _with_packs(list(found), only | added)
    unknown = sorted((denied | only | added) - {point.name for point in points})
    if unknown:
        logger.warning("%s names unknown entry points: %s", PROVIDERS_VARIABLE, ", ".join(unknown))
    kept = only | added if only else {point.name for point in points}
    return [point for point in points if point.name in kept - denied]


def _with_packs(points: list[EntryPoint], named: AbstractSet[str]) -> list[EntryPoint]:
    """Add the packs that are named; an installed package that has such a name has it first."""
    taken = {point.name for point in points}
    return points + [pack for pack in PACKS if pack.name in named - taken]


def _package(point: EntryPoint) -> tuple[str, str]:
    if point in PACKS:
        return OWN_PACKAGE, importlib.metadata.version(OWN_PACKAGE)
    dist = point.dist
    return (dist.name, dist.version) if dist is not None else ("unknown package", "unknown version")


def _load_all() -> Discovery:
    points = _allowed(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP))
    made = [(point, _load(point)) for point in _without_twins(points)]
    rejected = [one for _, one in made if isinstance(one, Rejection)]
    rejected += _twin_rejections(points)
    named: dict[str, list[Discovered]] = {}
    for point, one in made:
        if isinstance(one, Declaration):
            found = Discovered(one, point.name, *_package(point))
            named.setdefault(one.name, []).append(found)
    for name, twins in named.items():
        if len(twins) > 1:
            rejected.append(_same_name(name, [(one.package, one.entry_point) for one in twins]))
    for one in rejected:
        logger.error("provider left out: %s", cause(one.error))
    single = [twins[0] for twins in named.values() if len(twins) == 1]
    return Discovery(
        tuple(sorted(single, key=lambda one: one.declaration.name)),
        tuple(sorted(rejected, key=lambda one: one.name)),
    )


def _names(points: Sequence[EntryPoint]) -> list[str]:
    return [point.name for point in points]


def _without_twins(points: Sequence[EntryPoint]) -> list[EntryPoint]:
    names = _names(points)
    return [point for point in points if names.count(point.name) == 1]


def _twin_rejections(points: Sequence[EntryPoint]) -> list[Rejection]:
    names = _names(points)
    twins = sorted({name for name in names if names.count(name) > 1})
    return [
        _same_name(
            name, [(_package(point)[0], point.value) for point in points if point.name == name]
        )
        for name in twins
    ]


def _same_name(name: str, owners: Sequence[tuple[str, str]]) -> Rejection:
    text = message(
        f"{len(owners)} packages claim the provider name '{name}'; all are left out:",
        [f"package '{package}', entry point '{point}'" for package, point in sorted(owners)],
        f"uninstall all but one, or set {PROVIDERS_VARIABLE} to the entry points you want.",
    )
    return Rejection(name, None, DiscoveryError.of(name, text))


def _load(point: EntryPoint) -> Declaration | Rejection:
    try:
        provider = point.load()
        provider = provider() if callable(provider) else provider
    except ISOLATED as error:
        text = (
            f"Provider '{point.name}' of package '{_package(point)[0]}' cannot be loaded:"
            f" {cause(error)}"
        )
        made = DiscoveryError.of(point.name, text)
        made.__cause__ = error
        return Rejection(point.name, None, made)
    return declare(provider)
