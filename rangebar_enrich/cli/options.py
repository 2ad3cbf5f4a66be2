"""Options that several commands share, and those of the program itself."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from rangebar_enrich._bars.files import endings_text

_TOLD_ELSEWHERE = ("rangebar_enrich", "clickhouse_connect")
"""Loggers whose errors a command shows itself, in outcomes and error texts."""

Symbol = Annotated[
    str | None,
    typer.Option(help="Trading symbol; by default the one in the bars' columns or metadata."),
]
Threshold = Annotated[
    int | None,
    typer.Option(
        "--threshold",
        "--dbps",
        min=1,
        max=100_000,
        help="Bar width in decimal basis points (250 is 0.25 %); by default the bars' own.",
    ),
]
Relabel = Annotated[
    bool,
    typer.Option(
        "--relabel",
        help="--symbol and --threshold are right where the bars' columns or metadata say another.",
    ),
]
ProviderSpecs = Annotated[
    list[str],
    typer.Option(
        "--provider",
        metavar="MODULE:CLASS",
        help="Run this provider, and not those installed; may be repeated.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="Database, as clickhouse-connect spells it; by default RANGEBAR_ENRICH_URL,"
        " else an embedded one. Prefer the variable for an address with a password.",
    ),
]
DatabaseTable = Annotated[
    str | None,
    typer.Option(
        "--table",
        help="Table, made where it is absent; by default range_bars in the address' database,"
        " else rangebar_cache.range_bars.",
    ),
]
BarsIn = Annotated[
    Path,
    typer.Argument(
        metavar="IN",
        exists=True,
        readable=True,
        help=f"Bars: {endings_text()}, or a folder of such files.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the options that stand before a command."""

    @app.callback()
    def program(
        *,
        verbose: Annotated[
            bool, typer.Option("--verbose", "-v", help="Show the log, tracebacks included.")
        ] = False,
        version: Annotated[
            bool,
            typer.Option("--version", callback=_print_version, is_eager=True, help="And exit."),
        ] = False,
    ) -> None:
        del version
        _set_up_log(verbose=verbose)


def _set_up_log(*, verbose: bool) -> None:
    if verbose:
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
        return
    for name in _TOLD_ELSEWHERE:
        log = logging.getLogger(name)
        if not log.handlers:
            log.addHandler(logging.NullHandler())


def _print_version(value: bool) -> None:  # noqa: FBT001 typer calls it with the value alone
    if value:
        from importlib.metadata import version

        typer.echo(f"rangebar-enrich {version('rangebar-enrich')}")
        raise typer.Exit
