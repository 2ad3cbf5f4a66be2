"""`rangebar-enrich demo`: the main job on simulated trades, or on a file of yours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.table import Table

    from rangebar_enrich.demo.job import DemoReport


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    *,
    trades: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            readable=True,
            help="Trades to use, .parquet or .csv, as in Binance's aggTrades; else simulated.",
        ),
    ] = None,
    symbol: Annotated[
        str | None, typer.Option(help="Symbol; by default from the file's name, or SIM<seed>.")
    ] = None,
    threshold: Annotated[
        int,
        typer.Option("--threshold", "--dbps", min=1, max=100_000, help="Bar width; 250 is 0.25 %."),
    ] = 250,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated trades.")] = 7,
    output: Annotated[
        Path, typer.Option(file_okay=False, help="Directory for bars, database and chart.")
    ] = Path("demo"),
) -> None:
    """Build bars from trades, enrich, store and read them back, and draw a chart.

    Exits with 1 when a provider fails, or when what comes back is not what went in.
    """
    from rangebar_enrich.cli.outcomes import exit_code
    from rangebar_enrich.demo.job import DemoRequest, run_demo

    request = DemoRequest(
        trades=trades, symbol=symbol, threshold_decimal_bps=threshold, seed=seed, output=output
    )
    report = run_demo(request)
    _show(report, threshold)
    raise typer.Exit(1 if report.differences else exit_code(report.outcomes))


def _show(report: DemoReport, threshold: int) -> None:
    from rangebar_enrich.cli.outcomes import print_table, show_outcomes

    typer.echo(f"{report.symbol} at {threshold} dbps ({threshold / 1000:g} %)\n")
    print_table(_stage_table(report))
    show_outcomes(report.outcomes)
    bars, features = report.stored.num_rows, len(report.features)
    typer.echo(f"Back from ClickHouse: {bars:,} bars with {features} features")
    if bars:
        print_table(_sample_table(report.stored, report.features))
    if report.differences:
        _show_differences(report.differences)
    else:
        typer.echo("Equal to what was enriched: bit for bit, null for null.")
    before, after = report.rows_before, report.rows_after
    same = "; a repeated run leaves the same rows" if before == after else ""
    typer.echo(f"Stored rows of the series: {before:,} before, {after:,} after{same}.\n")
    typer.echo(f"Bars      {report.bars_file}")
    typer.echo(f"Database  {report.database_url}")
    typer.echo(f"Chart     {report.chart_file}")


def _show_differences(differences: tuple[str, ...]) -> None:
    from rangebar_enrich.errors import message

    hint = "other trades may be stored for this symbol: choose another --symbol or --output."
    head = "error: what came back is not what was enriched:"
    typer.echo(message(head, differences, hint), err=True)


def _stage_table(report: DemoReport) -> Table:
    from rangebar_enrich.cli.outcomes import plain_table

    table = plain_table("stage", ">rows", ">seconds")
    for stage in report.stages:
        table.add_row(stage.name, f"{stage.rows:,}", f"{stage.seconds:.3f}")
    return table


def _sample_table(stored: pa.Table, features: tuple[str, ...]) -> Table:
    """Show the first bar, one in the middle and the last, one to a column."""
    from rangebar_enrich.cli.outcomes import plain_table

    rows = sorted({0, stored.num_rows // 2, stored.num_rows - 1})
    table = plain_table("column", ">nulls", *[f">bar {row:,}" for row in rows])
    times = [_clock_text(stored.column("close_time_ms")[row].as_py()) for row in rows]
    table.add_row("closed, UTC", "", *times)
    for name in ("close", "volume", *features):
        column = stored.column(name)
        cells = [_number(column[row].as_py()) for row in rows]
        table.add_row(name, f"{column.null_count:,}", *cells)
    return table


def _clock_text(time_ms: int) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(time_ms / 1000, tz=UTC):%m-%d %H:%M:%S}"


def _number(value: float | None) -> str:
    return "null" if value is None else f"{value:.6g}"
