"""Technical analysis: indicators as building blocks, and the pack `ta` of them.

Every function takes expressions and window lengths in bars, gives null until it is defined, and
null, never an infinity, where a divisor is 0.
"""

from __future__ import annotations

from rangebar_enrich.features.ta.core import CATALOGUE, Core

__all__ = ["CATALOGUE", "Core"]
