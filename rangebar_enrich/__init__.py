"""Polars-native columnar enrichment of range bars."""

from __future__ import annotations
