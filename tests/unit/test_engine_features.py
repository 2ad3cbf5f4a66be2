from __future__ import annotations

import math

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

import rangebar_enrich as rbe
from rangebar_enrich._bars.containers import ArrowBars


def _values(table, column):
    return table[column].to_pylist()


def test_warm_up_is_one_number_or_one_per_column(bars, native):
    close = bars["close"].to_pylist()
    one = native("one", {"one_a": pl.col("close"), "one_b": pl.col("close")}, min_bars=5)
    each = native(
        "each",
        {"each_a": pl.col("close"), "each_b": pl.col("close")},
        min_bars={"each_a": 0, "each_b": 9},
    )

    table = rbe.enrich_bars(bars, providers=[one, each])

    for column, rows in {"one_a": 5, "one_b": 5, "each_a": 0, "each_b": 9}.items():
        assert _values(table, column) == [None] * rows + close[rows:]


def test_nan_is_null_and_infinity_passes(native):
    bars = pa.table({"close": [1.0, math.nan, math.inf, -math.inf, None, 0.0]})
    provider = native("p", {"p_same": pl.col("close"), "p_inverse": 1 / pl.col("close")})

    table = rbe.enrich_bars(bars, providers=[provider])

    assert _values(table, "p_same") == [1.0, None, math.inf, -math.inf, None, 0.0]
    assert _values(table, "p_inverse") == [1.0, None, 0.0, 0.0, None, math.inf]


@pytest.mark.parametrize(
    "dtype",
    [
        pl.Boolean,
        pl.Int8,
        pl.UInt32,
        pl.Int64,
        pl.UInt64,
        pl.Int128,
        pl.Float32,
        pl.Decimal(20, 2),
    ],
    ids=str,
)
def test_every_number_is_stored_as_float64(dtype, native):
    bars = pa.table({"close": [1.0, 0.0, None]})
    provider = native("p", {"p_a": pl.col("close").cast(dtype)})

    table = rbe.enrich_bars(bars, providers=[provider])

    assert table.schema.field("p_a").type == pa.float64()
    assert _values(table, "p_a") == [1.0, 0.0, None]


def test_columns_stand_in_declared_order_whatever_is_yielded(bars, native):
    made = [pl.col("low").alias("p_b"), pl.col("high").alias("p_a")]
    provider = native("p", lambda _: iter(made), columns=["p_a", "p_b"])

    table = rbe.enrich_bars(bars, providers=[provider])

    assert table.column_names[-2:] == ["p_a", "p_b"]
    assert _values(table, "p_a") == _values(bars, "high")


def test_mapping_needs_no_alias(bars, native):
    provider = native("p", {"p_a": pl.col("high"), "p_b": pl.lit(2)})

    table = rbe.enrich_bars(bars, providers=[provider])

    assert _values(table, "p_a") == _values(bars, "high")
    assert set(_values(table, "p_b")) == {2.0}


def test_row_number_is_a_feature(bars, native):
    provider = native("p", {"p_row": pl.col("close").cum_count()})

    assert _values(rbe.enrich_bars(bars, providers=[provider]), "p_row")[:3] == [1.0, 2.0, 3.0]


def test_enriching_twice_gives_the_same(bars, momentum, half_range, legacy):
    def add(view):
        assert "old_a" not in view.columns
        view["old_a"] = view["Close"].rolling(3).mean()
        return view

    enricher = rbe.Enricher([momentum, legacy("old", ["old_a"], add), half_range])
    once = enricher.run(bars).table

    assert enricher.run(once).table.equals(once, check_metadata=True)
    frame = enricher.run(bars.to_pandas()).to_caller()
    again = enricher.run(frame).to_caller()
    assert again is frame
    assert list(frame.columns) == once.column_names
    assert_frame_equal(pl.from_pandas(frame), pl.DataFrame(once))


def test_own_old_column_is_hidden_replaced_and_at_the_end(bars, momentum, native):
    stale = bars.add_column(0, "momentum_return_20", pa.array(["stale"] * bars.num_rows))
    seen = native("seen", {"seen_a": pl.col("momentum_return_20")})

    table = rbe.enrich_bars(stale, providers=[seen, momentum])

    expected = rbe.enrich_bars(bars, providers=[momentum])
    assert table.column_names == [*bars.column_names, "seen_a", *momentum.columns]
    assert table.select(momentum.columns).equals(expected.select(momentum.columns))
    assert _values(table, "seen_a") == _values(expected, "momentum_return_20")
    assert "momentum_return_20" not in seen.contexts[0].columns


def test_pandas_old_column_is_overwritten_in_place(bars, momentum):
    frame = bars.to_pandas()
    frame.insert(0, "momentum_return_20", 9.0)

    rbe.enrich_bars(frame, providers=[momentum])

    assert list(frame.columns) == ["momentum_return_20", *bars.column_names, "momentum_zscore_20"]
    assert frame["momentum_return_20"].isna().sum() == 20


def test_columns_of_others_are_kept_and_may_be_read(bars, native):
    stored = bars.append_column("other_a", pa.array([2.0] * bars.num_rows))
    provider = native("p", {"p_a": pl.col("other_a") * 2})

    table = rbe.enrich_bars(stored, providers=[provider])

    assert table.column_names == [*bars.column_names, "other_a", "p_a"]
    assert set(_values(table, "p_a")) == {4.0}


def test_only_columns_that_are_read_are_imported(bars, momentum, half_range, monkeypatch):
    asked = []
    original = ArrowBars.to_polars

    def note(self, names):
        asked.append(set(names))
        return original(self, names)

    monkeypatch.setattr(ArrowBars, "to_polars", note)

    rbe.enrich_bars(
        bars.drop_columns(["close_time", "open_time"]), providers=[momentum, half_range]
    )

    assert asked == [
        {"first_trade_id", "last_trade_id"},  # gaps
        {"close", "open", "high", "low", "individual_trade_count"},
    ]


def test_all_native_providers_of_a_run_share_one_collect(bars, momentum, half_range, collected):
    rbe.enrich_bars(bars, providers=[momentum, half_range])

    assert [len(plans) for plans in collected] == [1]


def test_expressions_are_compiled_once_for_each_layout(bars, native):
    provider = native("p", {"p_a": pl.col("close")})
    enricher = rbe.Enricher([provider])

    for _ in range(3):
        enricher.run(bars)
    enricher.run(bars.append_column("extra", bars["close"]))

    assert len(provider.contexts) == 2


def test_context_is_read_only(bars, native):
    provider = native("p", {"p_a": pl.col("close")})
    rbe.enrich_bars(bars, providers=[provider])

    with pytest.raises(TypeError, match=r"does not support item assignment"):
        provider.contexts[0].columns["close"] = pl.Int8


def test_outcomes_name_version_columns_and_status(bars, momentum):
    result = rbe.Enricher([momentum]).run(bars)

    assert result.outcomes == (
        rbe.ProviderOutcome("momentum", "1.2.0", momentum.columns, "ok", None, ()),
    )
    assert result.failed == ()
    assert result.outcomes[0].ok


def test_complete_event_counts_the_run(bars, momentum, native, events):
    broken = native("broken", {"broken_a": pl.col("nowhere")})
    refused = native("refused", {"wrong": pl.col("close")})

    rbe.Enricher([momentum, broken, refused]).run(bars, symbol="XRPETH", threshold_decimal_bps=50)

    complete = events[-1]
    assert complete.event is rbe.HookEvent.PLUGIN_ENRICH_COMPLETE
    assert (complete.symbol, complete.is_failure) == ("XRPETH", False)
    assert dict(complete.details) == {
        "threshold_decimal_bps": 50,
        "provider_count": 3,
        "failed_count": 2,
        "bar_count": bars.num_rows,
    }
    assert {event.trace_id for event in events} == {complete.trace_id}
