"""Every error of the package.

    RangebarEnrichError
    ├── BarsError (ValueError)              the caller's bars break a rule
    │   ├── BarColumnError                  a needed column is absent, doubled or of a wrong type
    │   ├── BarOrderError                   bars are out of time order
    │   ├── BarGapError                     bars are missing between others
    │   └── SeriesConflictError             an argument contradicts a column or the metadata
    ├── UnsupportedBarsError (TypeError)    not a kind of bars that we read
    ├── TradesError (ValueError)            trades that no bar may be built from
    ├── ProviderError (RuntimeError)        one provider's fault; carries `.provider`
    │   ├── DeclarationError                name, version, columns, min_bars … are malformed
    │   ├── CompileError                    its expressions break the contract
    │   │   └── LookAheadError              an expression is proven to read later bars
    │   ├── RunError                        it failed while it computed
    │   ├── ShortHistoryError               the history given does not fix its values
    │   ├── DependencyError                 a provider that it reads failed
    │   └── DiscoveryError                  it cannot be loaded, or two packages claim its name
    ├── ForkedProcessError (RuntimeError)   this process was forked from one that had run
    ├── HistoryError (ValueError)           history or a snapshot does not fit the enricher
    │   └── NotHeldError                    an expression that no state can continue; carries `.reasons`
    └── StoreError (RuntimeError)           the database, or what was to be written
        ├── StoreConnectionError            it cannot be opened, reached or used any more
        ├── QueryError                      it refused or failed a statement; carries `.code`
        ├── WriteFailedError                a write broke off; repeat it whole
        ├── SchemaError                     the table differs from what is needed
        ├── WriteRefusedError               the bars were refused; nothing was written
        └── IdentifierError                 a name that cannot be an identifier

    ProviderWarning (UserWarning)           `enrich_bars` gave null columns because a provider failed

Text: line 1 says what is wrong; `- name: got, expected` lines follow, ten at most; a last
line `Hint:` names an action.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

_MOST_LINES = 10


def message(head: str, lines: Sequence[str] = (), hint: str | None = None) -> str:
    """Compose an error text: head, at most ten detail lines, hint."""
    shown = [f"- {line}" for line in lines[:_MOST_LINES]]
    if len(lines) > _MOST_LINES:
        shown.append(f"- … and {len(lines) - _MOST_LINES} more")
    tail = [f"Hint: {hint}"] if hint else []
    return "\n".join([head, *shown, *tail])


class RangebarEnrichError(Exception):
    """Root of every error that the package raises."""


class BarsError(RangebarEnrichError, ValueError):
    """The caller's bars break a rule."""


class BarColumnError(BarsError):
    """A needed column is absent, doubled, or of a wrong type."""


class BarOrderError(BarsError):
    """Bars of one series are out of time order."""


class BarGapError(BarsError):
    """Bars begin later than those before them ended, and the caller asked to be stopped."""


class SeriesConflictError(BarsError):
    """An argument contradicts what the bars say of themselves, in a column or in metadata."""


class UnsupportedBarsError(RangebarEnrichError, TypeError):
    """The object is not a kind of bars that the engine reads."""


class TradesError(RangebarEnrichError, ValueError):
    """Trades that cannot be read, or that no bar may be built from."""


class ProviderError(RangebarEnrichError, RuntimeError):
    """One provider's fault.

    Attributes:
        provider: The provider's name, or `None` where it has none.
        faults: What is wrong one by one, where it breaks the contract's form.
    """

    provider: str | None = None
    faults: tuple[Any, ...] = ()

    @classmethod
    def of(cls, provider: str | None, text: str, faults: Sequence[Any] = ()) -> Self:
        """Build the error for `provider`; the constructor stays one string, so it pickles."""
        error = cls(text)
        error.provider = provider
        error.faults = tuple(faults)
        return error


class ProviderWarning(UserWarning):
    """Columns that `enrich_bars` gave are null because their provider failed."""


class DeclarationError(ProviderError):
    """A provider's name, version, columns, min_bars or an optional attribute is malformed."""


class CompileError(ProviderError):
    """A provider's expressions break the contract."""


class LookAheadError(CompileError):
    """An expression is proven to read later bars."""


class RunError(ProviderError):
    """A provider failed while it computed."""


class ShortHistoryError(ProviderError):
    """The history given does not fix a provider's values."""


class DependencyError(ProviderError):
    """A provider that this one reads failed, or they read each other in a circle."""


class DiscoveryError(ProviderError, ImportError):
    """An entry point cannot be loaded, or two packages claim one provider name."""


class ForkedProcessError(RangebarEnrichError, RuntimeError):
    """This process was forked from one in which bars had been enriched."""


class HistoryError(RangebarEnrichError, ValueError):
    """History or a snapshot does not fit the enricher."""


class NotHeldError(HistoryError):
    """An expression depends on all history, and no state can continue it.

    Attributes:
        reasons: Column to why its expression cannot be continued.
    """

    reasons: Mapping[str, str] = MappingProxyType({})

    @classmethod
    def of(cls, reasons: Mapping[str, str], text: str) -> Self:
        """Build the error; the constructor stays one string, so it pickles."""
        error = cls(text)
        error.reasons = dict(reasons)
        return error


class StoreError(RangebarEnrichError, RuntimeError):
    """The database failed, or what was to be written is not fit for it."""


class StoreConnectionError(StoreError):
    """The database cannot be opened or reached, or the store was closed or forked."""


class QueryError(StoreError):
    """The database refused or failed a statement.

    Attributes:
        code: ClickHouse's error code, or `None`.
    """

    code: int | None = None

    @classmethod
    def of(cls, code: int | None, text: str) -> QueryError:
        """Build the error; the constructor stays one string, so it pickles."""
        error = cls(text)
        error.code = code
        return error


class WriteFailedError(StoreError):
    """The database failed while bars were written; the same call, repeated, completes them."""


class SchemaError(StoreError):
    """The table differs from what is needed."""


class WriteRefusedError(StoreError, ValueError):
    """The bars were refused before anything was sent; nothing was written.

    Attributes:
        violations: One `rangebar_enrich.clickhouse.Violation` for each broken rule, where rules
            of the bars were broken.
    """

    violations: tuple[Any, ...] = ()


class IdentifierError(StoreError, ValueError):
    """A name that cannot be a ClickHouse identifier."""
