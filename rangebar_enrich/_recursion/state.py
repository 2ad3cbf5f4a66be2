"""What a continuation remembers between two increments, and its form as bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgpack
import polars as pl

from rangebar_enrich._recursion.ewm import Decayed
from rangebar_enrich.errors import HistoryError, message

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class LevelState:
    """What the recursions of one level go on from.

    Attributes:
        folds: One row with the last value of each fold; `None` before the first rows.
        decays: What each `ewm_mean` remembers; `None` before its first value.
    """

    folds: pl.DataFrame | None = None
    decays: Mapping[str, Decayed | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """A place in a series from which its features go on; immutable.

    Attributes:
        rows: Number of rows so far.
        context: The last rows of the columns that are read, and of what recursions made of them;
            `None` before the first rows.
        levels: What the recursions go on from.
        plan: Which expressions the state belongs to.
    """

    rows: int
    context: pl.DataFrame | None
    levels: tuple[LevelState, ...]
    plan: bytes

    def to_bytes(self) -> bytes:
        """Return the state as MessagePack with Arrow IPC inside; nothing is pickled."""
        levels = [
            [
                _pack_frame(level.folds),
                {name: _pack_decay(made) for name, made in level.decays.items()},
            ]
            for level in self.levels
        ]
        packed: bytes = msgpack.packb(
            [_FORMAT, self.plan, self.rows, _pack_frame(self.context), levels]
        )
        return packed

    @classmethod
    def from_bytes(cls, raw: bytes) -> State:
        """Read a state.

        Raises:
            HistoryError: The bytes are no state, or one of another format.
        """
        head, hint = "The bytes are not the state of a continuation", "restart from history."
        try:
            parts = msgpack.unpackb(raw)
            number = parts[0] if isinstance(parts, list) and parts else None
            if number != _FORMAT:
                msg = message(f"{head} in format {_FORMAT}: got {number!r}", hint=hint)
                raise HistoryError(msg)
            _, plan, rows, context, levels = parts
            return cls(rows, _unpack_frame(context), tuple(map(_unpack_level, levels)), plan)
        except (ValueError, TypeError, AttributeError, OSError, pl.exceptions.PolarsError) as error:
            if isinstance(error, HistoryError):
                raise
            msg = message(f"{head}: {error}", hint=hint)
            raise HistoryError(msg) from error


def _unpack_level(parts: Any) -> LevelState:
    folds, decays = parts
    return LevelState(
        _unpack_frame(folds),
        {name: None if made is None else Decayed(*made) for name, made in decays.items()},
    )


def _pack_decay(made: Decayed | None) -> list[float] | None:
    return None if made is None else list(made)


def _pack_frame(frame: pl.DataFrame | None) -> bytes | None:
    if frame is None:
        return None
    sink = io.BytesIO()
    frame.write_ipc(sink)
    return sink.getvalue()


def _unpack_frame(raw: bytes | None) -> pl.DataFrame | None:
    return None if raw is None else pl.read_ipc(io.BytesIO(raw))
