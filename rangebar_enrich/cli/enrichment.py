"""The step that `enrich` and `load` share: bars and provider names in, a result out."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Annotated

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


def enrich_table(
    bars: pa.Table,
    *,
    specs: Sequence[str],
    symbol: str | None,
    threshold: int | None,
    on_error: OnError,
) -> EnrichmentResult:
    """Run the providers that `specs` name, or those installed, on `bars`."""
    enricher = make_enricher(specs, on_error)
    return enricher.run(bars, symbol=symbol, threshold_decimal_bps=threshold)


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
