"""The command `rangebar-enrich`.

Exit codes: 0, all is well; 1, the work failed, wholly or for a provider; 2, the call was wrong.
Results go to stdout, all else to stderr. With `--json` stdout holds one JSON document; when the
work failed wholly it is `{"error": text}`.

A command is a module here with a function `register(app)`; its name stands in `COMMANDS`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from rangebar_enrich.errors import RangebarEnrichError

if TYPE_CHECKING:
    import typer

PROGRAM = "rangebar-enrich"
COMMANDS = (
    "demo",
    "providers",
    "features",
    "check",
    "explain",
    "enrich",
    "load",
    "migrate",
    "backfill",
)
"""Modules of this package that register a command, in the order in which help shows them."""


_EXTRAS = {
    "chdb": "chdb",
    "pandas": "pandas",
    "plotly": "charts",
    "rangebar": "builder",
    "rich": "cli",
    "typer": "cli",
}


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line `args`, or the process's own, and exit.

    Raises:
        SystemExit: Always; its code is the exit code.
    """
    try:
        build_app()(args=args, prog_name=PROGRAM)
    except RangebarEnrichError as error:
        if "--json" in (sys.argv[1:] if args is None else args):
            sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
        _exit_with(str(error))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        hint = f"pip install 'rangebar-enrich[{_EXTRAS[package]}]'"
        _exit_with(f"the package {package} is not installed.\nHint: {hint}")


def build_app() -> typer.Typer:
    """Return the application with every command of `COMMANDS`."""
    import typer

    app = typer.Typer(
        help="Enrich range bars with features, and keep them in ClickHouse.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",  # a paragraph of a docstring is reflowed
    )
    import_module(f"{__name__}.options").register(app)
    for name in COMMANDS:
        import_module(f"{__name__}.{name}").register(app)
    return app


def _exit_with(text: str) -> NoReturn:
    sys.stderr.write(f"error: {text}\n")
    raise SystemExit(1)
