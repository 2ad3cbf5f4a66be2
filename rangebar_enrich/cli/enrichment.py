"""The step that `enrich` and `load` share: bars and provider names in, a result out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pyarrow as pa

    from rangebar_enrich._run.result import EnrichmentResult
    from rangebar_enrich.engine import Enricher


class OnError(Enum):
    """What a provider's failure costs: its own columns, or the whole run."""

    NULL = "null"
    RAISE = "raise"


OnErrorOption = Annotated[
    OnError,
    typer.Option(
        help="When a provider fails: `null` leaves its columns null, `raise` writes nothing."
    ),
]


@dataclass(frozen=True, slots=True)
class Label:
    """Which series the user says that bars are of.

    Attributes:
        symbol: Symbol of all bars, or `None`.
        threshold: Threshold of all bars, or `None`.
        relabel: Whether that is meant where the bars say something else.
    """

    symbol: str | None
    threshold: int | None
    relabel: bool

    @property
    def arguments(self) -> dict[str, Any]:
        """The same as arguments of `Enricher.run`."""
        told = {"symbol": self.symbol, "threshold_decimal_bps": self.threshold}
        return {**told, "relabel": self.relabel}


def enrich_table(
    bars: pa.Table, *, specs: Sequence[str], label: Label, on_error: OnError
) -> EnrichmentResult:
    """Run the providers that `specs` name, or those installed, on `bars`."""
    return make_enricher(specs, on_error).run(bars, **label.arguments)


def make_enricher(specs: Sequence[str], on_error: OnError) -> Enricher:
    """Return an enricher of the providers that `specs` name, or of those installed."""
    from rangebar_enrich.cli.provider_spec import load_provider
    from rangebar_enrich.engine import Enricher

    providers = [load_provider(spec) for spec in specs] or None
    return Enricher(providers, on_error=on_error.value)


def named_enricher(specs: Sequence[str]) -> Enricher:
    """Return an enricher of the providers that `specs` name, or of those installed.

    Raises:
        typer.BadParameter: There is none that can be used.
    """
    from rangebar_enrich.cli.provider_spec import load_provider
    from rangebar_enrich.engine import Enricher

    enricher = Enricher([load_provider(spec) for spec in specs] or None)
    if not enricher.declarations:
        msg = "no provider is installed or named, or none can be used; give --provider"
        raise typer.BadParameter(msg)
    return enricher
