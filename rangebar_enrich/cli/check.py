"""`rangebar-enrich check`: the contract, tried on a provider."""

from __future__ import annotations

import itertools
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rangebar_enrich.cli.options import Json

if TYPE_CHECKING:
    from rangebar_enrich.conformance import ConformanceReport

ProviderSpec = Annotated[
    str, typer.Argument(metavar="MODULE:CLASS", help="The provider, such as my_package:Momentum.")
]
BarsFile = Annotated[
    Path | None,
    typer.Option(
        "--bars",
        exists=True,
        readable=True,
        help="Your own bars, in any file or folder that `enrich` reads, beside generated ones.",
    ),
]
_CELL = 72
_STYLES = {"passed": "green", "failed": "bold red", "skipped": "yellow", "expected": "cyan"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(check)


def check(
    provider: ProviderSpec,
    *,
    bars: BarsFile = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="CHECK", help="Run this check alone; may be given several times."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the generated bars.")] = 0,
    as_json: Json = False,
) -> None:
    """Try every promise of the contract on a provider.

    Exits with 1 when one is broken or could not be tried.
    """
    from rangebar_enrich.cli.bar_files import read_bars
    from rangebar_enrich.cli.outcomes import print_json
    from rangebar_enrich.cli.provider_spec import load_provider
    from rangebar_enrich.conformance import CHECKS, check_provider

    if unknown := set(only or ()) - set(CHECKS):
        msg = f"no check {min(unknown)!r}; there are {', '.join(CHECKS)}"
        raise typer.BadParameter(msg, param_hint="--only")
    found = load_provider(provider)
    table = None if bars is None else read_bars(bars)
    # What the provider logs of hostile bars would bury the report.
    logging.disable(logging.ERROR)
    try:
        with progress(len(only or CHECKS)) as on_check:
            report = check_provider(
                found, bars=table, only=only or None, seed=seed, on_check=on_check
            )
    finally:
        logging.disable(logging.NOTSET)
    if as_json:
        print_json(report.to_dict())
    else:
        _show(report)
    raise typer.Exit(int(not report.passed))


@contextmanager
def progress(count: int) -> Iterator[Callable[[str], None] | None]:
    """Say on a terminal which check is running, in one line that goes away at the end."""
    if not sys.stderr.isatty():
        yield None
        return
    done = itertools.count(1)

    def show(check: str) -> None:
        sys.stderr.write(f"\r\x1b[K{next(done)}/{count} {check} …")
        sys.stderr.flush()

    try:
        yield show
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def _show(report: ConformanceReport) -> None:
    """Print a line for each check, then what is wrong in full, then the verdict."""
    from rich.text import Text

    from rangebar_enrich.cli.outcomes import plain_table, print_table

    typer.echo(f"{report.provider} {report.version or '?'} ({report.kind})\n")
    table = plain_table("check", "status", "what was found")
    for one in report.lines:
        table.add_row(
            one.check, Text(one.status, _STYLES[one.status]), Text(_shortened(one.detail))
        )
    print_table(table)
    for one in report.lines:
        if one.status != "passed" or _shortened(one.detail) != one.detail:
            typer.echo(f"{one.check}, {one.status}:")
            typer.echo("".join(f"  {line}\n" for line in one.detail.splitlines()))
    typer.echo(report.summary)


def _shortened(detail: str) -> str:
    """Return what fits into a line of the table; the rest is printed below it."""
    first = (detail.splitlines() or [""])[0]
    if len(first) > _CELL:
        return f"{first[: _CELL - 2].rstrip()} …"
    return first if detail == first else f"{first} …"
