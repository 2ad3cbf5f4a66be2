"""The contract of providers, one test for each promise."""

from __future__ import annotations

from typing import Any

from rangebar_momentum import Momentum

from rangebar_enrich.conformance import parametrize_with_checks


@parametrize_with_checks([Momentum()])
def test_contract(provider: Momentum, check: Any) -> None:
    """The provider keeps every promise."""
    check(provider)
