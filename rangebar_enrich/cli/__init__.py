"""The command `rangebar-enrich`.

Exit codes: 0, all is well; 1, the work failed, wholly or for a provider; 2, the call was wrong.
Results go to stdout, all else to stderr; with `--json` stdout holds one JSON document.

A command is a module here with a function `register(app)`; its name stands in `COMMANDS`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from rangebar_enrich.errors import RangebarEnrichError

if TYPE_CHECKING:
    import typer

PROGRAM = "rangebar-enrich"
COMMANDS = ("demo", "providers", "enrich", "load")
"""Modules of this package that register a command, in the order in which help shows them."""


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line `args`, or the process's own, and exit.

    Raises:
        SystemExit: Always; its code is the exit code.
    """
    try:
        app = build_app()
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich"}:
            raise
        _exit_with(f"{PROGRAM} needs typer and rich: pip install 'rangebar-enrich[cli]'")
    try:
        app(args=args, prog_name=PROGRAM)
    except RangebarEnrichError as error:
        _exit_with(f"error: {error}")


def build_app() -> typer.Typer:
    """Return the application with every command of `COMMANDS`."""
    import typer

    app = typer.Typer(
        help="Enrich range bars with features, and keep them in ClickHouse.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    import_module(f"{__name__}.options").register(app)
    for name in COMMANDS:
        import_module(f"{__name__}.{name}").register(app)
    return app


def _exit_with(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    raise SystemExit(1)
