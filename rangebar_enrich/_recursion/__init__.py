"""Recursive features that continue: what an expression needs to remember between increments."""

from __future__ import annotations

from rangebar_enrich._recursion.continuation import Continuation, hold, why_not_held
from rangebar_enrich._recursion.state import State

__all__ = ["Continuation", "State", "hold", "why_not_held"]
