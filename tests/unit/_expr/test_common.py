from __future__ import annotations

import polars as pl
import pytest

from rangebar_enrich._expr import tree
from rangebar_enrich._expr.common import share

close = pl.col("close")


def _twice(values):
    """Return a recursion that reads its input in two places, one of them below a costly operator."""
    return (values + values.cum_sum()).ewm_mean(alpha=0.5, adjust=False)


def _operators(sharing):
    """Return every operator that a plan computes."""
    exprs = [part.expr for stage in sharing.stages for part in stage]
    exprs += sharing.exprs.values()
    return [tree.operator(part) for expr in exprs for part in tree.walk(tree.decode(expr))]


@pytest.mark.parametrize("levels", [1, 2, 4], ids="levels={}".format)
def test_nested_parts_are_computed_once(levels):
    nested = close
    for _ in range(levels):
        nested = _twice(nested)

    computed = _operators(share({"a": nested / nested.shift(1), "b": nested - 1.0}))

    assert computed.count("Function.EwmMean") == levels
    assert computed.count("Function.CumSum") == levels


def test_part_of_one_shared_part_alone_is_no_stage():
    spread = (close.cum_sum() - 1.0).rolling_std(5)

    sharing = share({"a": close / spread, "b": close * spread})

    assert [len(stage) for stage in sharing.stages] == [1]
    assert _operators(sharing).count("Function.CumSum") == 1


def test_shared_parts_give_the_same_values():
    bars = pl.DataFrame({"close": [1.0, 4.0, 2.0, 8.0, 5.0, 7.0]})
    exprs = {"a": _twice(_twice(close)) / _twice(_twice(close)).shift(1), "b": _twice(close)}
    sharing = share(exprs)

    lf = bars.lazy()
    for stage in sharing.stages:
        lf = lf.with_columns(part.expr for part in stage)

    assert lf.select(**sharing.exprs).collect().equals(bars.select(**exprs))
