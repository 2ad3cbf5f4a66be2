"""How far the functions of other people's plugin libraries read: declared, since none can be seen into.

A declaration is a promise by whoever made it. `explain` says whose it is, and the conformance checks
hold it against what the function does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from math import inf
from threading import Lock
from typing import Any

from rangebar_enrich._expr import tree
from rangebar_enrich._expr.plugin import OPERATOR, PluginCall, plugin_call
from rangebar_enrich._expr.tree import Node
from rangebar_enrich.errors import DeclarationError, message
from rangebar_enrich.reach.interval import Offset

logger = logging.getLogger(__name__)

PLUGIN_GROUP = "rangebar_enrich.plugins"
"""Entry-point group: the name is a library, the object a mapping from symbol, or `*`, to reach."""

ANY = "*"
"""Stands for every function of a library that has no declaration of its own."""


@dataclass(frozen=True, slots=True)
class PluginReach:
    """How far a plugin function reads from its own row.

    Attributes:
        past: Earlier rows that fix a value; `inf` for all of them.
        future: Later rows that may be read.
    """

    past: Offset
    future: Offset = 0


Declared = PluginReach | Callable[[Mapping[str, Any]], PluginReach]
"""A reach, or what makes it from the arguments that the function is called with."""


def finite(lookback: int) -> PluginReach:
    """Declare that so many *earlier* rows fix a value, nulls among them included."""
    return PluginReach(lookback)


elementwise = PluginReach(0)
"""Row `i` of the inputs makes row `i`."""
recursive = PluginReach(inf)
"""Every row so far counts, and no later one."""
whole = PluginReach(inf, inf)
"""Every row of the series counts."""


def _talib(arguments: Mapping[str, Any]) -> PluginReach:
    """Read what `polars_talib` 0.2 tells of each call: TA-Lib's own lookback, and whether it is all.

    It calls most of TA-Lib recursive, moving averages too: one null makes all that follows null.
    """
    lookback = arguments.get("lookback", -1)
    return recursive if arguments.get("recursive", True) or lookback < 0 else finite(lookback)


SHIPPED: Mapping[str, Mapping[str, Declared]] = {"polars_talib": {ANY: _talib}}
"""Well-known libraries, declared by us."""

_own: dict[str, dict[str, Declared]] = {}
_found: dict[str, Mapping[str, Declared]] = {}
_lock = Lock()


def declare_plugin(library: str, symbol: str, reach: Declared) -> None:
    """Declare how far a plugin function reads, for this process; the latest declaration counts.

    It goes before that of the library's own author, who registers a mapping under the entry-point
    group `rangebar_enrich.plugins`, and before those that come with the engine.

    Args:
        library: Name of the package: of the folder that holds the compiled library.
        symbol: Name of the function in the library, or `*` for all that have no other.
        reach: `finite(lookback)`, `elementwise`, `recursive` or `whole`; or a function from the
            call's arguments to one of them.
    """
    with _lock:
        _own.setdefault(library, {})[symbol] = reach


def forget_plugins() -> None:
    """Forget what was declared in this process and what entry points gave."""
    with _lock:
        _own.clear()
        _found.clear()


def declared_reach(call: PluginCall) -> PluginReach | None:
    """Return the declared reach of a call, `None` where nobody declared one.

    Raises:
        DeclarationError: The declaration gives no reach.
    """
    for source in (_own.get(call.library, {}), _of_package(call.library)):
        for symbol in (call.symbol, ANY):
            if symbol in source:
                return _checked(call, source[symbol])
    return None


def declared_calls(node: Node) -> Iterator[PluginCall]:
    """Yield the plugin calls of a tree whose reach is declared."""
    for part in tree.walk(node):
        if tree.operator(part) == OPERATOR:
            call = plugin_call(part)
            if call is not None and declared_reach(call) is not None:
                yield call


def _of_package(library: str) -> Mapping[str, Declared]:
    """Return what a library's own package declares, else what comes with the engine."""
    if library not in _found:
        points = [one for one in entry_points(group=PLUGIN_GROUP) if one.name == library]
        made: Mapping[str, Declared] = SHIPPED.get(library, {})
        try:
            made = points[0].load() if points else made
        except Exception:  # a foreign package may fail in any way; without it the calls are opaque
            logger.exception("the plugin declarations of '%s' cannot be loaded", library)
        with _lock:
            _found[library] = made
    return _found[library]


def _checked(call: PluginCall, declared: Declared) -> PluginReach:
    try:
        made = declared if isinstance(declared, PluginReach) else declared(call.arguments)
    except Exception as error:
        text = f"The reach declared for '{call.symbol}' of '{call.library}' fails: {error!r}"
        raise DeclarationError.of(None, text) from error
    if isinstance(made, PluginReach) and made.past >= 0 and made.future >= 0:
        return made
    text = message(
        f"The reach declared for '{call.symbol}' of '{call.library}' is none: got {made!r}",
        hint="finite(lookback), elementwise, recursive or whole of rangebar_enrich.reach.",
    )
    raise DeclarationError.of(None, text)
