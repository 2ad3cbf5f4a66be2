"""Broken rules of a batch, gathered so that its owner sees all of them at once."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rangebar_enrich.errors import WriteRefusedError, message

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a batch breaks.

    Attributes:
        rule: Name of the rule.
        column: Column concerned, or `None`.
        count: Rows that break it; 0 where it concerns the whole column.
        row: First of them, in the caller's numbering, or `None`.
        detail: What is there.
    """

    rule: str
    column: str | None
    count: int
    row: int | None
    detail: str

    def __str__(self) -> str:
        """Return one line of the error."""
        where = f" in '{self.column}'" if self.column else ""
        rows = "" if self.row is None else f"{self.count} row(s), the first is row {self.row}: "
        return f"{self.rule}{where}: {rows}{self.detail}"


@dataclass(slots=True)
class Violations:
    """What was found so far.

    Attributes:
        order: Caller's row number of each row checked, or `None` where they are equal.
    """

    order: npt.NDArray[np.uint32] | None = None
    found: list[Violation] = field(default_factory=list)

    def column(self, rule: str, name: str, detail: str) -> None:
        """Add a violation of a whole column."""
        self.found.append(Violation(rule, name, 0, None, detail))

    def rows(self, rule: str, name: str | None, rows: Rows, detail: str) -> None:
        """Add a violation of `rows`; `detail` speaks of the first of the caller's rows."""
        self.found.append(
            Violation(rule, name, len(rows), self.caller_row(self.first(rows)), detail)
        )

    def first(self, rows: Rows) -> int:
        """Return which of `rows` comes first in the caller's table."""
        if self.order is None:
            return int(rows[0])
        return int(rows[np.argmin(self.order[rows])])

    def caller_row(self, row: int) -> int:
        """Return the caller's number of a checked row."""
        return row if self.order is None else int(self.order[row])

    def raise_if_any(self, height: int) -> None:
        """Refuse the batch.

        Raises:
            WriteRefusedError: A rule is broken; all are listed.
        """
        if not self.found:
            return
        rules = len({violation.rule for violation in self.found})
        msg = message(
            f"{height} bar(s) refused, nothing was written: {rules} rule(s) broken.",
            [str(violation) for violation in self.found],
            "mend the bars and write them again.",
        )
        error = WriteRefusedError(msg)
        error.violations = tuple(self.found)
        raise error
