"""How many examples a property is tried on: few in `make test`, all of them in `make test-all`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings


def tried(few: int, many: int) -> settings:
    """Return the settings of a property: `few` examples in the profile `house`, else `many`."""
    return settings(max_examples=few if settings.get_current_profile_name() == "house" else many)


def thinned(params: Iterable[Any], *, keep: int) -> list[Any]:
    """Return parameters of which every `keep`-th runs in `make test`, and all in `make test-all`."""
    return [
        pytest.param(
            *(one if isinstance(one, tuple) else (one,)),
            marks=[pytest.mark.slow] if place % keep else [],
        )
        for place, one in enumerate(params)
    ]
