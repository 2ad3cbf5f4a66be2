"""`rangebar-enrich backfill`: the features that stored bars lack."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rangebar_enrich.cli.enrichment import named_enricher
from rangebar_enrich.cli.load import Mode
from rangebar_enrich.cli.options import DatabaseTable, DatabaseUrl, ProviderSpecs

if TYPE_CHECKING:
    from rangebar_enrich._run.result import ProviderOutcome
    from rangebar_enrich.clickhouse.job import SeriesReport


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
    only: Annotated[
        list[str], typer.Option(help="Only this provider, by its name; may be repeated.")
    ] = [],  # noqa: B006 likewise
    start_ms: Annotated[
        int | None, typer.Option(help="Only rows that close at or after this time, in ms.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Compute the rows again, although up to date.")
    ] = False,
    retry_failed: Annotated[
        bool,
        typer.Option("--retry-failed", help="Try again what failed, although nothing changed."),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Look at every row: finds bars that were deleted.")
    ] = False,
    url: DatabaseUrl = None,
    table: DatabaseTable = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each series as it is done.")
    ] = False,
) -> None:
    """Bring the features of stored bars up to date: the daily job.

    Only rows that are outdated are computed: those of another provider version, and those in
    whose reach a bar changed, came or went. A run that is broken off is completed by the next;
    a series that fails stops none of the others. The exit code is 1 when a provider or a series
    failed.
    """
    from rangebar_enrich.clickhouse import BarStore

    enricher = named_enricher(provider)
    report = _Report(as_json=as_json)
    try:
        with BarStore.connect(url, table=table) as store:
            report.table = store.table
            store.backfill(
                enricher,
                symbol=symbol,
                threshold_decimal_bps=threshold,
                ouroboros_mode=mode.value if mode else None,
                providers=only or None,
                start_ms=start_ms,
                force=force,
                retry_failed=retry_failed,
                check=check,
                on_done=report.add,
            )
    finally:
        report.show()
    raise typer.Exit(report.exit_code)


class _Report:
    """What became of the series so far; shown whole, however the job ends."""

    def __init__(self, *, as_json: bool) -> None:
        from rangebar_enrich.cli.outcomes import plain_table

        self.table = ""
        self._as_json = as_json
        self._shown = plain_table("series", ">bars", ">seconds", "outdated")
        self._outcomes: list[ProviderOutcome] = []
        self._errors: list[str] = []
        self._count = 0

    @property
    def exit_code(self) -> int:
        """1 when a provider or a series failed."""
        from rangebar_enrich.cli.outcomes import exit_code

        return 1 if self._errors else exit_code(self._outcomes)

    def add(self, one: SeriesReport) -> None:
        """Take the report of a series."""
        import json

        self._count += 1
        if self._as_json:
            typer.echo(json.dumps(_document(one), allow_nan=False))
        name = f"{one.symbol}@{one.threshold_decimal_bps}/{one.ouroboros_mode}"
        if one.error is not None:
            self._errors.append(f"{name}: {one.error}")
        if one.result is not None:
            self._outcomes += one.result.outcomes
            done = one.result
            outdated = ", ".join(done.providers)
            self._shown.add_row(name, f"{done.rows:,}", f"{done.seconds:.2f}", outdated)

    def show(self) -> None:
        """Print what was gathered."""
        from rangebar_enrich.cli.outcomes import print_table

        if self.table and not self._as_json:
            print_table(self._shown)
            typer.echo(f"{self._count} series looked at in {self.table}")
        failed = (f"{one.provider}: {one.error}" for one in self._outcomes if one.error)
        _show_errors([*failed, *self._errors])


def _document(one: SeriesReport) -> dict[str, Any]:
    from rangebar_enrich.cli.outcomes import outcome_documents

    document: dict[str, Any] = {
        "symbol": one.symbol,
        "threshold_decimal_bps": one.threshold_decimal_bps,
        "ouroboros_mode": one.ouroboros_mode,
        "error": None if one.error is None else str(one.error),
    }
    if one.result is not None:
        document |= {
            "rows": one.result.rows,
            "seconds": round(one.result.seconds, 6),
            "outdated": dict(one.result.providers),
            "outcomes": outcome_documents(one.result.outcomes),
        }
    return document


def _show_errors(lines: Iterable[str]) -> None:
    for line in dict.fromkeys(lines):
        typer.echo(line, err=True)
