"""Faults of form, by the check that they belong to."""

from __future__ import annotations

from collections import defaultdict


class Form:
    """What breaks the contract's form on ordinary bars; each check reports its own part."""

    def __init__(self) -> None:
        self._faults: dict[str, list[str]] = defaultdict(list)

    def add(self, check: str, fault: str) -> None:
        """Record a fault under the check that it breaks."""
        if fault not in self._faults[check]:
            self._faults[check].append(fault)

    def of(self, check: str) -> tuple[str, ...]:
        """Return the faults of one check."""
        return tuple(self._faults.get(check, ()))

    def merge(self, other: Form) -> None:
        """Record the faults of another."""
        for check, faults in other._faults.items():
            for fault in faults:
                self.add(check, fault)

    def __bool__(self) -> bool:
        """Whether there is any fault."""
        return any(self._faults.values())
