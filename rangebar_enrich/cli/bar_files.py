"""Files of bars that a command is given: read whole, or refused in the words of the shell."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import typer

from rangebar_enrich._bars.files import ENDINGS, ending_of
from rangebar_enrich._bars.folders import read_whole


def check_ending(path: Path) -> None:
    """Raise `typer.BadParameter` unless `path` is a folder or has an ending that we know."""
    if not path.is_dir() and ending_of(path) not in ENDINGS:
        msg = f"{path.name!r} has an ending that is none of {' '.join(ENDINGS)}"
        raise typer.BadParameter(msg)


def read_bars(path: Path) -> pa.Table:
    """Read all bars of a file or a folder; schema metadata come along where the format has them.

    Raises:
        BarsError: The file is not what its ending says.
        UnsupportedBarsError: The folder holds no bars, or bars in several formats.
    """
    check_ending(path)
    return read_whole(path)
