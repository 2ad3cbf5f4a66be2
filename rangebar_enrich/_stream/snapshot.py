"""What a live enricher carries, as bytes that only the same providers can go on from."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import msgpack
import polars as pl
import xxhash

from rangebar_enrich._bars.continuity import Watermark
from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich._plan.planner import Layout
from rangebar_enrich._provider.declaration import Declaration
from rangebar_enrich._stream.place import Place
from rangebar_enrich._stream.view import View
from rangebar_enrich.errors import HistoryError, message

_FORMAT = 2
_START_ANEW = "start anew from history."


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where series stand.

    Attributes:
        given: What was said of all of them when the enricher was made.
        start: Where a series stands that is new.
        layout: Columns of their bars, `None` before the first.
        places: Where each stands.
    """

    given: SeriesKey
    start: Place
    layout: Layout | None
    places: Mapping[SeriesKey, Place]


def write_snapshot(snapshot: Snapshot, declarations: Sequence[Declaration]) -> bytes:
    """Return a snapshot as bytes, with the versions of the engine and of the providers."""
    layout = None if snapshot.layout is None else pl.DataFrame(schema=dict(snapshot.layout))
    packed: bytes = msgpack.packb(
        {
            "engine": _engine(),
            "providers": _providers(declarations),
            "given": list(snapshot.given),
            "start": _pack_place(snapshot.start),
            "layout": _pack(layout),
            "places": [[list(key), _pack_place(one)] for key, one in snapshot.places.items()],
        }
    )
    head: bytes = msgpack.packb([_FORMAT, xxhash.xxh3_128_digest(packed), packed])
    return head


def read_snapshot(
    raw: bytes,
    declarations: Sequence[Declaration],
    given: SeriesKey,
    view: Callable[[SeriesKey, Layout], View],
) -> Snapshot:
    """Read a snapshot, if it belongs to these providers and series.

    Args:
        raw: The bytes.
        declarations: The providers that are to go on.
        given: What was said of all series.
        view: Tells what the providers of a series go on from.

    Raises:
        HistoryError: It is none, or differs in engine, providers, versions, columns or series.
    """
    parts = _parts(raw)
    keys = [SeriesKey(*key) for key, _ in parts["places"]]
    found = SeriesKey(*parts["given"])
    differ = [*_differences(parts, declarations), *_strangers(given, keys or [found])]
    if differ:
        head = f"The snapshot differs from this enricher in {len(differ)} way(s):"
        raise HistoryError(message(head, differ, _START_ANEW))
    frame = _unpack(parts["layout"])
    layout = None if frame is None else tuple(frame.schema.items())
    places = {
        key: _read_place(packed, view(key, layout or ()))
        for key, (_, packed) in zip(keys, parts["places"], strict=True)
    }
    return Snapshot(found, _unpack_place(parts["start"]), layout, places)


def _engine() -> str:
    from importlib.metadata import version

    return f"rangebar-enrich {version('rangebar-enrich')}, polars {pl.__version__}"


def _providers(declarations: Sequence[Declaration]) -> list[list[Any]]:
    return [[made.name, made.version, list(made.columns)] for made in declarations]


def _differences(parts: Mapping[str, Any], declarations: Sequence[Declaration]) -> list[str]:
    found = []
    if parts["engine"] != _engine():
        found.append(f"engine: got {parts['engine']}, expected {_engine()}")
    theirs, ours = parts["providers"], _providers(declarations)
    if theirs != ours:
        only = [(one, "in the snapshot only") for one in theirs if one not in ours]
        only += [(one, "in this enricher only") for one in ours if one not in theirs]
        found += [
            f"provider '{one[0]}' {one[1]}: {where}, or with other columns" for one, where in only
        ] or ["providers: in another order"]
    return found


def _strangers(given: SeriesKey, keys: Sequence[SeriesKey]) -> Iterator[str]:
    for key in keys:
        if any(mine not in {None, theirs} for mine, theirs in zip(given, key, strict=True)):
            yield f"series: got {key}, expected {given}"


def _parts(raw: bytes) -> Mapping[str, Any]:
    """Return what was packed, if every byte of it is still there."""
    text = "The bytes are no snapshot"
    try:
        number, digest, packed = msgpack.unpackb(raw)
    except (ValueError, TypeError) as error:
        raise HistoryError(message(f"{text}: {error}.", hint=_START_ANEW)) from error
    if number != _FORMAT:
        msg = message(f"{text} of format {_FORMAT}: got {number!r}.", hint=_START_ANEW)
        raise HistoryError(msg)
    if not isinstance(packed, bytes) or xxhash.xxh3_128_digest(packed) != digest:
        raise HistoryError(message(f"{text}: they are damaged.", hint=_START_ANEW))
    parts: Mapping[str, Any] = msgpack.unpackb(packed)
    return parts


def _pack_place(place: Place) -> dict[str, Any]:
    return {
        "rows": place.rows,
        "is_complete": place.is_complete,
        "mark": list(astuple(place.mark)),
        "gaps": place.gaps,
        "streak": place.streak,
        "context": _pack(place.context),
        "states": {name: made.to_bytes() for name, made in place.states.items()},
        "broken": dict(place.broken),
    }


def _unpack_place(packed: Mapping[str, Any]) -> Place:
    """Return a place without the states of recursive providers."""
    time, tied, ends, end = packed["mark"]
    mark, context = Watermark(time, tuple(tied), ends, end), _unpack(packed["context"])
    return Place(**{**packed, "mark": mark, "context": context, "states": {}})


def _read_place(packed: Mapping[str, Any], view: View) -> Place:
    """Return a place, if it is one that a view can go on from."""
    place, states = _unpack_place(packed), packed["states"]
    context, names = place.context, [*view.carried, *view.passed]
    fits = context is None or (
        context.columns == names and context.height == min(place.rows, view.rows)
    )
    if not fits or states.keys() != view.held.keys():
        msg = message(
            "The snapshot carries other states, columns or rows than these providers need:"
            " a lookback or an expression changed, and the provider's version did not.",
            hint=_START_ANEW,
        )
        raise HistoryError(msg)
    read = {name: view.held[name].state_from_bytes(raw) for name, raw in states.items()}
    return replace(place, states=read)


def _pack(frame: pl.DataFrame | None) -> bytes | None:
    if frame is None:
        return None
    sink = io.BytesIO()
    frame.write_ipc(sink)
    return sink.getvalue()


def _unpack(raw: bytes | None) -> pl.DataFrame | None:
    return None if raw is None else pl.read_ipc(io.BytesIO(raw))
