from __future__ import annotations

import enum
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import rangebar_enrich as rbe
from rangebar_enrich._bars.containers import read_bars
from rangebar_enrich._bars.files import FORMATS
from rangebar_enrich.cli.bar_files import read_bars as read_file
from rangebar_enrich.cli.bar_writer import write_bars
from rangebar_enrich.errors import BarColumnError, BarOrderError

ROWS = 4
TIMES = [1_704_067_200_000_000 + 1_000_000 * row for row in range(ROWS)]
CLOSE = [1.0, 2.0, 100.0, 404.0]
SYMBOLS = ["A", "A", "B", "B"]
APART = [None, 1.0, None, 3.04]  # returns within each symbol
Side = enum.Enum("Side", {"A": "A", "B": "B"})


@pytest.fixture
def change(native):
    return native("change", {"change_a": pl.col("close") / pl.col("close").shift(1) - 1})


@pytest.fixture
def enricher(change):
    return rbe.Enricher([change])


def _frame(index=None, **more):
    return pd.DataFrame({"close_time": TIMES, "close": CLOSE, **more}, index=index)


def _index(*levels, names):
    return pd.MultiIndex.from_arrays(levels, names=names)


def _stamps():
    return pd.to_datetime(TIMES, unit="us", utc=True)


SYMBOL_INDEXES = {
    "symbol": lambda: _frame(pd.Index(SYMBOLS, name="symbol")),
    "timestamp and symbol": lambda: pd.DataFrame(
        {"close": CLOSE}, index=_index(_stamps(), SYMBOLS, names=["timestamp", "symbol"])
    ),
    "date and symbol": lambda: pd.DataFrame(
        {"close": CLOSE}, index=_index(_stamps(), SYMBOLS, names=["date", "symbol"])
    ),
    "all keys": lambda: pd.DataFrame(
        {"close": CLOSE},
        index=_index(
            SYMBOLS, [250] * ROWS, TIMES, names=["symbol", "threshold_decimal_bps", "close_time"]
        ),
    ),
}


@pytest.mark.parametrize("kind", SYMBOL_INDEXES)
def test_named_index_levels_are_columns(kind, enricher):
    frame = SYMBOL_INDEXES[kind]()
    index = frame.index

    result = enricher.run(frame)

    assert result.table["change_a"].to_pylist() == APART
    assert result.table["symbol"].to_pylist() == SYMBOLS
    back = result.to_caller()
    assert back is frame
    assert back.index is index
    assert list(back.columns)[-1] == "change_a"


@pytest.mark.parametrize(
    "index",
    [
        pd.Index([time // 1000 for time in TIMES][::-1], name="close_time_ms"),
        _index(_stamps()[::-1], ["A"] * ROWS, names=["timestamp", "symbol"]),
    ],
    ids=["integers", "levels"],
)
def test_reversed_indexes_are_out_of_order(index, enricher):
    with pytest.raises(BarOrderError, match=r"^Bars are out of time order: 3 row\(s\)"):
        enricher.run(pd.DataFrame({"close": CLOSE}, index=index))


def test_columns_come_before_index_levels_of_their_name(enricher):
    frame = _frame(pd.Index(["Z"] * ROWS, name="symbol"), symbol=SYMBOLS)
    assert enricher.run(frame).table["symbol"].to_pylist() == SYMBOLS


def test_index_levels_that_tell_rows_apart_are_known_or_refused(enricher):
    frame = pd.DataFrame(
        {"close": CLOSE}, index=_index(_stamps(), SYMBOLS, names=["timestamp", "asset"])
    )
    with pytest.raises(BarColumnError, match=r"^1 index level\(s\) tell rows apart") as caught:
        enricher.run(frame)
    assert "- 'asset': level 1 of the index\nHint: name the level 'symbol'" in str(caught.value)
    harmless = frame.droplevel("asset").set_index(pd.RangeIndex(ROWS, name="bar"), append=True)
    assert enricher.run(harmless).outcomes[0].ok


ENCODED_SYMBOLS = {
    "run-end": pc.run_end_encode,
    "dictionary": lambda text: text.dictionary_encode(),
    "view": lambda text: text.cast(pa.string_view()),
    "large": lambda text: text.cast(pa.large_string()),
}


@pytest.mark.parametrize("kind", ENCODED_SYMBOLS)
def test_encoded_series_keys_are_decoded(kind, enricher):
    encoded = ENCODED_SYMBOLS[kind](pa.array(SYMBOLS))
    bars = pa.table({"close_time": TIMES, "close": CLOSE, "symbol": encoded})

    result = enricher.run(bars).table

    assert result["change_a"].to_pylist() == APART
    assert result.schema.field("symbol").type == encoded.type


def test_encoded_times_and_prices_are_decoded(enricher):
    bars = pa.table(
        {
            "close_time": pc.run_end_encode(pa.array(TIMES)),
            "close": pa.array([Decimal(str(value)) for value in CLOSE], pa.decimal256(50, 3)),
        }
    )
    assert enricher.run(bars).table["change_a"].to_pylist() == pytest.approx(
        [None, 1.0, 49.0, 3.04]
    )
    backwards = bars.set_column(0, "close_time", pc.run_end_encode(pa.array(TIMES[::-1])))
    with pytest.raises(BarOrderError, match=r"out of time order"):
        enricher.run(backwards)


@pytest.mark.parametrize("symbol", [Side, enum.StrEnum("Text", {"A": "A", "B": "B"})], ids=str)
def test_enum_members_are_their_values(symbol, enricher):
    frame = _frame(symbol=[symbol[name] for name in SYMBOLS])
    assert enricher.run(frame).table["change_a"].to_pylist() == APART


def _union():
    return pa.UnionArray.from_sparse(pa.array([0] * ROWS, pa.int8()), [pa.array(SYMBOLS)])


UNREADABLE_KEYS = {
    "union": (lambda: pa.table({"close": CLOSE, "symbol": _union()}), "'symbol': got sparse_union"),
    "mixed": (lambda: _frame(symbol=["A", "A", 1, None]), r"'symbol': got objects \(int, str\)"),
    "object": (
        lambda: pl.DataFrame({"close": CLOSE, "symbol": pl.Series([{}] * ROWS, dtype=pl.Object)}),
        "'symbol': got Object, expected text",
    ),
    "threshold": (
        lambda: _frame(threshold_decimal_bps=[object()] * ROWS),
        r"'threshold_decimal_bps': got objects \(object\), expected whole numbers",
    ),
    "time": (
        lambda: pd.DataFrame({"close": CLOSE, "close_time": np.array(TIMES, dtype=complex)}),
        "'close_time': got complex128, expected int64 or a datetime",
    ),
    "price": (lambda: pd.DataFrame({"Close": np.array(CLOSE, dtype=complex)}), "'close': got comp"),
}


@pytest.mark.parametrize("kind", UNREADABLE_KEYS)
def test_what_bars_need_and_cannot_be_read_is_refused(kind, enricher):
    make, told = UNREADABLE_KEYS[kind]
    with pytest.raises(BarColumnError, match=rf"^1 bar column\(s\) cannot be read:\n- {told}"):
        enricher.run(make())


def test_lazy_objects_are_refused_where_bars_need_them(change):
    frame = UNREADABLE_KEYS["object"][0]()
    with pytest.raises(BarColumnError, match=r"'symbol': got Object"):
        rbe.enrich_bars(frame.lazy(), providers=[change])


EXOTIC = {
    "decimal256(30)": pa.array([1] * ROWS).cast(pa.decimal256(30, 2)),
    "decimal256(45)": pa.array([1] * ROWS).cast(pa.decimal256(45, 2)),
    "union": _union(),
    "list view": pa.array([[1]] * ROWS, pa.list_view(pa.int64())),
    "interval": pa.array([(1, 2, 3)] * ROWS, pa.month_day_nano_interval()),
    "uint64": pa.array([2**63 + 1] * ROWS, pa.uint64()),
    "complex": np.array([1j] * ROWS),
    "long double": np.array([1] * ROWS, dtype=np.longdouble),
    "sparse": pd.arrays.SparseArray([1.0, 0.0, 0.0, 0.0]),
    "integers beyond": [2**200, 1, 2, 3],
    "mixed objects": [object(), {1}, "x", None],
    "mixed categories": pd.Categorical([1, "a", 1, "a"]),
    "periods": pd.period_range("2024", periods=ROWS),
    "object": pl.Series([object()] * ROWS, dtype=pl.Object),
    "int128": pl.Series([2**100] * ROWS, dtype=pl.Int128),
}


def _with(odd):
    """Return bars with a column that few can read, in the container that has its type."""
    if isinstance(odd, pa.Array):
        return pa.table({"close_time": TIMES, "close": CLOSE, "odd": odd})
    if isinstance(odd, pl.Series):
        return pl.DataFrame({"close_time": TIMES, "close": CLOSE, "odd": odd})
    return _frame(odd=odd)


@pytest.mark.parametrize("kind", EXOTIC)
def test_columns_that_nobody_reads_hurt_nobody(kind, change, legacy):
    def add(view):
        view["old_a"] = view["close"].diff()
        return view

    providers = [change, legacy("old", ["old_a"], add, lookback=1)]
    bars = _with(EXOTIC[kind])

    runs = rbe.Enricher(providers).run(bars)
    live = rbe.Enricher(providers).live()
    pushed = [live.push(bars[row : row + 1]) for row in range(ROWS)]

    for table in (runs.table, pa.concat_tables([one.select(_FEATURES) for one in pushed])):
        assert table["change_a"].to_pylist() == [None, 1.0, 49.0, 3.04]
        assert table["old_a"].to_pylist() == [None, 1.0, 98.0, 304.0]
    assert [one.status for one in (*runs.outcomes, *live.outcomes)] == ["ok"] * 4
    assert "odd" in list(runs.to_caller().columns if not isinstance(bars, pa.Table) else ["odd"])


_FEATURES = ["change_a", "old_a"]


@pytest.mark.parametrize("kind", ["union", "complex", "mixed objects", "object"])
def test_who_reads_what_cannot_be_read_fails_alone(kind, change, native):
    reader = native("reader", {"reader_a": pl.col("odd").cast(pl.Float64)})
    outcomes = rbe.Enricher([change, reader]).run(_with(EXOTIC[kind])).outcomes
    assert [one.status for one in outcomes] == ["ok", "failed"]
    assert "reads unknown column 'odd' (it is not in the bars, or cannot be read)" in (
        outcomes[1].error or ""
    )


def test_what_arrow_cannot_hold_is_left_out_and_told(enricher, caplog):
    bars = _with(EXOTIC["int128"])
    assert enricher.run(bars).table.column_names == ["close_time", "close", "change_a"]
    assert "column(s) 'odd' left out: Arrow has no type for them" in caplog.text


@pytest.mark.parametrize("name", ["volume", "vwap", "lookback_ofi", "individual_trade_count"])
@pytest.mark.parametrize("kind", ["arrow", "polars", "pandas"])
def test_columns_without_a_value_are_numbers_where_these_belong(name, kind, native):
    table = pa.table({"close": CLOSE, name: pa.nulls(ROWS)})
    bars = {"arrow": table, "polars": pl.DataFrame(table), "pandas": table.to_pandas()}[kind]
    seen = native("total", {"total_a": pl.col(name).fill_null(2).cum_sum()})

    result = rbe.Enricher([seen]).run(bars)

    assert read_bars(bars).dtypes[name] == pl.Float64
    assert result.table["total_a"].to_pylist() == [2.0, 4.0, 6.0, 8.0]


# One rule for NaN: null to expressions, whatever the container, the file or the increment.

HOLED = 40


@pytest.fixture
def holed(make_bars):
    """Return bars with NaN, null and ±inf, where they hurt most."""
    bars = make_bars(HOLED)
    for name, values in (
        ("close", {0: np.nan, 7: np.nan, 8: None, 21: np.nan}),
        ("volume", {3: None, 9: np.nan, 30: np.inf}),
    ):
        column = bars[name].to_pylist()
        for row, value in values.items():
            column[row] = value
        place = bars.column_names.index(name)
        bars = bars.set_column(place, name, pa.array(column, pa.float64()))
    return bars


@pytest.fixture
def sensitive(native):
    """Return a provider that tells NaN from null in four ways."""
    close, volume = pl.col("close"), pl.col("volume")
    return native(
        "nan",
        {
            "nan_ema": close.ewm_mean(span=5),
            "nan_above": close > close.shift(1),
            "nan_total": volume.cum_sum(),
            "nan_mean": close.rolling_mean(5, min_samples=1),
        },
    )


def _expected(holed, provider):
    plain = pl.DataFrame(holed).with_columns(pl.col("close", "volume").fill_nan(None))
    made = plain.select(**provider.made)
    return made.cast(pl.Float64).fill_nan(None)


def _assert_expected(made, holed, provider):
    features = pl.DataFrame(pa.table(made)).select(provider.columns)
    for name, want in _expected(holed, provider).to_dict().items():
        assert features[name].is_null().to_list() == want.is_null().to_list(), name
        got, values = features[name].drop_nulls().to_list(), want.drop_nulls().to_list()
        assert got == pytest.approx(values, rel=1e-12), name


CONTAINERS = {
    "arrow": lambda bars: bars,
    "batch": lambda bars: bars.combine_chunks().to_batches()[0],
    "reader": lambda bars: bars.to_reader(max_chunksize=7),
    "polars": pl.DataFrame,
    "lazy": lambda bars: pl.DataFrame(bars).lazy(),
    "pandas": lambda bars: bars.to_pandas(),
    "nullable pandas": lambda bars: bars.to_pandas(types_mapper=pd.ArrowDtype),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_nan_is_null_to_expressions_in_every_container(kind, holed, sensitive):
    made = rbe.enrich_bars(CONTAINERS[kind](holed), providers=[sensitive])
    made = made.collect() if kind == "lazy" else made

    _assert_expected(
        pa.Table.from_pandas(made) if isinstance(made, pd.DataFrame) else made, holed, sensitive
    )
    if not isinstance(made, pd.DataFrame):
        assert str(pa.table(made)["close"].to_pylist()) == str(holed["close"].to_pylist())


@pytest.mark.parametrize("ending", [ending for one in FORMATS for ending in one.endings])
def test_nan_is_null_to_expressions_in_every_file(ending, holed, sensitive, tmp_path):
    path = tmp_path / f"bars{ending}"
    write_bars(holed, path)
    enricher = rbe.Enricher([sensitive])

    whole = enricher.run(read_file(path)).table
    walked = pa.concat_tables(enricher.iter_batches(path, rows=9))

    for table in (whole, walked):
        _assert_expected(table, holed, sensitive)
        assert str(table["close"].to_pylist()) == str(holed["close"].to_pylist())


@pytest.mark.parametrize("cut", [1, 7, 22])
def test_nan_is_null_to_expressions_in_every_increment(cut, holed, sensitive):
    enricher = rbe.Enricher([sensitive])
    old, new = holed.slice(0, cut), holed.slice(cut)

    live = enricher.live(history=old, history_is_complete=True)
    pushed = pa.concat_tables([live.push(new.slice(row, 3)) for row in range(0, new.num_rows, 3)])
    after = enricher.run(new, history=old, history_is_complete=True).table
    both = [enricher.run(old).table, pushed], [enricher.run(old).table, after]

    for parts in both:
        _assert_expected(pa.concat_tables(parts), holed, sensitive)


def test_nan_is_nan_to_legacy_providers(holed, legacy):
    def add(view):
        view["old_a"] = view["close"].isna() * 1.0 + view["volume"].isna() * 2.0
        return view

    made = rbe.enrich_bars(holed, providers=[legacy("old", ["old_a"], add)])

    odd = {0: 1.0, 7: 1.0, 8: 1.0, 21: 1.0, 3: 2.0, 9: 2.0}
    assert made["old_a"].to_pylist() == [odd.get(row, 0.0) for row in range(HOLED)]


def test_columns_without_nan_are_shared(bars):
    table = read_bars(bars)
    frame = table.to_polars(["close"])
    array = frame["close"].to_arrow()
    assert array.buffers()[1].address == bars["close"].chunk(0).buffers()[1].address


# Kinds of trouble that people report of their own tools.

NAIVE, LONDON = (
    pd.Timestamp("2024-01-01 10:30"),
    pd.Timestamp("2024-01-01 12:00", tz="Europe/London"),
)


@pytest.mark.parametrize("odd", [LONDON, 1_665_921_600_000_000_000, "2024-01-02"], ids=str)
def test_objects_of_times_and_something_else_are_refused(odd, enricher):
    """Polars would take the one for the other (polars#10557, pandas#49159)."""
    frame = pd.DataFrame({"timestamp": pd.Series([NAIVE, odd], dtype=object), "close": [1.0, 2.0]})
    with pytest.raises(BarColumnError, match=r"'timestamp': got objects .*expected int64 or a dat"):
        enricher.run(frame)


def test_times_of_several_zones_are_compared_as_instants(enricher):
    tokyo = pd.Timestamp("2024-01-01 20:00", tz="Asia/Tokyo")  # an hour before noon in London
    frame = pd.DataFrame(
        {"timestamp": pd.Series([tokyo, LONDON], dtype=object), "close": [1.0, 2.0]}
    )
    assert enricher.run(frame).table["change_a"].to_pylist() == [None, 1.0]
    with pytest.raises(BarOrderError, match=r"out of time order"):
        enricher.run(frame[::-1])


def test_ticker_index_levels_are_never_mixed(enricher):
    """Returns across tickers (vectorbt#708)."""
    days = pd.date_range("2024", periods=2)
    index = pd.MultiIndex.from_product([["A", "B"], days], names=["ticker", "date"])
    with pytest.raises(BarColumnError, match=r"- 'ticker': level 0 of the index"):
        enricher.run(pd.DataFrame({"close": CLOSE}, index=index))
    named = pd.DataFrame({"close": CLOSE}, index=index.set_names(["symbol", "date"]))
    assert enricher.run(named).table["change_a"].to_pylist() == APART


def test_symbols_that_spell_nothing_are_symbols(enricher, tmp_path):
    """`NA` is a ticker, and Namibia (OasisLMF#307)."""
    path = tmp_path / "bars.csv"
    rows = zip(["NA", "NA", "null", "null"], TIMES, CLOSE, strict=True)
    lines = [f"{symbol},{time},{close}" for symbol, time, close in rows]
    path.write_text("\n".join(["symbol,close_time,close", *lines]) + "\n")
    result = enricher.run(read_file(path))
    assert [key.symbol for key in result.series] == ["NA", "null"]
    assert result.table["change_a"].to_pylist() == APART
