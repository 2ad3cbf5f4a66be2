"""How an enricher was made: all that a run or a stream needs to know beside the bars."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rangebar_enrich._plan.planner import Planner
from rangebar_enrich._provider.declaration import (
    Declaration,
    Rejection,
    cause,
    declare_all,
    provider_list,
)
from rangebar_enrich._provider.discovery import discover

logger = logging.getLogger(__name__)

Engine = Literal["in-memory", "streaming"]
Windows = Literal["relative", "polars"]
OnError = Literal["null", "raise"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How an enricher was made; the same for all its runs and streams.

    Attributes:
        planner: Compiles the providers that run.
        rejections: Providers that were left out, and why.
        raises: Whether a failure raises.
        engine: Engine of Polars that runs the plans.
        why_engine: Why that one.
        suspects: Providers that failed at run time before: they run apart. Runs add to it.
    """

    planner: Planner
    rejections: Sequence[Rejection] = ()
    raises: bool = False
    engine: Engine = "in-memory"
    why_engine: str = "asked for"
    suspects: set[str] = field(default_factory=set)

    @property
    def declarations(self) -> tuple[Declaration, ...]:
        """The providers that run, in output order."""
        return self.planner.declarations


def settings_of(
    providers: Iterable[Any] | None,
    *,
    on_error: OnError,
    engine: Literal["auto"] | Engine,
    windows: Windows,
) -> Settings:
    """Check providers, find those that are not given, and keep what was asked for.

    Args:
        providers: Providers of either kind; `None`: those found by entry point.
        on_error: Whether a failure gives nulls or raises.
        engine: Engine of Polars.
        windows: Whether values of windows depend on these alone, or are Polars' own.

    Raises:
        ProviderError: A failure raises, and a provider breaks its declaration.
    """
    if on_error not in {"null", "raise"}:
        msg = f"'on_error' is {on_error!r}; expected 'null' or 'raise'."
        raise ValueError(msg)
    if windows not in {"relative", "polars"}:
        msg = f"'windows' is {windows!r}; expected 'relative' or 'polars'."
        raise ValueError(msg)
    discovery = discover() if providers is None else None
    given = discovery.providers if discovery else provider_list(providers)
    declarations, rejections = declare_all(given)
    for rejection in rejections:
        logger.error("provider left out: %s", cause(rejection.error))
    if discovery:
        rejections.extend(discovery.rejected)
    raises = on_error == "raise"
    if raises and rejections:
        raise rejections[0].error
    return Settings(
        Planner(declarations, relative=windows == "relative"),
        tuple(rejections),
        raises,
        *_chosen_engine(engine),
    )


def _chosen_engine(engine: Literal["auto"] | Engine) -> tuple[Engine, str]:
    """Return the engine of Polars to run eager bars on, and why.

    Raises:
        ValueError: It is none of those.
    """
    if engine == "auto":
        # NOTE: measured at 100 to 5M bars: streaming took longer at every size, falls back for
        # Python functions, and sums in another order, so that results differ in the last bits.
        return "in-memory", "chosen: faster at every size measured, and the same bits in any chunks"
    if engine not in {"in-memory", "streaming"}:
        msg = f"'engine' is {engine!r}; expected 'auto', 'in-memory' or 'streaming'."
        raise ValueError(msg)
    return engine, "asked for"
