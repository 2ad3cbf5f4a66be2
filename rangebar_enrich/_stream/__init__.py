"""One stream: series with their state and watermark, advanced by a table."""

from __future__ import annotations
