"""One run: bars in, plans run in one collect, failures kept apart, columns out."""

from __future__ import annotations
