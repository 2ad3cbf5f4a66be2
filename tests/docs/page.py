"""Run the code blocks of one Markdown page in order, in the current directory.

    python page.py README.md

- ```python blocks share one namespace. A ```text block right after one, with at most a line of
  prose between them, is what it must print. With `file=name.py` after the language, the block
  is also written to that file.
- ```console blocks: each `$ command` is run by bash and must succeed; the lines after it, where
  there are any, are what it must print on stdout and stderr.
- A comment `<!-- python` … `-->` is run like ```python: what a page needs and readers do not.
- Other blocks, ```sh and ```sql among them, are shown to readers only.

In expected output `…` stands for any text, and alone on a line for any number of lines.
"""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^(?P<indent> *)(?P<kind>```|<!-- (?=python$))(?P<info>.*)$")
_END = {"```": "```", "<!-- ": "-->"}
_ANY = "…"


@dataclass(frozen=True)
class Block:
    language: str
    options: dict[str, str]
    line: int  # of its first line of code, counted from 1
    code: str
    prose_before: int  # lines of text since the block before, empty ones not counted


class PageError(Exception):
    """A block fails, or prints something else than the page shows."""


def iter_blocks(text: str) -> Iterator[Block]:
    lines, at, prose = text.splitlines(), 0, 0
    while at < len(lines):
        fence = _FENCE.match(lines[at])
        if not fence:
            prose += bool(lines[at].strip())
            at += 1
            continue
        indent = len(fence["indent"])
        end = at + 1
        while end < len(lines) and lines[end].strip() != _END[fence["kind"]]:
            end += 1
        if end == len(lines):
            msg = f"line {at + 1}: the block is not closed"
            raise PageError(msg)
        language, *options = fence["info"].split() or [""]
        code = "\n".join(line[indent:] for line in lines[at + 1 : end])
        pairs = dict(option.split("=", 1) for option in options if "=" in option)
        yield Block(language, pairs, at + 2, code, prose)
        at, prose = end + 1, 0


def matches(actual: str, expected: str) -> bool:
    """Compare line by line, spaces at the end of a line and of the text not counted."""
    pattern = ""
    for line in expected.strip("\n").splitlines():
        stripped = line.rstrip()
        if stripped.strip() == _ANY:
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*?".join(re.escape(part) for part in stripped.split(_ANY)) + r"[ ]*\n"
    return re.fullmatch(pattern, actual.strip("\n") + "\n") is not None


def check(block: Block, actual: str, expected: str) -> None:
    if not matches(actual, expected):
        msg = f"line {block.line}: prints\n{actual}\nand the page shows\n{expected}"
        raise PageError(msg)


def run_python(block: Block, page: Path, module: types.ModuleType) -> str:
    if "file" in block.options:
        Path(block.options["file"]).write_text(block.code + "\n", encoding="utf-8")
    # Empty lines before the code make tracebacks name the page's own lines.
    source = "\n" * (block.line - 1) + block.code
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, str(page), "exec"), module.__dict__)  # noqa: S102
    return printed.getvalue()


def run_console(block: Block) -> None:
    for part in re.split(r"^\$ ", block.code, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        done = subprocess.run(
            ["bash", "-c", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            msg = f"line {block.line}: {command!r} exits with {done.returncode}:\n{done.stdout}"
            raise PageError(msg)
        if expected.strip():
            check(block, done.stdout, expected)


def run_page(page: Path) -> int:
    """Run a page and return how many blocks were run."""
    module = types.ModuleType("page")
    sys.modules["page"] = module
    sys.path.insert(0, "")
    count, before, printed = 0, "", ""
    for block in iter_blocks(page.read_text(encoding="utf-8")):
        if block.language == "python":
            printed = run_python(block, page, module)
            count += 1
        elif block.language == "console":
            run_console(block)
            count += 1
        elif block.language == "text" and before == "python" and block.prose_before <= 1:
            check(block, printed, block.code)
        before = block.language
    return count


if __name__ == "__main__":
    try:
        total = run_page(Path(sys.argv[1]))
    except PageError as error:
        sys.exit(f"{sys.argv[1]}, {error}")
    sys.stdout.write(f"{total} blocks\n")
