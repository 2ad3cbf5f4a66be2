"""Polars-native columnar enrichment of range bars."""

from __future__ import annotations

from rangebar_enrich._provider.discovery import discover_providers, reset_provider_cache
from rangebar_enrich._run.result import EnrichmentResult, ProviderOutcome
from rangebar_enrich.engine import Enricher, enrich_bars
from rangebar_enrich.errors import ProviderError, ProviderWarning, RangebarEnrichError
from rangebar_enrich.expression_provider import ExpressionProvider
from rangebar_enrich.hooks import (
    HookEvent,
    HookPayload,
    clear_hooks,
    register_for_failures,
    register_hook,
    unregister_hook,
)
from rangebar_enrich.protocol import BarContext, FeatureProvider, PandasFeatureProvider

__all__ = [
    "BarContext",
    "Enricher",
    "EnrichmentResult",
    "ExpressionProvider",
    "FeatureProvider",
    "HookEvent",
    "HookPayload",
    "PandasFeatureProvider",
    "ProviderError",
    "ProviderOutcome",
    "ProviderWarning",
    "RangebarEnrichError",
    "clear_hooks",
    "discover_providers",
    "enrich_bars",
    "register_for_failures",
    "register_hook",
    "reset_provider_cache",
    "unregister_hook",
]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version

        return version("rangebar-enrich")
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
