"""What the checks found: a result for each, and a report for a provider."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

CheckStatus = Literal["passed", "failed", "skipped", "expected"]
"""`expected`: it failed, and was expected to. `skipped`: it could not be run; never good news."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found.

    Attributes:
        check: The promise that was checked, one of `CHECKS`.
        status: See `CheckStatus`.
        detail: What was found, for people; several lines where it failed.
    """

    check: str
    status: CheckStatus
    detail: str = ""

    def __str__(self) -> str:
        """Return status, name and detail; further lines of the detail are indented."""
        first, *more = self.detail.splitlines() or [""]
        head = f"{self.status:<8}  {self.check:<26}  {first}".rstrip()
        return "\n".join([head, *(f"{'':<10}{line}".rstrip() for line in more)])


@dataclass(frozen=True, slots=True)
class ConformanceReport:
    """What the checks found in one provider.

    Attributes:
        provider: The provider's name.
        version: Its version, or `None` where it could not be read.
        kind: `"native"` or `"legacy"`.
        results: One result for each check that was asked for, in the order of `CHECKS`.
    """

    provider: str
    version: str | None
    kind: str
    results: tuple[CheckResult, ...]

    @property
    def passed(self) -> bool:
        """Whether every check ran, and failed only where that was expected."""
        return bool(self.results) and all(
            one.status in {"passed", "expected"} for one in self.results
        )

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """Results that are `failed`."""
        return self._of("failed")

    def _of(self, status: CheckStatus) -> tuple[CheckResult, ...]:
        return tuple(one for one in self.results if one.status == status)

    def result(self, check: str) -> CheckResult:
        """Return the result of one check.

        Raises:
            KeyError: There is no such check.
        """
        for one in self.results:
            if one.check == check:
                return one
        msg = f"there is no check {check!r}"
        raise KeyError(msg)

    @property
    def summary(self) -> str:
        """One line: how many checks ran, and how they went."""
        ran = len(self.results) - len(self._of("skipped"))
        counts: Sequence[CheckStatus] = ("passed", "failed", "expected", "skipped")
        parts = [f"{len(self._of(one))} {one}" for one in counts if self._of(one)]
        verdict = "conforms" if self.passed else "does not conform"
        return f"{verdict}: {ran} of {len(self.results)} checks ran; {', '.join(parts)}"

    @property
    def lines(self) -> tuple[CheckResult, ...]:
        """The results for people to read: checks that one reason kept from running are one line."""
        reasons = Counter(one.detail for one in self._of("skipped"))
        shown: dict[str, CheckResult] = {}
        for one in self.results:
            count = reasons[one.detail] if one.status == "skipped" else 1
            if count == 1:
                shown[one.check] = one
            else:
                shown[one.detail] = CheckResult(f"{count} checks", "skipped", one.detail)
        return tuple(shown.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data, ready for JSON."""
        return {
            "provider": self.provider,
            "version": self.version,
            "kind": self.kind,
            "passed": self.passed,
            "summary": self.summary,
            "results": [
                {"check": one.check, "status": one.status, "detail": one.detail}
                for one in self.results
            ],
        }

    def __str__(self) -> str:
        """Return a line for each check, and the summary."""
        head = f"{self.provider} {self.version or '?'} ({self.kind})"
        return "\n".join([head, *(f"  {one}" for one in map(_indented, self.lines)), self.summary])


def _indented(result: CheckResult) -> str:
    return str(result).replace("\n", "\n  ")


class BrokenPromiseError(Exception):
    """A check found the promise broken; the text says how."""


class NotRunError(Exception):
    """A check could not be run; the text says why."""
