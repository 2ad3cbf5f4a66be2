"""What is done with stored runs.

python -m benches show [NAME]        the tables of a run
python -m benches compare [NAME]     the latest run against a stored one, by default `baseline`
python -m benches keep NAME          store the latest run under a name
python -m benches readme [NAME]      write a run's table between the README's markers
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from benches import comparison, results, table

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
README = results.ROOT / "README.md"


def _stored(name: str) -> Path:
    return results.FOLDER / f"{name}.json"


def show(name: str) -> None:
    """Print a run's tables."""
    print(table.as_text(results.load(_stored(name))))


def compare(name: str) -> None:
    """Print the latest run against a stored one."""
    print(comparison.as_text(results.load(_stored(name)), results.load(results.LATEST)))


def keep(name: str) -> None:
    """Store the latest run under a name."""
    if name == results.LATEST.stem:
        msg = "give the run a name of its own"
        raise ValueError(msg)
    results.save(results.load(results.LATEST), _stored(name))
    print(f"stored as {_stored(name).relative_to(results.ROOT)}")


def readme(name: str) -> None:
    """Write a stored run's table into the README."""
    text = README.read_text(encoding="utf-8")
    README.write_text(with_table(text, table.as_markdown(results.load(_stored(name)))), "utf-8")
    print(f"{README.name} shows {name}")


def with_table(text: str, made: str) -> str:
    """Return a text with what is between the markers replaced.

    Raises:
        ValueError: A marker is missing.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        msg = f"the README needs one line {BEGIN} and, below it, one line {END}"
        raise ValueError(msg)
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n{made}\n{END}{rest.split(END)[1]}"


_COMMANDS: Mapping[str, tuple[Callable[[str], None], str | None]] = {
    "show": (show, "latest"),
    "compare": (compare, "baseline"),
    "keep": (keep, None),
    "readme": (readme, "baseline"),
}


def main(arguments: list[str]) -> int:
    """Run a command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benches")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (function, default) in _COMMANDS.items():
        command = commands.add_parser(name, help=function.__doc__)
        command.add_argument("name", nargs=None if default is None else "?", default=default)
    parsed = parser.parse_args(arguments)
    try:
        _COMMANDS[parsed.command][0](parsed.name)
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
