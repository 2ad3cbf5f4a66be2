"""What a live enricher carries, as bytes that only the same providers can go on from."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

import msgpack
import polars as pl
import xxhash

from rangebar_enrich._bars.continuity import Seam
from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich._plan.planner import Layout, Planner
from rangebar_enrich._stream.stream import Carried
from rangebar_enrich.errors import HistoryError, message

_FORMAT = 1


@dataclass(slots=True)
class Snapshot:
    """A place in a series, and whose place it is.

    Attributes:
        key: The series.
        layout: Columns of its bars, `None` before the first.
        carried: What features go on from.
        seam: Where the next bars join.
        gaps: Gaps so far.
        states: States of recursive providers as bytes, where they were read from bytes.
    """

    key: SeriesKey
    layout: Layout | None
    carried: Carried
    seam: Seam
    gaps: int
    states: Mapping[str, bytes] = field(default_factory=dict)

    def to_bytes(self, planner: Planner) -> bytes:
        """Return the snapshot with the versions of the engine and of the providers."""
        carried = self.carried
        layout = None if self.layout is None else pl.DataFrame(schema=dict(self.layout))
        packed: bytes = msgpack.packb(
            {
                "engine": _engine(),
                "key": list(self.key),
                "providers": _providers(planner),
                "rows": carried.rows,
                "is_complete": carried.is_complete,
                "layout": _pack(layout),
                "context": _pack(carried.context),
                "states": {name: made.to_bytes() for name, made in carried.states.items()},
                "broken": dict(carried.broken),
                "seam": list(astuple(self.seam)),
                "gaps": self.gaps,
            }
        )
        head: bytes = msgpack.packb([_FORMAT, xxhash.xxh3_128_digest(packed), packed])
        return head


def read_snapshot(raw: bytes, planner: Planner, key: SeriesKey) -> Snapshot:
    """Read a snapshot, if it belongs to these providers and this series.

    Raises:
        HistoryError: It is none, or differs in engine, providers, versions, columns or series.
    """
    parts = _parts(raw)
    found = SeriesKey(*parts["key"])
    differ = _differences(parts, planner)
    if any(mine not in {None, theirs} for mine, theirs in zip(key, found, strict=True)):
        differ.append(f"series: got {found}, expected {key}")
    if differ:
        msg = message(
            f"The snapshot differs from this enricher in {len(differ)} way(s):",
            differ,
            "start anew from history.",
        )
        raise HistoryError(msg)
    layout = _unpack(parts["layout"])
    carried = Carried(
        parts["rows"],
        parts["is_complete"],
        _unpack(parts["context"]),
        broken=parts["broken"],
    )
    return Snapshot(
        found,
        None if layout is None else tuple(layout.schema.items()),
        carried,
        _seam(*parts["seam"]),
        parts["gaps"],
        parts["states"],
    )


def _engine() -> str:
    from importlib.metadata import version

    return f"rangebar-enrich {version('rangebar-enrich')}, polars {pl.__version__}"


def _providers(planner: Planner) -> list[list[Any]]:
    return [[made.name, made.version, list(made.columns)] for made in planner.declarations]


def _differences(parts: Mapping[str, Any], planner: Planner) -> list[str]:
    found = []
    if parts["engine"] != _engine():
        found.append(f"engine: got {parts['engine']}, expected {_engine()}")
    theirs, ours = parts["providers"], _providers(planner)
    if theirs != ours:
        only = [(one, "in the snapshot only") for one in theirs if one not in ours]
        only += [(one, "in this enricher only") for one in ours if one not in theirs]
        found += [
            f"provider '{one[0]}' {one[1]}: {where}, or with other columns" for one, where in only
        ] or ["providers: in another order"]
    return found


def _parts(raw: bytes) -> Mapping[str, Any]:
    """Return what was packed, if every byte of it is still there."""
    text, hint = "The bytes are no snapshot", "start anew from history."
    try:
        number, digest, packed = msgpack.unpackb(raw)
    except (ValueError, TypeError) as error:
        raise HistoryError(message(f"{text}: {error}.", hint=hint)) from error
    if number != _FORMAT:
        msg = message(f"{text} of format {_FORMAT}: got {number!r}.", hint=hint)
        raise HistoryError(msg)
    if not isinstance(packed, bytes) or xxhash.xxh3_128_digest(packed) != digest:
        raise HistoryError(message(f"{text}: they are damaged.", hint=hint))
    parts: Mapping[str, Any] = msgpack.unpackb(packed)
    return parts


def _seam(time: int | None, tied: list[int], end: int | None) -> Seam:
    return Seam(time, tuple(tied), end)


def _pack(frame: pl.DataFrame | None) -> bytes | None:
    if frame is None:
        return None
    sink = io.BytesIO()
    frame.write_ipc(sink)
    return sink.getvalue()


def _unpack(raw: bytes | None) -> pl.DataFrame | None:
    return None if raw is None else pl.read_ipc(io.BytesIO(raw))
