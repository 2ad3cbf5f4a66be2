"""`rangebar-enrich enrich`: bars in a file, bars with features in another."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rangebar_enrich.cli.enrichment import Label, OnError, OnErrorOption, make_enricher
from rangebar_enrich.cli.options import BarsIn, Json, ProviderSpecs, Relabel, Symbol, Threshold
from rangebar_enrich.errors import DiscoveryError, message

if TYPE_CHECKING:
    from rangebar_enrich._run.result import ProviderOutcome
    from rangebar_enrich.engine import Enricher


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
    relabel: Relabel = False,
    provider: ProviderSpecs = [],  # noqa: B006 typer makes a new list for each call
    on_error: OnErrorOption = OnError.NULL,
    batch_rows: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Enrich so many bars at a time; by default 500,000 where IN takes over 256 MB.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Add the providers' features to the bars of IN, and write all to OUT.

    OUT appears whole or not at all, and replaces an older one. When a provider fails, its columns
    are null, OUT is written all the same, and the exit code is 1. With --on-error raise nothing is
    written then, and an older OUT stays as it was.

    A large IN is enriched batch by batch, in memory that does not grow with it, where every
    provider can go on from one batch to the next. Where one cannot, that is said, and all of IN
    is enriched in one run.
    """
    from rangebar_enrich.cli.bar_files import check_ending
    from rangebar_enrich.cli.outcomes import exit_code, outcome_documents, print_json, show_outcomes

    check_ending(bars_in)
    check_ending(bars_out)
    _refuse_same_file(bars_in, bars_out)
    start = time.perf_counter()
    enricher = make_enricher(provider, on_error)
    label = Label(symbol, threshold, relabel)
    if enricher.is_empty:
        hint = "install a package that registers one, or name one with --provider module:Class."
        raise DiscoveryError(
            message("There is no provider to run; nothing was written.", hint=hint)
        )
    rows, outcomes = _enrich(enricher, bars_in, bars_out, wanted=batch_rows, label=label)
    seconds = time.perf_counter() - start
    if as_json:
        document = {"out": str(bars_out), "rows": rows, "seconds": round(seconds, 6)}
        print_json(document | {"outcomes": outcome_documents(outcomes)})
    else:
        show_outcomes(outcomes)
        typer.echo(f"{rows:,} bars written to {bars_out} in {seconds:.2f} s")
    raise typer.Exit(exit_code(outcomes))


def _enrich(
    enricher: Enricher,
    bars_in: Path,
    bars_out: Path,
    *,
    wanted: int | None,
    label: Label,
) -> tuple[int, Sequence[ProviderOutcome]]:
    """Enrich a file, batch by batch where it is large; return bars and outcomes."""
    from rangebar_enrich.cli.bar_files import read_bars
    from rangebar_enrich.cli.bar_writer import write_bars
    from rangebar_enrich.cli.batched import batch_rows, enrich_file

    rows = batch_rows(enricher, bars_in, wanted, label)
    if rows is not None:
        return enrich_file(enricher, bars_in, bars_out, rows=rows, label=label)
    result = enricher.run(read_bars(bars_in), **label.arguments)
    write_bars(result.table, bars_out)
    return result.table.num_rows, result.outcomes


def _refuse_same_file(bars_in: Path, bars_out: Path) -> None:
    if bars_out.exists() and bars_out.samefile(bars_in):
        msg = f"IN and OUT are the same file, {str(bars_in)!r}; a failed provider would cost it"
        raise typer.BadParameter(msg)
    if not bars_out.resolve().parent.is_dir():
        msg = f"the directory of OUT, {str(bars_out.parent)!r}, does not exist"
        raise typer.BadParameter(msg)
