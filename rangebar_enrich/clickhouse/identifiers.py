"""SQL text from names: the one place where anything but fixed text enters a statement.

Values are bound parameters and never pass through here, with one exception: ClickHouse binds
nothing in DDL, so a column comment goes through `literal`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from string import Template

from rangebar_enrich.errors import IdentifierError, message

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_TABLE = re.compile(r"[\w$@#%&+~!-]([\w $@#%&+~!-]*[\w$@#%&+~!-])?")
_TABLE_RULE = "letters, digits and _ - $ @ # % & + ~ !, spaces between them"
_FEATURE = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_NAME_RULE = "ASCII letters, digits and '_', no digit first"
_FEATURE_IS = "Feature or provider"
_FEATURE_RULE = "lower-case letters, digits and '_', a letter first"
DEFAULT_DATABASE = "rangebar_cache"
LONGEST = 128
"""Longest name taken: a column becomes a file name, and file systems stop at 255 bytes."""


class Sql(str):
    """Text that is safe in a statement: fixed, quoted or escaped."""

    __slots__ = ()


def _shown(name: object) -> str:
    text = repr(name)
    return text if len(text) <= 60 else f"{text[:57]}…' ({len(str(name))} characters)"


def _refused(what: str, name: object, rule: str) -> IdentifierError:
    msg = message(
        f"{what} {_shown(name)} cannot be an identifier.",
        hint=f"use {rule}, at most {LONGEST} characters.",
    )
    return IdentifierError(msg)


def quote(name: str) -> Sql:
    """Quote a name that the database itself gave us, whatever is in it."""
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return Sql(f"`{escaped}`")


def identifier(name: str, what: str = "Name") -> Sql:
    """Quote a caller's name.

    Raises:
        IdentifierError: It has other characters than ASCII letters, digits and `_`.
    """
    if not isinstance(name, str) or len(name) > LONGEST or not _NAME.fullmatch(name):
        raise _refused(what, name, _NAME_RULE)
    return quote(name)


def table_part(name: str, what: str) -> Sql:
    """Quote a caller's name of a database or table: what ClickHouse allows, but for odd signs.

    Raises:
        IdentifierError: It has characters that no name needs: quotes, dots, semicolons, brackets.
    """
    if not isinstance(name, str) or len(name) > LONGEST or not _TABLE.fullmatch(name):
        raise _refused(what, name, _TABLE_RULE)
    return quote(name)


def feature_name(name: str) -> str:
    """Return the name of a feature column or provider as it came.

    Raises:
        IdentifierError: It does not match `[a-z][a-z0-9_]*`.
    """
    if not isinstance(name, str) or len(name) > LONGEST or not _FEATURE.fullmatch(name):
        raise _refused(_FEATURE_IS, name, _FEATURE_RULE)
    return name


def join(parts: Iterable[Sql], separator: str = ", ") -> Sql:
    """Join safe texts."""
    return Sql(separator.join(parts))


def literal(text: str) -> Sql:
    """Escape text into a string literal, for DDL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return Sql(f"'{escaped}'")


def compose(template: str, **parts: Sql) -> str:
    """Fill `$name` places of a fixed statement with safe texts; binds `{x:Type}` stay."""
    unsafe = sorted(name for name, part in parts.items() if not isinstance(part, Sql))
    if unsafe:
        msg = message(f"Unquoted part(s) of a statement: {unsafe}.", hint="pass Sql values.")
        raise IdentifierError(msg)
    return Template(template).substitute(parts)


class TableName:
    """A validated `database.table`.

    Args:
        name: The name.
        database: Which database is meant where the name has none.
    """

    def __init__(self, name: str, database: str | None = None) -> None:
        given, _, table = name.rpartition(".") if isinstance(name, str) else ("", "", name)
        self.database = given or database or DEFAULT_DATABASE
        self.table = table
        self.database_sql = table_part(self.database, "Database")
        self.sql = Sql(f"{self.database_sql}.{table_part(table, 'Table')}")

    def __str__(self) -> str:
        """Return `database.table`."""
        return f"{self.database}.{self.table}"

    def companion(self, suffix: str) -> TableName:
        """Return the name of a table that belongs to this one."""
        return TableName(f"{self.database}.{self.table}_{suffix}")
