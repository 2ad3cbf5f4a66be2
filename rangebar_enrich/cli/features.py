"""`rangebar-enrich features`: the packs that come with the engine, and each column in a line."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rangebar_enrich.cli.options import Json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(features)


def features(
    packs: Annotated[
        list[str] | None, typer.Argument(metavar="[PACK]...", help="Which packs; all by default.")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """List the feature packs that come with the engine, and what each column is.

    RANGEBAR_ENRICH_PROVIDERS=ta runs a pack alone, =+ta beside the installed providers;
    --provider rangebar_enrich.features.ta:Core names it in one call.
    """
    from rangebar_enrich._provider.discovery import PACKS
    from rangebar_enrich.cli.outcomes import print_json

    known = {point.name: point for point in PACKS}
    unknown = sorted(set(packs or ()) - known.keys())
    if unknown:
        msg = f"no such pack: {', '.join(unknown)}; there are {', '.join(known)}"
        raise typer.BadParameter(msg)
    chosen = [_describe(known[name]) for name in packs or known]
    if as_json:
        print_json({"packs": chosen})
    else:
        _show(chosen)


def _describe(point: Any) -> dict[str, Any]:
    provider = point.load()()
    formulas = provider.formulas()
    return {
        "name": provider.name,
        "version": provider.version,
        "provider": point.value,
        "columns": [
            {"name": name, "min_bars": provider.min_bars[name], "formula": formulas[name]}
            for name in provider.columns
        ],
    }


def _show(packs: list[dict[str, Any]]) -> None:
    from rangebar_enrich.cli.outcomes import plain_table, print_table

    for pack in packs:
        columns = pack["columns"]
        typer.echo(f"{pack['name']} {pack['version']}: {len(columns)} columns, {pack['provider']}")
        table = plain_table("column", ">min_bars", "formula")
        for one in columns:
            table.add_row(one["name"], str(one["min_bars"]), one["formula"].replace("[", "\\["))
        print_table(table)
