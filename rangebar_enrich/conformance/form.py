"""Faults of form, by the check that they belong to."""

from __future__ import annotations

from collections.abc import Iterable

from rangebar_enrich._provider.fault import Fault


class Form:
    """What breaks the contract's form on ordinary bars; each check reports its own part."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, faults: Iterable[Fault]) -> None:
        """Record faults."""
        self._faults += faults

    def of(self, check: str) -> tuple[str, ...]:
        """Return the faults of one check, once each."""
        texts = [str(fault) for fault in self._faults if fault.promise == check]
        return tuple(dict.fromkeys(texts))

    def __bool__(self) -> bool:
        """Whether there is any fault."""
        return bool(self._faults)
