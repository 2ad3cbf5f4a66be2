"""One examination: a provider, its checks, and what each of them found."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import polars as pl

from rangebar_enrich._provider.declaration import ISOLATED, Declaration, Rejection, cause, declare
from rangebar_enrich.conformance.evidence import describe, describe_shortly
from rangebar_enrich.conformance.layout import DEFAULT_CONTEXT, read_given
from rangebar_enrich.conformance.look_ahead import Findings, search
from rangebar_enrich.conformance.lookback import check_lookback
from rangebar_enrich.conformance.report import (
    BrokenPromiseError,
    CheckResult,
    ConformanceReport,
    NotRunError,
)
from rangebar_enrich.conformance.runs import (
    check_batching,
    check_deterministic,
    check_idempotent,
    check_pickling,
    check_thread_safe,
)
from rangebar_enrich.conformance.steadiness import unsteady
from rangebar_enrich.conformance.subject import Subject
from rangebar_enrich.conformance.values import (
    check_edge_inputs,
    check_undefined_is_null,
    check_warm_up,
)
from rangebar_enrich.errors import LookAheadError, message
from rangebar_enrich.protocol import BarContext

CHECKS = (
    "declaration",
    "columns",
    "dtypes",
    "prefix",
    "row_preserving",
    "existing_columns_read_only",
    "warm_up",
    "undefined_is_null",
    "idempotent",
    "deterministic",
    "no_look_ahead",
    "lookback",
    "batching",
    "edge_inputs",
    "pickling",
    "thread_safe",
)
"""Every check, in the order in which a report has them."""

_NEEDS_ENGINE = frozenset({"warm_up", "undefined_is_null", "idempotent", "batching", "edge_inputs"})
_NEEDS_STEADY = frozenset({"idempotent", "lookback", "batching", "pickling", "thread_safe"})
_SHOWN_LEAKS = 3
_OK = {
    "columns": "exactly the declared columns are made",
    "dtypes": "numbers or booleans",
    "row_preserving": "one value for each bar, in their order",
    "existing_columns_read_only": "the bars are as they were",
}


class Examination:
    """A provider under examination; each check runs once, when its result is asked for.

    Args:
        provider: A provider of either kind, or a class of one.
        bars: The author's own bars, tried beside the generated ones.
        context: Symbol and threshold that the provider is told, and the columns that there are.
        expected_failures: Check to the reason why it is known to fail.
        seed: Seed of everything random.

    Raises:
        ValueError: `expected_failures` names an unknown check.
        BarsError: `bars` break a rule.
    """

    def __init__(
        self,
        provider: Any,
        *,
        bars: Any = None,
        context: BarContext | None = None,
        expected_failures: Mapping[str, str] | None = None,
        seed: int = 0,
    ) -> None:
        self.expected = check_names(expected_failures)
        self._provider = provider
        self._seed = seed
        self._given: pl.DataFrame | None = None
        self._context = context or DEFAULT_CONTEXT
        if bars is not None:
            self._given, found = read_given(bars)
            self._context = context or _known(found)
        self._results: dict[str, CheckResult] = {}

    @cached_property
    def _declared(self) -> Declaration | Rejection:
        return declare(self._provider)

    @cached_property
    def _subject(self) -> Subject:
        if isinstance(self._declared, Rejection):
            msg = "the declaration is broken"
            raise NotRunError(msg)
        return Subject(self._declared, self._context, self._given, self._seed)

    @cached_property
    def _search(self) -> Findings:
        return search(self._subject)

    @property
    def name(self) -> str:
        """The provider's name."""
        return self._declared.name

    def report(
        self, only: Collection[str] = CHECKS, on_check: Callable[[str], None] | None = None
    ) -> ConformanceReport:
        """Run every check, or some of them.

        Args:
            only: The checks to run.
            on_check: Is called with the name of each check before it runs.
        """
        declared = self._declared
        has_enrich = hasattr(self._provider, "enrich")
        is_legacy = has_enrich and not hasattr(self._provider, "expressions")
        results = []
        for check in (one for one in CHECKS if one in only):
            if on_check is not None:
                on_check(check)
            results.append(self.result(check))
        kind = "legacy" if is_legacy else "native"
        return ConformanceReport(declared.name, declared.version, kind, tuple(results))

    def result(self, check: str) -> CheckResult:
        """Run one check, or return what it found before."""
        if check not in self._results:
            self._results[check] = self._with_expectation(self._run(check))
        return self._results[check]

    def _run(self, check: str) -> CheckResult:
        try:
            return CheckResult(check, "passed", self._check(check))
        except BrokenPromiseError as error:
            return CheckResult(check, "failed", str(error))
        except NotRunError as error:
            return CheckResult(check, "skipped", f"not run: {error}")
        except ISOLATED as error:
            return CheckResult(check, "failed", f"it could not be finished: {cause(error)}")

    def _with_expectation(self, result: CheckResult) -> CheckResult:
        reason = self.expected.get(result.check)
        if reason is None or result.status == "skipped":
            return result
        if result.status == "failed":
            return CheckResult(result.check, "expected", f"{reason}\n{result.detail}")
        text = f"it was expected to fail ({reason}), but passes: take it off expected_failures"
        return CheckResult(result.check, "failed", text)

    def _check(self, check: str) -> str:
        early: dict[str, Callable[[], str]] = {
            "declaration": self._check_declaration,
            "prefix": self._check_prefix,
        }
        if check in early:
            return early[check]()
        subject = self._subject
        if check in _OK:
            return self._check_form(check)
        if not subject.columns:
            msg = "no column can be computed; see the checks above"
            raise NotRunError(msg)
        if check == "no_look_ahead":
            return self._check_no_look_ahead()
        if check in _NEEDS_ENGINE and subject.refusal is not None:
            leaks = isinstance(subject.refusal, LookAheadError)
            where = "no_look_ahead" if leaks else "the checks of form"
            msg = f"the engine refuses the provider, see {where}"
            raise NotRunError(msg)
        if check in _NEEDS_STEADY and unsteady(subject):
            msg = "values differ from run to run, see deterministic"
            raise NotRunError(msg)
        return _CHECKS[check](subject)

    def _check_declaration(self) -> str:
        declared = self._declared
        if isinstance(declared, Declaration):
            return f"{declared.name} {declared.version}, {len(declared.columns)} column(s)"
        if _prefix_faults(self._provider) and isinstance(
            declare(_renamed(self._provider)), Declaration
        ):
            return "complete, but for the names of columns"
        raise BrokenPromiseError(str(declared.error))

    def _check_prefix(self) -> str:
        if isinstance(self._provider, type) and isinstance(self._declared, Rejection):
            msg = "the declaration is broken"
            raise NotRunError(msg)
        faults = _prefix_faults(self._provider)
        if faults:
            raise BrokenPromiseError("\n".join(faults))
        if isinstance(self._declared, Rejection):
            msg = "the declaration is broken"
            raise NotRunError(msg)
        return f"every column starts with '{self.name}_'"

    def _check_form(self, check: str) -> str:
        faults = self._subject.form.of(check)
        if faults:
            raise BrokenPromiseError("\n".join(faults))
        refusal = self._subject.refusal
        unexplained = refusal is not None and not isinstance(refusal, LookAheadError)
        if check == "columns" and unexplained and not self._subject.form:
            raise BrokenPromiseError(str(refusal))
        if check == "columns" and self._subject.made_up:
            names = ", ".join(f"'{name}'" for name in self._subject.made_up)
            return f"{_OK[check]}; made up, as another provider's: {names}"
        return _OK[check]

    def _check_no_look_ahead(self) -> str:
        subject, found = self._subject, self._search
        leaks = list(found.leaks.values())
        lines = [line for leak in leaks[:_SHOWN_LEAKS] for line in describe(subject, leak)]
        lines += [describe_shortly(leak) for leak in leaks[_SHOWN_LEAKS:]]
        # NOTE: what changes from run to run may raise now and not then.
        lines += [] if found.unsteady else found.refused
        if isinstance(subject.refusal, LookAheadError) and not lines:
            lines.append(str(subject.refusal))
        if lines:
            raise BrokenPromiseError("\n".join(lines))
        silent = [name for name in subject.columns if not found.compared[name]]
        unjudged = sorted({*found.unsteady, *found.unstable, *silent}, key=subject.columns.index)
        if unjudged:
            names = ", ".join(f"'{name}'" for name in unjudged)
            msg = f"nothing to compare: no value, or not the same from run to run: {names}"
            raise NotRunError(msg)
        return (
            f"{found.cuts} cuts in {len(subject.tables.samples) + 1} series change no earlier row"
        )


_CHECKS: Mapping[str, Callable[[Subject], str]] = {
    "warm_up": check_warm_up,
    "undefined_is_null": check_undefined_is_null,
    "idempotent": check_idempotent,
    "deterministic": check_deterministic,
    "lookback": check_lookback,
    "batching": check_batching,
    "edge_inputs": check_edge_inputs,
    "pickling": check_pickling,
    "thread_safe": check_thread_safe,
}


def check_names(expected_failures: Mapping[str, str] | None) -> dict[str, str]:
    """Return the mapping as a dict; an unknown check is an error.

    Raises:
        ValueError: A name is none of `CHECKS`.
    """
    expected = dict(expected_failures or {})
    _refuse_unknown("expected_failures", expected)
    return expected


def chosen_checks(only: str | Iterable[str] | None) -> tuple[str, ...]:
    """Return the checks that are asked for, all of them for `None`.

    Raises:
        ValueError: A name is none of `CHECKS`, or there is none.
    """
    if only is None:
        return CHECKS
    names = [only] if isinstance(only, str) else list(only)
    _refuse_unknown("only", names)
    if not names:
        msg = message("'only' names no check.", hint=f"one of {', '.join(CHECKS)}.")
        raise ValueError(msg)
    return tuple(name for name in CHECKS if name in names)


def _refuse_unknown(argument: str, names: Iterable[str]) -> None:
    unknown = sorted(set(names) - set(CHECKS))
    if unknown:
        head = f"'{argument}' names {len(unknown)} unknown check(s):"
        msg = message(head, [repr(name) for name in unknown], f"one of {', '.join(CHECKS)}.")
        raise ValueError(msg)


def _known(found: BarContext) -> BarContext:
    """Return the context that the bars name, where they name one."""
    return DEFAULT_CONTEXT if found.symbol is None else found


def _names(provider: Any) -> tuple[Any, list[Any]]:
    try:
        columns = provider.columns
        return provider.name, list(columns) if not isinstance(columns, str) else []
    except ISOLATED:
        return None, []


def _prefix_faults(provider: Any) -> list[str]:
    """Return the columns that do not start with the provider's name."""
    name, columns = _names(provider)
    if not isinstance(name, str):
        return []
    return [
        f"'{column}': does not start with '{name}_'"
        for column in columns
        if isinstance(column, str) and not column.startswith(f"{name}_")
    ]


def _renamed(provider: Any) -> Any:
    """Return the same declaration with columns whose names are right."""
    name, columns = _names(provider)
    new = {column: f"{name}_{position}" for position, column in enumerate(columns)}
    facts = {
        attribute: getattr(provider, attribute)
        for attribute in ("version", "min_bars", "lookback", "requires", "expressions", "enrich")
        if hasattr(provider, attribute)
    }
    rows = facts.get("min_bars")
    if isinstance(rows, Mapping):
        facts["min_bars"] = {new.get(column, column): count for column, count in rows.items()}
    return SimpleNamespace(name=name, columns=tuple(new.values()), **facts)


def check_provider(
    provider: Any,
    *,
    bars: Any = None,
    context: BarContext | None = None,
    expected_failures: Mapping[str, str] | None = None,
    only: str | Iterable[str] | None = None,
    seed: int = 0,
    on_check: Callable[[str], None] | None = None,
) -> ConformanceReport:
    """Try every promise of the contract on a provider.

    Args:
        provider: A provider of either kind, or a class of one.
        bars: Your own bars, any eager kind that `enrich_bars` takes; tried beside the generated
            ones, which then have their columns too.
        context: Symbol and threshold that the provider is told, and, where it names columns,
            the columns that the bars have. By default BTCUSDT at 250, the builder's columns.
        expected_failures: Check to the reason why it is known to fail; one that passes all the
            same is reported as failed.
        only: The checks to run, or one of them; all by default.
        seed: Seed of everything random; a report says the same for the same seed.
        on_check: Is called with the name of each check before it runs.

    Returns:
        A report with one result for each check that was asked for. What the provider raises is in it.

    Raises:
        ValueError: `expected_failures` or `only` names an unknown check.
        BarsError: `bars` break a rule.
        UnsupportedBarsError: `bars` are not a kind of bars.
    """
    checks = chosen_checks(only)
    examination = Examination(
        provider, bars=bars, context=context, expected_failures=expected_failures, seed=seed
    )
    return examination.report(checks, on_check)
