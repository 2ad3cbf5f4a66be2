"""Bars in files: Parquet, Arrow IPC and CSV, told apart by the ending."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import typer

from rangebar_enrich._bars.files import csv_types
from rangebar_enrich.errors import BarsError, message

ENDINGS = (".parquet", ".arrow", ".feather", ".arrows", ".csv")


def check_ending(path: Path) -> None:
    """Raise `typer.BadParameter` unless the ending of `path` is one that we know."""
    if path.suffix.lower() not in ENDINGS:
        msg = f"{path.name!r} has an ending that is none of {' '.join(ENDINGS)}"
        raise typer.BadParameter(msg)


def read_bars(path: Path) -> pa.Table:
    """Read all bars of a file; schema metadata come along where the format has them.

    Raises:
        BarsError: The file is not what its ending says.
    """
    check_ending(path)
    try:
        return _READERS[path.suffix.lower()](path)
    except (pa.ArrowException, OSError) as cause:
        raise BarsError(message(f"Cannot read bars from {path.name!r}: {cause}")) from cause


def write_bars(table: pa.Table, path: Path) -> None:
    """Write `table`; a reader sees the old file or the whole new one, never a part.

    Raises:
        BarsError: It cannot be written; what was there before still is.
    """
    check_ending(path)
    try:
        with drafting(path) as draft, synced(draft) as file:
            _WRITERS[path.suffix.lower()](table, file)
    except (pa.ArrowException, OSError) as cause:
        raise BarsError(message(f"Cannot write {path.name!r}: {cause}")) from cause


@contextmanager
def drafting(path: Path) -> Iterator[Path]:
    """Give a path beside `path`, whose file takes its place when the block ends well."""
    target = path.resolve()  # a symbolic link stays one
    draft = target.with_name(f".{target.stem}.{os.getpid()}.tmp{target.suffix}")
    try:
        yield draft
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def synced(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file that is on the disk when the block ends."""
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def size_in_memory(path: Path) -> int:
    """Return about how many bytes the bars of a file take in memory."""
    size = path.stat().st_size
    if path.suffix.lower() != ".parquet":
        return size
    with _parquet(path) as file:
        groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
        return max(size, sum(int(group.total_byte_size) for group in groups))


def count_rows(path: Path) -> int | None:
    """Return the number of bars of a file, `None` where it would have to be read for that."""
    if path.suffix.lower() != ".parquet":
        return None
    with _parquet(path) as file:
        return int(file.metadata.num_rows)


@contextmanager
def _parquet(path: Path) -> Iterator[Any]:
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as cause:
        raise BarsError(message(f"Cannot read bars from {path.name!r}: {cause}")) from cause


def _read_parquet(path: Path) -> pa.Table:
    import pyarrow.parquet as pq

    return pq.read_table(path, partitioning=None)


def _read_ipc(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as reader:
        return reader.read_all()


def _read_stream(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as reader:
        return reader.read_all()


def _read_csv(path: Path) -> pa.Table:
    from pyarrow import csv

    return csv.read_csv(path, convert_options=csv_types())


def _write_parquet(table: pa.Table, file: IO[bytes]) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, file)


def _write_ipc(table: pa.Table, file: IO[bytes]) -> None:
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _write_stream(table: pa.Table, file: IO[bytes]) -> None:
    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


def _write_csv(table: pa.Table, file: IO[bytes]) -> None:
    from pyarrow import csv

    csv.write_csv(table, file)


_READERS: dict[str, Callable[[Path], pa.Table]] = {
    ".parquet": _read_parquet,
    ".arrow": _read_ipc,
    ".feather": _read_ipc,
    ".arrows": _read_stream,
    ".csv": _read_csv,
}
_WRITERS: dict[str, Callable[[pa.Table, Any], None]] = {
    ".parquet": _write_parquet,
    ".arrow": _write_ipc,
    ".feather": _write_ipc,
    ".arrows": _write_stream,
    ".csv": _write_csv,
}
