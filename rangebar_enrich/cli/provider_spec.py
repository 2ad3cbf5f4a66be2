"""A provider named on the command line: `module:Class`."""

from __future__ import annotations

import sys
from importlib import import_module
from inspect import isclass, isroutine
from pathlib import Path
from typing import Any

import typer

from rangebar_enrich.errors import DiscoveryError, message


def load_provider(spec: str) -> Any:
    """Return the provider that `module:Class` names, made without arguments.

    A class or a function is called; another object is taken as it is. Modules of the current
    directory are found, after those installed.

    Raises:
        typer.BadParameter: `spec` is malformed, or names nothing.
        DiscoveryError: The module or the constructor raised.
    """
    module_name, colon, attribute = spec.partition(":")
    if not colon or not module_name or not attribute:
        msg = f"{spec!r} is not of the form module:Class"
        raise typer.BadParameter(msg)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    found = _find(spec, module_name, attribute)
    try:
        return found() if isclass(found) or isroutine(found) else found
    except Exception as cause:
        raise _broken(spec, cause) from cause


def _find(spec: str, module_name: str, attribute: str) -> Any:
    try:
        found: Any = import_module(module_name)
    except ModuleNotFoundError as cause:
        if cause.name and f"{module_name}.".startswith(f"{cause.name}."):
            msg = f"{spec!r}: there is no module {cause.name!r}"
            raise typer.BadParameter(msg) from cause
        raise _broken(spec, cause) from cause
    except Exception as cause:
        raise _broken(spec, cause) from cause
    for part in attribute.split("."):
        if not hasattr(found, part):
            msg = f"{spec!r}: {module_name!r} has no {attribute!r}"
            raise typer.BadParameter(msg)
        found = getattr(found, part)
    return found


def _broken(spec: str, cause: Exception) -> DiscoveryError:
    text = message(f"Provider {spec!r} cannot be loaded: {type(cause).__name__}: {cause}")
    return DiscoveryError(text)
