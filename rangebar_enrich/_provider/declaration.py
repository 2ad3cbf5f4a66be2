"""A provider's declaration, read once and checked whole."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields
from enum import Enum
from types import MappingProxyType
from typing import Any

import polars as pl

from rangebar_enrich._bars.columns import RESERVED
from rangebar_enrich.errors import DeclarationError, ProviderError, message

ISOLATED = (Exception, pl.exceptions.PanicException)
"""What a provider's code may raise without hurting the others; Polars panics are BaseException."""

_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
_ABSENT = object()
_NO_PROVIDER = (str, bytes, int, float, Mapping, pl.Expr, pl.Series, pl.DataFrame, pl.LazyFrame)
_MOST_ROWS = 2**32 - 1  # what a Polars frame can hold


class Kind(Enum):
    """Which contract a provider keeps."""

    NATIVE = "native"
    LEGACY = "legacy"


@dataclass(frozen=True, slots=True, eq=False)
class Declaration:
    """What one provider says of itself, checked.

    Attributes:
        provider: The provider object.
        kind: Native where it has `expressions`, else legacy.
        name: Its name.
        version: Its version.
        columns: Output columns in stored order.
        warm_up: Rows at the start of a series that are null, for each column.
        lookback: Earlier bars that fix a value, where the provider declares it.
        requires: Columns of other providers that it reads, where it declares them.
    """

    provider: Any
    kind: Kind
    name: str
    version: str
    columns: tuple[str, ...]
    warm_up: Mapping[str, int]
    lookback: int | None = None
    requires: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Make `warm_up` read-only."""
        object.__setattr__(self, "warm_up", MappingProxyType(dict(self.warm_up)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle through the constructor: a mapping proxy does not pickle."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return (type(self), tuple({**values, "warm_up": dict(self.warm_up)}.values()))

    @property
    def min_bars(self) -> int:
        """The longest warm-up of its columns, in rows."""
        return max(self.warm_up.values())

    @property
    def fixed_by(self) -> int | None:
        """How many earlier bars fix every value by its own word, `None` where it gives none."""
        return None if self.lookback is None else max(self.lookback, self.min_bars)


@dataclass(frozen=True, slots=True)
class Rejection:
    """A provider that is left out: its name and version as far as they could be read."""

    name: str
    version: str | None
    error: ProviderError


def cause(error: BaseException) -> str:
    """Return an error as one readable line."""
    try:
        text = str(error)
    except ISOLATED:  # an exception class of the provider's own may fail even at this
        text = ""
    # NOTE: Polars adds to what a Python function raised where it was raised; that is no cause.
    text = text.partition("\n\nThis error occurred in the following")[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if isinstance(error, ProviderError):
        return " ".join(lines)
    first = lines[0] if lines else "no message"
    return f"{type(error).__name__}: {first}"


def _read(provider: Any, attribute: str, faults: list[str], default: Any = _ABSENT) -> Any:
    """Return an attribute; what reading it raises is a fault, and `_ABSENT` comes back."""
    try:
        return getattr(provider, attribute)
    except ISOLATED as error:
        defined = hasattr(type(provider), attribute)
        if isinstance(error, AttributeError) and not defined:
            if default is _ABSENT:
                faults.append(f"'{attribute}': missing")
            return default
        faults.append(f"'{attribute}': reading it raised {cause(error)}")
    return _ABSENT


def _kind(provider: Any, faults: list[str]) -> Kind:
    for attribute, kind in (("expressions", Kind.NATIVE), ("enrich", Kind.LEGACY)):
        if callable(_read(provider, attribute, faults, None)):
            return kind
    faults.append("'expressions': missing (a legacy provider has 'enrich' instead)")
    return Kind.NATIVE


def _name(provider: Any, faults: list[str]) -> str:
    name = _read(provider, "name", faults)
    if name is _ABSENT:
        return type(provider).__name__
    if not isinstance(name, str) or not _IDENTIFIER.fullmatch(name):
        faults.append(f"'name': got {name!r}, expected text like [a-z][a-z0-9_]*")
    return str(name)


def _version(provider: Any, faults: list[str]) -> str | None:
    version = _read(provider, "version", faults)
    if version is _ABSENT:
        return None
    if not isinstance(version, str) or not version.strip():
        faults.append(f"'version': got {version!r}, expected text such as '1.0.0'")
    return str(version)


def _columns(provider: Any, name: str, faults: list[str]) -> tuple[str, ...]:
    columns = _read(provider, "columns", faults)
    if columns is _ABSENT:
        return ()
    if isinstance(columns, str | bytes) or not isinstance(columns, Sequence) or not columns:
        faults.append(f"'columns': got {columns!r}, expected a tuple of at least one name")
        return ()
    for column in columns:
        fault = _column_fault(column, name)
        if fault:
            faults.append(f"'columns': {column!r} {fault}")
    repeated = sorted({str(column) for column in columns if columns.count(column) > 1})
    faults.extend(f"'columns': {column!r} is declared twice" for column in repeated)
    return tuple(str(column) for column in columns)


def _column_fault(column: Any, name: str) -> str | None:
    if not isinstance(column, str) or not _IDENTIFIER.fullmatch(column):
        return "does not match [a-z][a-z0-9_]*"
    if not column.startswith(f"{name}_"):
        return f"does not start with '{name}_'"
    if column in RESERVED:
        return "is a reserved bar column"
    return None


def _count(value: Any) -> int | None:
    """Return a non-negative whole number, or `None` where `value` is none."""
    if isinstance(value, bool):
        return None
    try:
        number = operator.index(value)
    except TypeError:
        return None
    return number if 0 <= number <= _MOST_ROWS else None


def _warm_up(provider: Any, columns: Sequence[str], faults: list[str]) -> dict[str, int]:
    value = _read(provider, "min_bars", faults)
    if value is _ABSENT:
        return {}
    rows = dict(value) if isinstance(value, Mapping) else dict.fromkeys(columns, value)
    unknown = sorted(str(column) for column in rows if column not in columns)
    faults.extend(f"'min_bars': {column!r} is not one of 'columns'" for column in unknown)
    if isinstance(value, Mapping):
        absent = [column for column in columns if column not in rows]
        faults.extend(f"'min_bars': {column!r} has no entry" for column in absent)
    wrong = {str(got): got for got in rows.values() if _count(got) is None}
    faults.extend(
        f"'min_bars': got {got!r}, expected a whole number of rows, 0 or more"
        for got in wrong.values()
    )
    return {column: _count(got) or 0 for column, got in rows.items()}


def _lookback(provider: Any, faults: list[str]) -> int | None:
    value = _read(provider, "lookback", faults, None)
    if value is None or value is _ABSENT:
        return None
    if _count(value) is None:
        faults.append(f"'lookback': got {value!r}, expected a whole number of bars, 0 or more")
    return _count(value)


def _requires(provider: Any, faults: list[str]) -> tuple[str, ...] | None:
    value = _read(provider, "requires", faults, None)
    if value is None or value is _ABSENT:
        return None
    several = isinstance(value, Sequence | AbstractSet) and not isinstance(value, str | bytes)
    if not several or not all(isinstance(column, str) for column in value):
        faults.append(f"'requires': got {value!r}, expected a tuple of column names")
        return None
    return tuple(value)


def declare(provider: Any) -> Declaration | Rejection:
    """Read and check a provider's declaration.

    Every fault is gathered before one is reported. A class is instantiated without arguments.
    """
    if isinstance(provider, type):
        try:
            provider = provider()
        except ISOLATED as error:
            return reject(provider.__name__, f"Its constructor raised {cause(error)}.", error)
    faults: list[str] = []
    kind = _kind(provider, faults)
    name = _name(provider, faults)
    version = _version(provider, faults)
    columns = _columns(provider, name, faults)
    warm_up = _warm_up(provider, columns, faults)
    lookback = _lookback(provider, faults)
    requires = _requires(provider, faults)
    if faults or version is None:
        head = f"Provider '{name}' breaks its declaration in {len(faults)} place(s):"
        hint = "mend the attributes; the contract is in docs/providers.md."
        return Rejection(name, version, DeclarationError.of(name, message(head, faults, hint)))
    return Declaration(
        provider=provider,
        kind=kind,
        name=name,
        version=version,
        columns=columns,
        warm_up=warm_up,
        lookback=lookback,
        requires=requires,
    )


def reject(name: str, text: str, error: BaseException | None = None) -> Rejection:
    """Return the rejection of a provider that could not even be made."""
    made = DeclarationError.of(name, message(f"Provider '{name}' is left out.", [text]))
    made.__cause__ = error
    return Rejection(name, None, made)


def provider_list(providers: Any) -> list[Any]:
    """Return providers as a list.

    Raises:
        TypeError: It is no list of objects, or holds what can be no provider.
    """
    if isinstance(providers, _NO_PROVIDER) or not hasattr(providers, "__iter__"):
        msg = f"'providers' is {type(providers).__name__}; expected a list of providers."
        raise TypeError(msg)
    found = list(providers)
    wrong = [
        f"{place}: got {type(one).__name__} {one!s:.60}"
        for place, one in enumerate(found)
        if isinstance(one, (*_NO_PROVIDER, Sequence))
    ]
    if wrong:
        msg = message(
            f"'providers' holds {len(wrong)} thing(s) that can be no provider:",
            wrong,
            "pass objects with name, version, columns, min_bars and expressions(), or classes of"
            " them; an expression goes into expressions().",
        )
        raise TypeError(msg)
    return found


def declare_all(providers: Sequence[Any]) -> tuple[list[Declaration], list[Rejection]]:
    """Check each provider, and that no two share a name or a column.

    Of two that do, the first keeps what it declared and the later one is left out.
    """
    declared: list[Declaration] = []
    rejected: list[Rejection] = []
    owners: dict[str, str] = {}
    for provider in providers:
        made = declare(provider)
        if isinstance(made, Rejection):
            rejected.append(made)
            continue
        clash = _clash(made, declared, owners)
        if clash is not None:
            rejected.append(Rejection(made.name, made.version, clash))
            continue
        declared.append(made)
        owners |= dict.fromkeys(made.columns, made.name)
    return declared, rejected


def _clash(
    made: Declaration, declared: Sequence[Declaration], owners: Mapping[str, str]
) -> DeclarationError | None:
    faults = [
        f"'name': another provider, version {other.version}, has the name '{other.name}'"
        for other in declared
        if other.name == made.name
    ] or [
        f"'columns': '{column}' is declared by provider '{owners[column]}' too"
        for column in made.columns
        if column in owners
    ]
    if not faults:
        return None
    head = f"Provider '{made.name}' {made.version} collides with another:"
    text = message(head, faults, "rename one of the two, or leave one out.")
    return DeclarationError.of(made.name, text)
