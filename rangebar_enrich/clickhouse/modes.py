"""Ouroboros modes: bars of one (symbol, threshold) that were reset differently do not mix.

A builder that is reset every week gives other bars than one that is reset every month. Both may
be stored, since the mode is part of the key, but a reader that forgets the mode mixes them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Literal

from rangebar_enrich._bars.series import SeriesKey
from rangebar_enrich.errors import WriteRefusedError, message

logger = logging.getLogger(__name__)

ModeGuard = Literal["strict", "warn", "off"]
_GUARDS = ("strict", "warn", "off")


def check_guard(guard: str) -> None:
    """Refuse an unknown value of `mode_guard`.

    Raises:
        WriteRefusedError: It is none of `strict`, `warn`, `off`.
    """
    if guard not in _GUARDS:
        msg = message(f"mode_guard={guard!r} is unknown.", hint=f"use {', '.join(_GUARDS)}.")
        raise WriteRefusedError(msg)


def check_modes(found: Iterable[tuple[SeriesKey, str | None]], *, guard: ModeGuard) -> None:
    """See that no (symbol, threshold) gets bars of a second ouroboros mode.

    Args:
        found: Each series of the batch, and another mode of it that is stored, or `None`.
        guard: `strict` refuses, `warn` logs, `off` does not look.

    Raises:
        WriteRefusedError: A series has bars of another mode; nothing was written.
    """
    if guard == "off":
        return
    first: dict[tuple[str | None, int | None], str | None] = {}
    lines = []
    for key, stored in found:
        other = stored or first.setdefault(key[:2], key.ouroboros_mode)
        if other != key.ouroboros_mode:
            name = f"{key.symbol}@{key.threshold_decimal_bps}"
            where = "stored" if stored else "in the same batch"
            lines.append(f"{name}: {key.ouroboros_mode!r} beside {other!r} {where}")
    if not lines:
        return
    head = f"{len(lines)} series would mix ouroboros modes."
    if guard == "warn":
        logger.warning("%s", message(head, lines))
        return
    hint = "write them to another table, or pass mode_guard='warn' or 'off' if that is meant."
    raise WriteRefusedError(message(f"{head} Nothing was written.", lines, hint))
