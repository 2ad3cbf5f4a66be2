from __future__ import annotations

import pytest

from rangebar_enrich.conformance import check_provider
from rangebar_enrich.features import microstructure, ta


@pytest.mark.slow
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("pack", [ta.Core, microstructure.Core], ids=lambda pack: pack.name)
def test_pack_keeps_every_promise(pack):
    report = check_provider(pack())

    assert report.passed, str(report)
