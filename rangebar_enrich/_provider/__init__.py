"""A provider as it stands: declared, discovered, and, of the older kind, shown a pandas view."""

from __future__ import annotations
