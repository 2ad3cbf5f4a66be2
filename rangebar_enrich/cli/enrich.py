"""`rangebar-enrich enrich`: bars in a file, bars with features in another."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from rangebar_enrich.cli.enrichment import OnError, OnErrorOption, enrich_table
from rangebar_enrich.cli.options import BarsIn, Json, ProviderSpecs, Symbol, Threshold
from rangebar_enrich.errors import DiscoveryError, message


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(enrich)


def enrich(
    bars_in: BarsIn,
    bars_out: Annotated[
        Path, typer.Argument(metavar="OUT", dir_okay=False, help="Where to; its ending decides.")
    ],
    *,
    symbol: Symbol = None,
    threshold: Threshold = None,
    provider: ProviderSpecs = [],  # noqa: B006 typer makes a new list for each call
    on_error: OnErrorOption = OnError.NULL,
    as_json: Json = False,
) -> None:
    """Add the providers' features to the bars of IN, and write all to OUT.

    OUT appears whole or not at all, and replaces an older one. When a provider fails, its columns
    are null, OUT is written all the same, and the exit code is 1. With --on-error raise nothing is
    written then, and an older OUT stays as it was.
    """
    from rangebar_enrich.cli.bar_files import check_ending, read_bars, write_bars
    from rangebar_enrich.cli.outcomes import exit_code, outcome_documents, print_json, show_outcomes

    check_ending(bars_out)
    _refuse_same_file(bars_in, bars_out)
    start = time.perf_counter()
    result = enrich_table(
        read_bars(bars_in), specs=provider, symbol=symbol, threshold=threshold, on_error=on_error
    )
    if not result.outcomes:
        hint = "install a package that registers one, or name one with --provider module:Class."
        raise DiscoveryError(
            message("There is no provider to run; nothing was written.", hint=hint)
        )
    write_bars(result.table, bars_out)
    seconds = time.perf_counter() - start
    rows = result.table.num_rows
    if as_json:
        document = {"out": str(bars_out), "rows": rows, "seconds": round(seconds, 6)}
        print_json(document | {"outcomes": outcome_documents(result.outcomes)})
    else:
        show_outcomes(result.outcomes)
        typer.echo(f"{rows:,} bars written to {bars_out} in {seconds:.2f} s")
    raise typer.Exit(exit_code(result.outcomes))


def _refuse_same_file(bars_in: Path, bars_out: Path) -> None:
    if bars_out.exists() and bars_out.samefile(bars_in):
        msg = f"IN and OUT are the same file, {str(bars_in)!r}; a failed provider would cost it"
        raise typer.BadParameter(msg)
    if not bars_out.resolve().parent.is_dir():
        msg = f"the directory of OUT, {str(bars_out.parent)!r}, does not exist"
        raise typer.BadParameter(msg)
