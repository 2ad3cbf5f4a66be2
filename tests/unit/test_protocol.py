from __future__ import annotations

import pickle

import polars as pl
import pytest

import rangebar_enrich as rbe


def test_context_cannot_be_changed_by_a_provider():
    given = {"close": pl.Float64()}
    context = rbe.BarContext("XRPETH", 50, given)
    given["close"] = pl.Int8()

    assert context.columns["close"] == pl.Float64
    with pytest.raises(TypeError, match=r"does not support item assignment"):
        context.columns["close"] = pl.Int8()
    with pytest.raises(AttributeError, match=r"cannot assign to field 'symbol'"):
        context.symbol = "other"


@pytest.mark.parametrize(
    ("provider", "is_native", "is_legacy"),
    [("momentum", True, False), ("old", False, True), (object(), False, False)],
)
def test_protocols_answer_isinstance(provider, is_native, is_legacy, momentum, legacy):
    made = {"momentum": momentum, "old": legacy("old", ["old_a"], abs)}.get(provider, provider)

    assert isinstance(made, rbe.FeatureProvider) is is_native
    assert isinstance(made, rbe.PandasFeatureProvider) is is_legacy


def test_context_pickles():
    context = rbe.BarContext("XRPETH", 50, {"close": pl.Float64(), "t": pl.Datetime("us", "UTC")})

    copy = pickle.loads(pickle.dumps(context))  # noqa: S301 - our own bytes

    assert copy == context


def test_context_is_empty_where_nothing_is_known():
    assert (rbe.BarContext().symbol, rbe.BarContext().threshold_decimal_bps) == (None, None)
    assert dict(rbe.BarContext().columns) == {}
