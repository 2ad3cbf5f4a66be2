"""What became of each provider, as a table, as JSON and as an exit code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from rangebar_enrich._run.result import ProviderOutcome

_WORK_FAILED = frozenset({"failed", "partial", "left_out"})


def exit_code(outcomes: Iterable[ProviderOutcome]) -> int:
    """Return 1 when a provider failed, anywhere, or was left out; else 0."""
    return int(any(outcome.status in _WORK_FAILED for outcome in outcomes))


def show_outcomes(outcomes: Iterable[ProviderOutcome]) -> None:
    """Print the table on stdout, and each error on stderr."""
    table = plain_table("provider", "version", ">columns", "status")
    known = list(outcomes)
    for one in known:
        table.add_row(one.provider, one.version or "?", str(len(one.columns)), one.status)
    print_table(table)
    for one in known:
        if one.error:
            typer.echo(f"{one.provider}: {one.error}", err=True)


def outcome_documents(outcomes: Iterable[ProviderOutcome]) -> list[dict[str, Any]]:
    """Return one plain mapping for each outcome."""
    return [
        {
            "provider": one.provider,
            "version": one.version,
            "columns": list(one.columns),
            "status": one.status,
            "error": one.error,
        }
        for one in outcomes
    ]


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document on stdout."""
    import json

    typer.echo(json.dumps(document, indent=2, allow_nan=False))


def plain_table(*headings: str) -> Table:
    """Return a table without lines; a heading that starts with `>` is aligned right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in headings:
        right = heading.startswith(">")
        table.add_column(heading.lstrip(">"), justify="right" if right else "left", no_wrap=True)
    return table


def print_table(table: Table) -> None:
    """Print `table` and an empty line; it is never cut, however narrow the terminal is."""
    from rich.console import Console

    console = Console(highlight=False)
    unbounded = console.options.update(width=10_000)
    # NOTE: without a terminal rich assumes 80 columns and would cut cells.
    console.width = max(console.width, console.measure(table, options=unbounded).maximum)
    console.print(table)
    console.print()
