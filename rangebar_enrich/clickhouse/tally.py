"""What a backfill did: counted while it works, told when it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rangebar_enrich._run.result import ProviderOutcome


@dataclass(frozen=True, slots=True)
class BackfillResult:
    """What a backfill did for one series.

    Attributes:
        rows: Stored bars that got features.
        first_ms: Close time of the first that was outdated, ms, or `None`.
        last_ms: Close time of the last, ms, or `None`.
        providers: Providers that were outdated, and how many rows of each.
        outcomes: What became of each provider of the enricher.
        seconds: How long it took.
        read: Stored bars that were read for it.
    """

    rows: int
    first_ms: int | None
    last_ms: int | None
    providers: Mapping[str, int]
    outcomes: tuple[ProviderOutcome, ...]
    seconds: float
    read: int = 0


NOTHING_DONE = BackfillResult(0, None, None, {}, (), 0.0)


@dataclass(slots=True)
class Tally:
    """What was done so far for one series: close times written, bars read, outcomes."""

    times: list[npt.NDArray[np.int64]] = field(default_factory=list)
    read: int = 0
    outcomes: dict[str, ProviderOutcome] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many bars were written, however often."""
        return len(np.unique(np.concatenate(self.times))) if self.times else 0

    def note(self, outcomes: Sequence[ProviderOutcome], names: set[str]) -> None:
        """Keep the worst outcome of each provider over all pages."""
        for one in outcomes:
            known = self.outcomes.get(one.provider)
            if one.provider in names and (known is None or known.ok):
                self.outcomes[one.provider] = one
