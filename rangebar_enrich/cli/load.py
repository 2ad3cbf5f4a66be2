"""`rangebar-enrich load`: bars in a file, bars with features in the database."""

from __future__ import annotations

import time
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from rangebar_enrich.cli.enrichment import Label, OnError, OnErrorOption, enrich_table
from rangebar_enrich.cli.options import (
    BarsIn,
    DatabaseTable,
    DatabaseUrl,
    Json,
    ProviderSpecs,
    Relabel,
    Symbol,
    Threshold,
)

if TYPE_CHECKING:
    import pyarrow as pa


class Mode(Enum):
    """When the bar builder was started anew."""

    MONTH = "month"
    WEEK = "week"
    YEAR = "year"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(load)


def load(
    bars_in: BarsIn,
    *,
    symbol: Symbol = None,
    threshold: Threshold = None,
    relabel: Relabel = False,
    mode: Annotated[
        Mode | None,
        typer.Option(help="Ouroboros mode; by default the bars' own column, else month."),
    ] = None,
    provider: ProviderSpecs = [],  # noqa: B006 typer makes a new list for each call
    on_error: OnErrorOption = OnError.NULL,
    url: DatabaseUrl = None,
    table: DatabaseTable = None,
    as_json: Json = False,
) -> None:
    """Add the providers' features to the bars of IN, and write all to ClickHouse.

    Bars that are there already are replaced by the newer row; loading a file twice leaves the
    same rows. When a provider fails, the bars are stored without its columns and the exit code
    is 1. With --on-error raise nothing is stored then.
    """
    from rangebar_enrich.cli.bar_files import read_bars
    from rangebar_enrich.cli.outcomes import exit_code, outcome_documents, print_json, show_outcomes
    from rangebar_enrich.clickhouse import BarStore

    start = time.perf_counter()
    bars = read_bars(bars_in)
    _check_series_known(bars, symbol=symbol, threshold_decimal_bps=threshold)
    label = Label(symbol, threshold, relabel)
    result = enrich_table(bars, specs=provider, label=label, on_error=on_error)
    if not result.outcomes:
        typer.echo(
            "no provider is installed or named: the bars are stored without features", err=True
        )
    with BarStore.connect(url, table=table) as store:
        table = store.table
        written = store.write(
            result,
            symbol=symbol,
            threshold_decimal_bps=threshold,
            ouroboros_mode=mode.value if mode else None,
        )
    seconds = time.perf_counter() - start
    rows = written.rows
    if as_json:
        document = {"table": table, "rows": rows, "seconds": round(seconds, 6)}
        print_json(document | {"outcomes": outcome_documents(result.outcomes)})
    else:
        show_outcomes(result.outcomes)
        typer.echo(f"{rows:,} bars stored in {table} in {seconds:.2f} s")
    raise typer.Exit(exit_code(result.outcomes))


def _check_series_known(bars: pa.Table, **options: object) -> None:
    """Refuse bars of which neither columns, metadata nor options say the series."""
    known = {*bars.column_names, *(name.decode() for name in bars.schema.metadata or {})}
    absent = [name for name, value in options.items() if value is None and name not in known]
    if absent:
        flags = " and ".join(f"--{name.split('_', maxsplit=1)[0]}" for name in absent)
        msg = f"the bars do not say which series they are; give {flags}"
        raise typer.BadParameter(msg)
