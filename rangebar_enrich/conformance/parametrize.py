"""One pytest test for each provider and check."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rangebar_enrich.conformance.examination import CHECKS, Examination, check_names
from rangebar_enrich.protocol import BarContext


@dataclass(frozen=True, slots=True)
class BoundCheck:
    """One check of one provider, ready to be called; the provider's tests share their runs.

    Attributes:
        name: The check, one of `CHECKS`.
        examination: The provider's examination.
    """

    name: str
    examination: Examination

    def __call__(self, _provider: Any = None, /) -> None:
        """Run the check.

        Raises:
            AssertionError: The promise is broken, or the check could not be run.
        """
        __tracebackhide__ = True
        result = self.examination.result(self.name)
        if result.status != "passed":
            msg = f"{self.examination.name}: {result.check}: {result.detail}"
            raise AssertionError(msg)


def parametrize_with_checks(
    providers: Iterable[Any],
    *,
    bars: Any = None,
    context: BarContext | None = None,
    expected_failures: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Callable[[Callable[..., Any]], Any]:
    """Decorate a test so that it runs once for each provider and check.

    The test takes `provider` and `check`, or `check` alone, and calls it:

        @parametrize_with_checks([Momentum(), Volatility()])
        def test_contract(provider, check):
            check(provider)

    Args:
        providers: Providers of either kind, or classes of them.
        bars: Your own bars, tried beside the generated ones.
        context: What the providers are told, as for `check_provider`.
        expected_failures: Check to the reason why it is known to fail, for all of `providers`;
            a test of one that passes fails, whatever pytest's `xfail_strict` says.
        seed: Seed of everything random.

    Returns:
        A decorator; ids are `<provider>-<check>`.

    Raises:
        ValueError: `expected_failures` names an unknown check.
    """
    import pytest

    expected = check_names(expected_failures)
    params = []
    for provider in providers:
        examination = Examination(provider, bars=bars, context=context, seed=seed)
        for check in CHECKS:
            reason = expected.get(check)
            marks = [] if reason is None else [pytest.mark.xfail(reason=reason, strict=True)]
            name = f"{examination.name}-{check}"
            params.append((provider, BoundCheck(check, examination), name, marks))

    def decorate(test: Callable[..., Any]) -> Any:
        with_provider = "provider" in inspect.signature(test).parameters
        values = [
            pytest.param(*((provider, check) if with_provider else (check,)), id=name, marks=marks)
            for provider, check, name, marks in params
        ]
        return pytest.mark.parametrize("provider,check" if with_provider else "check", values)(test)

    return decorate
