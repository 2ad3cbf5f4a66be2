"""`rangebar-enrich providers`: what is installed, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from rangebar_enrich.cli.options import Json

if TYPE_CHECKING:
    from rangebar_enrich._provider.declaration import Rejection
    from rangebar_enrich._provider.discovery import Discovered


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(providers)


def providers(*, as_json: Json = False) -> None:
    """List the providers of installed packages, and those left out.

    RANGEBAR_ENRICH_PROVIDERS=a,b allows only those entry points, =-c all but c, =+ta runs the
    engine's own pack ta as well. Exits with 1 when a provider is left out because it is broken.
    """
    from rangebar_enrich._provider.discovery import discover
    from rangebar_enrich.cli.outcomes import print_json

    discovery = discover()
    found = [_describe(one) for one in discovery.found]
    broken = [_describe_broken(one) for one in discovery.rejected]
    if as_json:
        print_json({"providers": [*found, *broken]})
    else:
        _show(found, broken)
    raise typer.Exit(int(bool(broken)))


def _describe(one: Discovered) -> dict[str, Any]:
    declaration = one.declaration
    return {
        "name": declaration.name,
        "version": declaration.version,
        "kind": declaration.kind.value,
        "columns": list(declaration.columns),
        "min_bars": dict(declaration.warm_up),
        "package": f"{one.package} {one.package_version}",
        "status": "ok",
        "error": None,
    }


def _describe_broken(one: Rejection) -> dict[str, Any]:
    return {
        "name": one.name,
        "version": one.version,
        "kind": None,
        "columns": [],
        "min_bars": {},
        "package": None,
        "status": "left_out",
        "error": str(one.error),
    }


def _show(found: list[dict[str, Any]], broken: list[dict[str, Any]]) -> None:
    from rangebar_enrich.cli.outcomes import plain_table, print_table

    if not found and not broken:
        typer.echo("no provider is installed (entry-point group rangebar.feature_providers)")
        return
    table = plain_table("name", "version", "kind", ">columns", ">min_bars", "package", "status")
    for one in [*found, *broken]:
        table.add_row(
            one["name"],
            one["version"] or "?",
            one["kind"] or "?",
            str(len(one["columns"])),
            _span(one["min_bars"]),
            one["package"] or "?",
            one["status"],
        )
    print_table(table)
    for one in found:
        typer.echo(_wrapped(f"{one['name']}:", one["columns"]))
    for one in broken:
        typer.echo(f"{one['name']}: {one['error']}", err=True)


def _span(min_bars: dict[str, int]) -> str:
    """Return the warm-up in rows: one number, or the least and the most of the columns."""
    rows = set(min_bars.values())
    return " to ".join(str(end) for end in sorted({min(rows), max(rows)})) if rows else "?"


def _wrapped(heading: str, words: list[str]) -> str:
    import shutil
    import textwrap

    width = shutil.get_terminal_size().columns
    text = " ".join([heading, *words])
    return textwrap.fill(text, width, subsequent_indent="  ", break_long_words=False)
