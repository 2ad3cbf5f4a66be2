"""What is known of how far an expression reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from rangebar_enrich._expr.tree import Node
from rangebar_enrich._trial.witness import Witness
from rangebar_enrich.reach.interval import Offset


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
        declared: Plugin libraries whose reach is declared by someone, and not proven.
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
    declared: frozenset[str] = frozenset()
    offender: str | None = None
    hint: str | None = None
    witness: Witness | None = field(default=None, repr=False, compare=False)
    tree: Node | None = field(default=None, repr=False, compare=False)

    @property
    def is_causal(self) -> bool | None:
        """Whether row `i` is made from rows `0 … i` only.

        `True`: proven by the operators. `False`: proven by a witness. `None`: can't be told, or
        declared for a plugin, which is a promise.
        """
        if self.witness is not None:
            return False
        return True if self._keeps_back and not self.declared else None

    @property
    def _keeps_back(self) -> bool:
        return self.future == 0 and not self.opaque

    @property
    def needs_strict_time(self) -> bool:
        """Whether the reach holds only where times increase strictly."""
        return bool(self.times)

    def __str__(self) -> str:
        """Say in one line what is known."""
        if self.opaque:
            return "opaque: what it reads can't be seen"
        words = {True: "causal", False: "looks ahead", None: "may look ahead"}
        head = words[self.is_causal]
        if self.declared and self._keeps_back:
            head = f"causal as declared for {', '.join(sorted(self.declared))}"
        ahead = "" if self.future == 0 else f", {_rows(self.future)} ahead"
        return f"{head}: reads {_rows(self.past)} back{ahead}"


def _rows(count: Offset) -> str:
    if count == inf:
        return "every row"
    return f"{count:.0f} row" if count == 1 else f"{count:.0f} rows"
