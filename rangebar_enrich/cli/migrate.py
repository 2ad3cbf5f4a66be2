"""`rangebar-enrich migrate`: a column for every feature."""

from __future__ import annotations

import typer

from rangebar_enrich.cli.enrichment import named_enricher
from rangebar_enrich.cli.options import DatabaseTable, DatabaseUrl, Json, ProviderSpecs


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(migrate)


def migrate(
    *,
    provider: ProviderSpecs = [],  # noqa: B006 typer makes a new list for each call
    url: DatabaseUrl = None,
    table: DatabaseTable = None,
    as_json: Json = False,
) -> None:
    """Make the tables where they are missing, and a column for every feature.

    Idempotent: columns that are there stay as they are, one of another type is an error.
    """
    from rangebar_enrich.cli.outcomes import print_json
    from rangebar_enrich.clickhouse import BarStore

    enricher = named_enricher(provider)
    with BarStore.connect(url, table=table) as store:
        added, table = store.migrate(enricher.declarations), store.table
    if as_json:
        print_json({"table": table, "added": added})
    else:
        typer.echo(f"{len(added)} column(s) added to {table}")
        for name in added:
            typer.echo(f"  {name}")
