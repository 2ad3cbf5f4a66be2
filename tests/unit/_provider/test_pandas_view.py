from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import rangebar_enrich as rbe

pd = pytest.importorskip("pandas")

SPELLINGS = ["open", "high", "low", "close", "volume", "Open", "High", "Low", "Close", "Volume"]


class DocumentedExample:
    """The example provider that the older loader's documentation shows."""

    name = "example"
    version = "0.1.0"
    columns = ("example_fast", "example_slow")
    min_bars = 12

    def enrich(self, bars, symbol, threshold_decimal_bps):
        close = bars["Close"].values
        bars["example_fast"] = pd.Series(close, index=bars.index).rolling(4).mean()
        bars["example_slow"] = np.convolve(close, np.ones(8) / 8)[: len(close)]
        bars.loc[bars.index[: self.min_bars], self.columns] = float("nan")
        return bars


def _add(view):
    view["old_a"] = view["Close"].to_numpy() * 2
    return view


def _run(legacy, enrich_with, bars, **options):
    provider = legacy("old", ["old_a"], enrich_with, **options)
    return rbe.Enricher([provider]).run(bars, symbol="XRPETH", threshold_decimal_bps=50)


def _look(legacy, bars):
    seen = []

    def look(view):
        seen.append(view.copy())
        return _add(view)

    _run(legacy, look, bars)
    return seen[0]


def test_documented_example_runs_unchanged(bars):
    table = rbe.enrich_bars(bars, "XRPETH", 50, providers=[DocumentedExample()])

    close = pl.DataFrame(bars)["close"]
    fast = table["example_fast"].to_pylist()
    assert fast[:12] == [None] * 12
    assert fast[12:] == pytest.approx(close.rolling_mean(4)[12:].to_list(), rel=1e-12)
    assert table["example_slow"].null_count == 12
    assert table.select(bars.column_names).equals(bars)


def test_documented_example_equals_the_older_loader(bars):
    frame = bars.to_pandas()
    frame["Close"] = frame["close"]
    by_hand = DocumentedExample().enrich(frame, "", 0)

    table = rbe.enrich_bars(bars, providers=[DocumentedExample()])

    for column in DocumentedExample.columns:
        np.testing.assert_array_equal(table[column].to_numpy(), by_hand[column].to_numpy())


@pytest.mark.parametrize("shout", [False, True], ids=["lower", "capitalised"])
def test_view_holds_both_spellings(shout, bars, legacy):
    if shout:
        bars = bars.rename_columns(
            [name.capitalize() if name in SPELLINGS else name for name in bars.column_names]
        )

    view = _look(legacy, bars)

    assert set(SPELLINGS) <= set(view.columns)
    for name in SPELLINGS[:5]:
        assert view[name].equals(view[name.capitalize()].rename(name))


@pytest.mark.parametrize(
    ("times", "first"),
    [
        ({"close_time": pa.array([1_700_000_000_000_001] * 2)}, "2023-11-14T22:13:20.000001"),
        ({"close_time_ms": pa.array([1_700_000_000_001] * 2)}, "2023-11-14T22:13:20.001"),
        ({"timestamp": pa.array([10**9] * 2, pa.timestamp("s"))}, "2001-09-09T01:46:40"),
        (
            {"timestamp": pa.array([10**18 + 7] * 2, pa.timestamp("ns", "Asia/Tokyo"))},
            "2001-09-09T01:46:40.000000007",
        ),
    ],
    ids=["us", "ms", "naive", "tokyo"],
)
def test_view_is_indexed_by_close_time_in_utc(times, first, legacy):
    view = _look(legacy, pa.table({"close": [1.0, 2.0], **times}))

    assert isinstance(view.index, pd.DatetimeIndex)
    assert str(view.index.tz) == "UTC"
    assert view.index[0] == pd.Timestamp(first, tz="UTC")


def test_view_without_time_has_a_range_index(legacy):
    view = _look(legacy, pa.table({"close": [1.0, 2.0]}))

    assert isinstance(view.index, pd.RangeIndex)


def test_view_keeps_types_of_other_columns(bars, legacy):
    view = _look(legacy, bars)

    assert view["individual_trade_count"].dtype == np.uint32
    assert view["duration_us"].dtype == np.int64
    assert set(view["data_source"]) == {"BinanceFuturesUM"}
    assert list(view["data_source"].str.len().unique()) == [16]


def test_view_hides_own_old_columns(bars, legacy):
    once = _run(legacy, _add, bars).table

    assert "old_a" not in _look(legacy, once).columns


def _change(view):
    view["close"] = view["close"] + 1.0
    return _add(view)


def _write_one(view):
    view.loc[view.index[3], "volume"] = 0.0
    return _add(view)


def _write_iloc(view):
    view.iloc[0, view.columns.get_loc("High")] = 1e9
    return _add(view)


def _delete(view):
    del view["vwap"]
    return _add(view)


def _rename(view):
    view = view.rename(columns={"vwap": "old_a"})
    return _add(view)


def _sort(view):
    return _add(view).sort_values("old_a")


def _sort_and_relabel(view):
    index = view.index
    view = _add(view).sort_values("old_a")
    view.index = index
    return view


def _drop(view):
    return _add(view).iloc[5:]


def _add_row(view):
    return pd.concat([_add(view), view.iloc[[-1]]])


def _reset_index(view):
    return _add(view).reset_index(drop=True)


def _undeclared(view):
    view["old_b"] = 1.0
    return _add(view)


def _scratch(view):
    view["tmp"] = 1.0
    return _add(view)


def _missing(view):
    return view


def _text(view):
    view["old_a"] = "high"
    return view


def _dates(view):
    view["old_a"] = pd.Timestamp("2024-01-01")
    return view


def _objects(view):
    view["old_a"] = pd.Series([{"a": 1}] * len(view), index=view.index, dtype=object)
    return view


def _complex(view):
    view["old_a"] = view["close"] * 1j
    return view


def _cast_existing(view):
    view["individual_trade_count"] = view["individual_trade_count"].astype("float64")
    return _add(view)


def _double(view):
    return pd.concat([_add(view), view[["close"]]], axis=1)


BROKEN = {
    "changed": (_change, r"'close': changed"),
    "one value written": (_write_one, r"'volume': changed"),
    "written by position": (_write_iloc, r"'High': changed"),
    "deleted": (_delete, r"'vwap': deleted"),
    "renamed": (_rename, r"'vwap': deleted"),
    "reordered": (_sort, r"index: changed; rows were reordered or relabelled"),
    "reordered unseen": (_sort_and_relabel, r"'Close': changed"),
    "rows dropped": (_drop, r"rows: got 115, expected 120"),
    "rows added": (_add_row, r"rows: got 121, expected 120"),
    "index reset": (_reset_index, r"index: changed"),
    "undeclared": (_undeclared, r"'old_b': added, but not declared"),
    "scratch left": (_scratch, r"'tmp': added, but not declared"),
    "missing": (_missing, r"'old_a': declared, but not added"),
    "text": (_text, r"'old_a': has dtype \w+, expected a number or boolean"),
    "dates": (_dates, r"'old_a': has dtype datetime64\[\w+\], expected a number"),
    "objects": (_objects, r"'old_a': has dtype object, expected a number"),
    "complex": (_complex, r"'old_a': has dtype complex128, expected a number"),
    "retyped": (_cast_existing, r"'individual_trade_count': changed"),
    "doubled": (_double, r"'close': occurs 2 times"),
    "returns None": (lambda view: None, r"returned NoneType, expected the DataFrame"),
    "returns an array": (lambda view: view.to_numpy(), r"returned ndarray, expected the DataFrame"),
    "returns a column": (lambda view: _add(view)["old_a"], r"returned Series, expected the"),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize(
    "wrap", [lambda b: b, pl.DataFrame, pa.Table.to_pandas], ids=["arrow", "polars", "pandas"]
)
def test_breach_is_refused_with_the_callers_data_untouched(case, wrap, bars, legacy, momentum):
    breach, text = BROKEN[case]
    given, twin = wrap(bars), wrap(bars)

    result = rbe.Enricher([legacy("old", ["old_a"], breach), momentum]).run(given)

    outcome = result.outcomes[0]
    assert (outcome.status, outcome.columns) == ("failed", ("old_a",))
    assert re.search(text, outcome.error), outcome.error
    assert result.outcomes[1].status == "ok"
    assert result.table["old_a"].null_count == bars.num_rows
    if isinstance(given, pd.DataFrame):
        pd.testing.assert_frame_equal(given, twin)
    else:
        assert given.equals(twin)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad"),
        KeyError("Close2"),
        ZeroDivisionError("x"),
        pl.exceptions.PanicException("p"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_exception_is_local(error, bars, legacy, momentum):
    def explode(_):
        raise error

    result = rbe.Enricher([legacy("old", ["old_a"], explode), momentum]).run(bars)

    assert [one.status for one in result.outcomes] == ["failed", "ok"]
    assert f"enrich() raised {type(error).__name__}" in result.outcomes[0].error


def test_another_object_that_obeys_is_taken_with_a_warning(bars, legacy, caplog):
    result = _run(legacy, lambda view: view.assign(old_a=view["Close"] * 2), bars)

    assert result.outcomes[0].ok
    assert result.table["old_a"].to_pylist() == [x * 2 for x in bars["close"].to_pylist()]
    warnings = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    expected = (
        "provider 'old' 2.0.0 returned another DataFrame instead of the one it was given;"
        " its columns are used"
    )
    assert warnings == [expected]


def test_nothing_returned_is_taken_where_the_view_obeys(bars, legacy, caplog):
    result = _run(legacy, lambda view: _add(view) is None or None, bars)

    assert result.outcomes[0].ok
    assert "returned nothing instead of the one it was given" in caplog.text


def test_obedient_provider_logs_nothing(bars, legacy, caplog):
    assert _run(legacy, _add, bars).outcomes[0].ok
    assert caplog.records == []


def test_warm_up_is_written_by_the_engine(bars, legacy):
    table = _run(legacy, _add, bars, min_bars=9).table

    assert table["old_a"].to_pylist()[8:10] == [None, bars["close"][9].as_py() * 2]


def test_nan_infinity_booleans_and_integers_are_read(bars, legacy):
    values = [np.nan, np.inf, -np.inf, 0.0]

    def add(view):
        view["old_a"] = values * (len(view) // 4)
        view["old_b"] = view["Close"] > view["Open"]
        view["old_c"] = np.arange(len(view), dtype="int64")
        view["old_d"] = pd.array([1, None, 3, 4] * (len(view) // 4), dtype="Int64")
        view["old_e"] = pd.array([True, None] * (len(view) // 2), dtype="boolean")
        return view

    provider = legacy("old", [f"old_{letter}" for letter in "abcde"], add)
    table = rbe.enrich_bars(bars, "X", 5, providers=[provider])

    assert table["old_a"].to_pylist()[:4] == [None, np.inf, -np.inf, 0.0]
    assert set(table["old_b"].to_pylist()) == {0.0, 1.0}
    assert table["old_c"].to_pylist()[-1] == bars.num_rows - 1
    assert table["old_d"].to_pylist()[:4] == [1.0, None, 3.0, 4.0]
    assert table["old_e"].to_pylist()[:2] == [1.0, None]
    assert {table.schema.field(f"old_{letter}").type for letter in "abcde"} == {pa.float64()}


def test_alias_of_a_bar_column_is_a_column_of_its_own(bars, legacy):
    def add(view):
        view["old_a"] = view["Close"]
        return view

    table = _run(legacy, add, bars, min_bars=3).table

    assert table["old_a"].to_pylist()[3:] == bars["close"].to_pylist()[3:]
    assert table["close"].null_count == 0


def test_view_is_read_only_and_shares_the_callers_memory(bars, legacy):
    addresses = []

    def look(view):
        values = view["Close"].to_numpy()
        addresses.append(values.__array_interface__["data"][0])
        assert not values.flags.writeable
        return _add(view)

    assert _run(legacy, look, bars).outcomes[0].ok
    assert addresses == [bars["close"].chunk(0).buffers()[1].address]


def test_writer_that_puts_back_what_it_changed_is_accepted(bars, legacy):
    calls = []

    def add(view):
        calls.append(1)
        before = view.iloc[0, view.columns.get_loc("volume")]
        view.iloc[0, view.columns.get_loc("volume")] = -1.0
        view.iloc[0, view.columns.get_loc("volume")] = before
        return _add(view)

    result = _run(legacy, add, bars)

    assert result.outcomes[0].ok
    assert len(calls) <= 2


def test_column_kept_by_the_provider_cannot_change_the_result(bars, legacy):
    kept = []

    def add(view):
        view["old_a"] = np.ones(len(view))
        kept.append(view)
        return view

    table = _run(legacy, add, bars).table
    kept[0]["old_a"] = 5.0
    kept[0].loc[:, "old_a"] = 6.0

    assert set(table["old_a"].to_pylist()) == {1.0}


def test_laguerre_is_masked_where_it_emits_too_early(bars):
    plugin = pytest.importorskip("atr_adaptive_laguerre.rangebar_plugin")
    provider = plugin.LaguerreFeatureProvider()
    frame = bars.to_pandas()
    raw = provider.enrich(frame, "", 0)[list(provider.columns)]

    table = rbe.enrich_bars(bars, "XRPETH", 50, providers=[provider])

    assert provider.min_bars == 30
    assert raw.iloc[:30].notna().any(axis=None)
    for column in provider.columns:
        actual = table[column].to_numpy()
        assert np.isnan(actual[:30]).all()
        np.testing.assert_array_equal(actual[30:], raw[column].to_numpy(dtype="float64")[30:])


@pytest.mark.parametrize("wrap", [lambda b: b, pa.Table.to_pandas], ids=["arrow", "pandas"])
def test_laguerre_recomputes_although_its_columns_exist(wrap, bars):
    plugin = pytest.importorskip("atr_adaptive_laguerre.rangebar_plugin")
    provider = plugin.LaguerreFeatureProvider()
    expected = rbe.enrich_bars(bars, providers=[provider])
    stale = bars
    for column in provider.columns:
        stale = stale.append_column(column, pa.array([9.0] * bars.num_rows))

    actual = rbe.enrich_bars(wrap(stale), providers=[provider])

    for column in provider.columns:
        np.testing.assert_array_equal(actual[column].to_numpy(), expected[column].to_numpy())


def test_laguerre_with_too_few_bars_is_null(make_bars):
    plugin = pytest.importorskip("atr_adaptive_laguerre.rangebar_plugin")
    provider = plugin.LaguerreFeatureProvider()

    result = rbe.Enricher([provider]).run(make_bars(29))

    assert result.outcomes[0].ok
    assert all(result.table[column].null_count == 29 for column in provider.columns)


OTHER_COLUMNS = {
    "all null": pl.Series([None] * 4),
    "time": pl.Series([dt.time(1), None] * 2),
    "date": pl.Series([dt.date(2024, 1, 1), None] * 2),
    "duration": pl.Series([dt.timedelta(1), None] * 2),
    "decimal": pl.Series([Decimal("1.5"), None] * 2),
    "binary": pl.Series([b"x", None] * 2),
    "list": pl.Series([[1, 2], None] * 2),
    "array": pl.Series([[1.0, 2.0], None] * 2, dtype=pl.Array(pl.Float64, 2)),
    "struct": pl.Series([{"a": 1}, None] * 2),
    "categorical": pl.Series(["a", None] * 2, dtype=pl.Categorical),
    "enum": pl.Series(["a", None] * 2, dtype=pl.Enum(["a"])),
    "text": pl.Series(["a", None] * 2),
    "boolean": pl.Series([True, None] * 2),
    "integer": pl.Series([1, None] * 2),
    "wide integer": pl.Series([2**100, None] * 2, dtype=pl.Int128),
    "object": pl.Series([{1}, None] * 2, dtype=pl.Object),
}


@pytest.mark.parametrize("kind", OTHER_COLUMNS)
def test_columns_of_any_type_are_shown_and_hurt_nobody(kind, legacy):
    column = OTHER_COLUMNS[kind]
    frame = pl.DataFrame({"close": [1.0, 2.0, 3.0, 4.0], "more": column})
    seen = []

    def look(view):
        seen.append(view["more"].isna().tolist())
        view.loc[view.index[0], "close"] = view["close"].iloc[0]  # needs a writable view
        return _add(view)

    result = _run(legacy, look, frame)

    assert result.outcomes[0].error is None
    assert seen[-1] == column.is_null().to_list()
    assert result.to_caller()["more"].to_list() == column.to_list()


@pytest.mark.parametrize("kind", [name for name in OTHER_COLUMNS if name != "all null"])
def test_change_in_a_column_of_any_type_is_found(kind, legacy):
    frame = pl.DataFrame({"close": [1.0, 2.0, 3.0, 4.0], "more": OTHER_COLUMNS[kind]})

    def swap(view):
        view["more"] = view["more"].array.take([1, 0, 3, 2])
        return _add(view)

    outcome = _run(legacy, swap, frame).outcomes[0]

    assert "'more': changed" in outcome.error


def test_wide_bars_do_not_make_pandas_warn_the_provider():
    class Plain:
        name, version, columns, min_bars = "plain", "1", ("plain_a", "plain_b"), 0

        def enrich(self, bars, symbol, threshold_decimal_bps):
            bars["plain_a"] = bars["close"] * 2
            bars["plain_b"] = bars["Close"] * 3
            return bars

    wide = pa.table({"close": [1.0, 2.0], **{f"extra_{i}": [0.5, 1.5] for i in range(130)}})
    result = rbe.Enricher([Plain()]).run(wide, symbol="X", threshold_decimal_bps=1)
    assert [one.status for one in result.outcomes] == ["ok"]
    assert result.table["plain_b"].to_pylist() == [3.0, 6.0]
