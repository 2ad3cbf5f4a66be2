"""`rangebar-enrich explain`: a provider's plan, and how far its expressions read."""

from __future__ import annotations

from typing import Any

import typer

from rangebar_enrich.cli.check import BarsFile, ProviderSpec


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(explain)


def explain(provider: ProviderSpec, *, bars: BarsFile = None) -> None:
    """Print a provider's plan: steps, reach of each feature, warm-up, what is opaque.

    Without `--bars` the columns are those of the Rust builder. Nothing is computed. Exits with 1
    when the provider is left out or does not compile.
    """
    import polars as pl

    from rangebar_enrich._bars.columns import BUILDER_COLUMNS
    from rangebar_enrich.cli.bar_files import read_bars
    from rangebar_enrich.cli.provider_spec import load_provider
    from rangebar_enrich.engine import Enricher

    found = load_provider(provider)
    shown: Any = pl.DataFrame(schema=BUILDER_COLUMNS) if bars is None else read_bars(bars)
    typer.echo(Enricher([found]).explain(shown))
    raise typer.Exit(int(not _compiles(found, shown)))


def _compiles(provider: Any, bars: Any) -> bool:
    from rangebar_enrich._bars.containers import read_bars as as_bars
    from rangebar_enrich._plan.passes import make_plan
    from rangebar_enrich._provider.declaration import Rejection, declare
    from rangebar_enrich.protocol import BarContext

    declared = declare(provider)
    if isinstance(declared, Rejection):
        return False
    return not make_plan([declared], BarContext(columns=as_bars(bars).dtypes)).failures
