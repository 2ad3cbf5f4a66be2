"""What breaks the contract, and which promise of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Promise = Literal["columns", "dtypes", "row_preserving", "existing_columns_read_only"]
"""A promise of form; the conformance checks have these names."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which a provider breaks the contract's form.

    Attributes:
        promise: The promise that is broken.
        text: What is wrong, in one line.
        column: The declared column that it is about, where it is about one.
    """

    promise: Promise
    text: str
    column: str | None = None

    def __str__(self) -> str:
        """Return the text."""
        return self.text
