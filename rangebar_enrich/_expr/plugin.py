"""Calls of plugin libraries in operator trees: whose function it is, and with which arguments."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, NoReturn

from rangebar_enrich._expr import tree
from rangebar_enrich._expr.tree import Node

OPERATOR = "Function.FfiPlugin"


@dataclass(frozen=True, slots=True)
class PluginCall:
    """A function of a plugin library, as an expression calls it.

    Attributes:
        library: Name of the package: of the folder that holds the compiled library.
        symbol: Name of the function in the library.
        arguments: What it was given beside expressions; empty where that can't be read.
    """

    library: str
    symbol: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


def plugin_call(node: Node) -> PluginCall | None:
    """Return the plugin function that a node calls itself, `None` where it calls none."""
    if tree.operator(node) != OPERATOR:
        return None
    spec = tree.body(node)["function"]["FfiPlugin"]
    return PluginCall(PurePath(spec["lib"]).parent.name, spec["symbol"], _arguments(spec["kwargs"]))


class _Plain(pickle.Unpickler):
    """Reads numbers, texts and containers of them: nothing that runs code."""

    def find_class(self, module_name: str, global_name: str, /) -> NoReturn:
        msg = f"{module_name}.{global_name} is no plain value"
        raise pickle.UnpicklingError(msg)


def _arguments(raw: bytes | list[int]) -> Mapping[str, Any]:
    """Read what Polars pickled for the library."""
    try:
        made = _Plain(io.BytesIO(bytes(raw))).load()
    except (pickle.UnpicklingError, EOFError, ValueError):
        return {}
    return made if isinstance(made, dict) else {}
