"""What is known of how far an expression reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Any

import polars as pl

from rangebar_enrich._expr.tree import Node
from rangebar_enrich.reach.interval import Offset


@dataclass(frozen=True, slots=True)
class Witness:
    """A small table on which an earlier row changes: the proof of look-ahead.

    Attributes:
        column: Name of the expression's output, as it was given.
        frame: All rows, only the columns that the expression reads.
        other: A table that agrees with `frame` on the first `cut` rows and differs, or ends, after them.
        cut: Number of rows that both tables share.
        row: A row below `cut` whose value differs all the same, counted from 0.
        before: Its value in `other`, when the later rows had not come.
        after: Its value in `frame`.
    """

    column: str
    frame: pl.DataFrame
    other: pl.DataFrame
    cut: int
    row: int
    before: Any
    after: Any

    @property
    def ahead(self) -> int:
        """How many rows after `row` decide on its value, at least."""
        return max(self.cut - self.row, 1)

    def __str__(self) -> str:
        """Show the row and both its values."""
        if self.other.height == self.cut:
            return (
                f"row {self.row} is {_show(self.before)} while the table ends at row {self.cut - 1}, "
                f"and {_show(self.after)} once {self._later} come"
            )
        return (
            f"row {self.row} is {_show(self.before)} or {_show(self.after)}, "
            f"depending on what {self._later} brought"
        )

    @property
    def _later(self) -> str:
        last = self.frame.height - 1
        return f"row {last} has" if last == self.cut else f"rows {self.cut} to {last} have"


def _show(value: Any) -> str:
    if value is None:
        return "null"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class Reach:
    """How far an expression reads, in rows of one series.

    Attributes:
        past: Number of earlier rows that fix a value, the current one not counted; `inf` where
            every earlier row counts. Exact or too long, never too short.
        future: Number of later rows that may be read; 0 is proof that none is.
        opaque: Whether a part can't be seen into: a Python function, a plugin, an unknown operator.
        reasons: One sentence for each thing that made the reach what it is.
        times: Columns that must increase strictly, or the reach does not hold: the clocks of
            windows over time. The engine checks them.
        keeps_rows: Whether there is one value for each row: `False` for one value or another
            length, `None` where that can't be told.
        columns: Names of the columns that are read.
        offender: The smallest sub-expression that looks ahead, or is opaque, as text.
        hint: What the author probably meant.
        witness: The proof of look-ahead, where one was found.
    """

    past: Offset = 0
    future: Offset = 0
    opaque: bool = False
    reasons: tuple[str, ...] = ()
    times: frozenset[str] = frozenset()
    keeps_rows: bool | None = True
    columns: tuple[str, ...] = ()
    offender: str | None = None
    hint: str | None = None
    witness: Witness | None = field(default=None, repr=False, compare=False)
    tree: Node | None = field(default=None, repr=False, compare=False)

    @property
    def is_causal(self) -> bool | None:
        """Whether row `i` is made from rows `0 … i` only.

        `True`: proven by the operators. `False`: proven by a witness. `None`: can't be told.
        """
        if self.witness is not None:
            return False
        return True if self.future == 0 and not self.opaque else None

    @property
    def needs_strict_time(self) -> bool:
        """Whether the reach holds only where times increase strictly."""
        return bool(self.times)

    def __str__(self) -> str:
        """Say in one line what is known."""
        if self.opaque:
            return "opaque: what it reads can't be seen"
        words = {True: "causal", False: "looks ahead", None: "may look ahead"}
        ahead = "" if self.future == 0 else f", {_rows(self.future)} ahead"
        return f"{words[self.is_causal]}: reads {_rows(self.past)} back{ahead}"


def _rows(count: Offset) -> str:
    if count == inf:
        return "every row"
    return f"{count:.0f} row" if count == 1 else f"{count:.0f} rows"
