"""How many examples a property is tried on: few in `make test`, all of them in `make test-all`."""

from __future__ import annotations

from hypothesis import settings


def tried(few: int, many: int) -> settings:
    """Return the settings of a property: `few` examples in the profile `house`, else `many`."""
    return settings(max_examples=few if settings.get_current_profile_name() == "house" else many)
