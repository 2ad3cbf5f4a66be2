"""Providers' expressions as one lazy plan."""

from __future__ import annotations
