"""Feature packs that come with the engine: providers like any other, none of them special."""

from __future__ import annotations

from rangebar_enrich.features import alpha158, microstructure, ta
from rangebar_enrich.features.alpha158 import Alpha158

__all__ = ["Alpha158", "alpha158", "microstructure", "ta"]
