"""The contract of providers as checks: for authors, for pytest and for the command line."""

from __future__ import annotations

from rangebar_enrich.conformance.examination import CHECKS, check_provider
from rangebar_enrich.conformance.parametrize import parametrize_with_checks
from rangebar_enrich.conformance.report import CheckResult, ConformanceReport

__all__ = [
    "CHECKS",
    "CheckResult",
    "ConformanceReport",
    "check_provider",
    "parametrize_with_checks",
]
