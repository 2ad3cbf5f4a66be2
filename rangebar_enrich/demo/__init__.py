"""The main job on one machine: trades, the Rust bar builder, features, a database, a chart."""

from __future__ import annotations
