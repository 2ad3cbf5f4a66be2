"""`rangebar-enrich backfill`: the features that stored bars lack."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rangebar_enrich.cli.enrichment import named_enricher
from rangebar_enrich.cli.load import Mode
from rangebar_enrich.cli.options import DatabaseTable, DatabaseUrl, Json, ProviderSpecs

if TYPE_CHECKING:
    from rangebar_enrich._run.result import ProviderOutcome


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(backfill)


def backfill(
    *,
    symbol: Annotated[
        str | None, typer.Option(help="Only this symbol; by default every stored series.")
    ] = None,
    threshold: Annotated[
        int | None,
        typer.Option("--threshold", "--dbps", min=1, help="Only this threshold, in dbps."),
    ] = None,
    mode: Annotated[Mode | None, typer.Option(help="Only this ouroboros mode.")] = None,
    provider: ProviderSpecs = [],  # noqa: B006 typer makes a new list for each call
    url: DatabaseUrl = None,
    table: DatabaseTable = "rangebar_cache.range_bars",
    as_json: Json = False,
) -> None:
    """Compute and store the features that stored bars lack: the daily job.

    Bars are found by the provider version recorded beside them. What is up to date is not touched;
    a run that is broken off is completed by the next. When a provider fails, its rows stay
    outdated and the exit code is 1.
    """
    from rangebar_enrich.cli.outcomes import (
        exit_code,
        outcome_documents,
        plain_table,
        print_json,
        print_table,
    )
    from rangebar_enrich.clickhouse import BarStore

    enricher = named_enricher(provider)
    wanted = (symbol, threshold, mode.value if mode else None)
    shown = plain_table("series", ">bars", ">seconds", "outdated")
    documents: list[dict[str, Any]] = []
    outcomes: list[ProviderOutcome] = []
    with BarStore.connect(url, table=table) as store:
        store.ensure_table()
        for one in store.series():
            key = (one.symbol, one.threshold_decimal_bps, one.ouroboros_mode)
            if any(ask not in {None, have} for ask, have in zip(wanted, key, strict=True)):
                continue
            made = store.enrich_new(enricher, key[0], key[1], ouroboros_mode=key[2])
            name = f"{key[0]}@{key[1]}/{key[2]}"
            outcomes += made.outcomes
            shown.add_row(name, f"{made.rows:,}", f"{made.seconds:.2f}", ", ".join(made.providers))
            documents.append(
                {
                    "symbol": key[0],
                    "threshold_decimal_bps": key[1],
                    "ouroboros_mode": key[2],
                    "rows": made.rows,
                    "outdated": dict(made.providers),
                    "outcomes": outcome_documents(made.outcomes),
                }
            )
    if as_json:
        print_json({"table": table, "series": documents})
    else:
        print_table(shown)
        _show_errors(f"{one.provider}: {one.error}" for one in outcomes if one.error)
        typer.echo(f"{len(documents)} series looked at in {table}")
    raise typer.Exit(exit_code(outcomes))


def _show_errors(lines: Iterable[str]) -> None:
    for line in dict.fromkeys(lines):
        typer.echo(line, err=True)
