"""How far an expression looks back and ahead, and the proof of it."""

from __future__ import annotations

from rangebar_enrich._trial.witness import Witness
from rangebar_enrich.reach.plugins import (
    PluginReach,
    declare_plugin,
    elementwise,
    finite,
    forget_plugins,
    recursive,
    whole,
)
from rangebar_enrich.reach.prove import columns_read, keeps_rows, reach_of, reaches_of
from rangebar_enrich.reach.result import Reach

__all__ = [
    "PluginReach",
    "Reach",
    "Witness",
    "columns_read",
    "declare_plugin",
    "elementwise",
    "finite",
    "forget_plugins",
    "keeps_rows",
    "reach_of",
    "reaches_of",
    "recursive",
    "whole",
]
