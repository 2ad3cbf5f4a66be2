"""Publish events of enrichment and storage to callbacks.

The payload has the fields that users of the older rangebar pipeline read. A callback that
raises is logged and stops nothing.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from threading import Lock
from types import MappingProxyType
from typing import Any

logger = logging.getLogger(__name__)


class HookEvent(Enum):
    """What can be listened to, and what `details` say.

    Those of writes also say `table` and `ouroboros_mode`.

    Attributes:
        PLUGIN_ENRICH_COMPLETE: A run, a push or a batch is done: `threshold_decimal_bps`,
            `provider_count`, `failed_count`, `bar_count`.
        PLUGIN_ENRICH_FAILED: A provider failed in a series: `threshold_decimal_bps`,
            `provider_name`, `provider_version`, `error`.
        CACHE_WRITE_START: A write begins: `threshold_decimal_bps`, `bar_count`, `series_count`,
            `feature_count`.
        CACHE_WRITE_COMPLETE: It is done: `threshold_decimal_bps`, `bar_count`, `chunk_count`,
            `retry_count`, `carried_count`, `stale_count`, `seconds`.
        CACHE_WRITE_FAILED: It broke off or was refused: `threshold_decimal_bps`, `error`.
    """

    PLUGIN_ENRICH_COMPLETE = "plugin_enrich_complete"
    PLUGIN_ENRICH_FAILED = "plugin_enrich_failed"
    CACHE_WRITE_START = "cache_write_start"
    CACHE_WRITE_COMPLETE = "cache_write_complete"
    CACHE_WRITE_FAILED = "cache_write_failed"

    @property
    def is_failure(self) -> bool:
        """Whether the event tells of a failure."""
        return self.name.endswith("_FAILED")


def new_trace_id() -> str:
    """Return an id, 32 hexadecimal digits, that ties the events of one call together."""
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class HookPayload:
    """What a callback is given.

    Attributes:
        event: The event.
        symbol: Trading symbol, `""` where it is not known.
        timestamp: When it happened, UTC.
        details: Facts of this event, read-only; see `HookEvent`.
        is_failure: Whether it tells of a failure.
        trace_id: Equal for all events of one call.
    """

    event: HookEvent
    symbol: str
    timestamp: datetime = field(default_factory=lambda: datetime.now(UTC))
    details: Mapping[str, Any] = field(default_factory=dict)
    is_failure: bool = False
    trace_id: str = field(default_factory=new_trace_id)

    def __post_init__(self) -> None:
        """Make `details` read-only, so that no callback changes what the next one sees."""
        object.__setattr__(self, "details", MappingProxyType(dict(self.details)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle through the constructor: a mapping proxy does not pickle."""
        values = (self.event, self.symbol, self.timestamp, dict(self.details))
        return (type(self), (*values, self.is_failure, self.trace_id))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values: the event's name, an ISO timestamp, a copy of the details."""
        return {
            "event": self.event.value,
            "symbol": self.symbol,
            "timestamp": self.timestamp.isoformat(),
            "details": dict(self.details),
            "is_failure": self.is_failure,
            "trace_id": self.trace_id,
        }

    def to_json(self) -> str:
        """Return `to_dict()` as JSON; what JSON has no type for becomes its `str`."""
        return json.dumps(self.to_dict(), default=str)


HookCallback = Callable[[HookPayload], object]

_hooks: dict[HookEvent, tuple[HookCallback, ...]] = {}
_lock = Lock()


def register_hook(event: HookEvent, callback: HookCallback) -> None:
    """Call `callback` at every `event` from now on, after those registered before it."""
    with _lock:
        _hooks[event] = (*_hooks.get(event, ()), callback)


def unregister_hook(event: HookEvent, callback: HookCallback) -> bool:
    """Stop calling `callback` at `event`; return whether it was registered."""
    with _lock:
        registered = list(_hooks.get(event, ()))
        if callback not in registered:
            return False
        registered.remove(callback)
        _hooks[event] = tuple(registered)
        return True


def clear_hooks(event: HookEvent | None = None) -> None:
    """Forget the callbacks of `event`, or of all events."""
    with _lock:
        if event is None:
            _hooks.clear()
        else:
            _hooks.pop(event, None)


def register_for_failures(callback: HookCallback) -> None:
    """Call `callback` at every event that tells of a failure."""
    for event in HookEvent:
        if event.is_failure:
            register_hook(event, callback)


def emit_hook(
    event: HookEvent, symbol: str | None, *, trace_id: str | None = None, **details: Any
) -> None:
    """Tell every callback of `event`; one that raises is logged and the next is called."""
    callbacks = _hooks.get(event)
    if not callbacks:
        return
    payload = HookPayload(
        event=event,
        symbol=symbol or "",
        details=details,
        is_failure=event.is_failure,
        trace_id=trace_id or new_trace_id(),
    )
    for callback in callbacks:
        try:
            callback(payload)
        except Exception:
            logger.exception("hook callback %r failed at %s", callback, event.value)
