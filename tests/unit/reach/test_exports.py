from __future__ import annotations

import rangebar_enrich.reach


def test_exports_are_listed():
    public = {
        name
        for name in vars(rangebar_enrich.reach)
        if name[0].isupper()
        or callable(getattr(rangebar_enrich.reach, name))
        or isinstance(getattr(rangebar_enrich.reach, name), rangebar_enrich.reach.PluginReach)
    }
    assert public - {"annotations"} == set(rangebar_enrich.reach.__all__)
