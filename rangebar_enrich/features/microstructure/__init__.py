"""Microstructure: what range bars with trade data know, as building blocks and as a pack.

Every function takes expressions and window lengths in bars, gives null until it is defined, and
null, never an infinity, where a divisor is 0.
"""

from __future__ import annotations

from rangebar_enrich.features.microstructure.core import CATALOGUE, Core

__all__ = ["CATALOGUE", "Core"]
