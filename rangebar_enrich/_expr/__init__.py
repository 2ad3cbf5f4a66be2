"""The operator tree of an expression: read, shown, and its common parts."""

from __future__ import annotations
