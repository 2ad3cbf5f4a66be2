from __future__ import annotations

import datetime as dt

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

import rangebar_enrich as rbe
from rangebar_enrich.errors import BarColumnError, UnsupportedBarsError

pd = pytest.importorskip("pandas")

FEATURES = ["momentum_return_20", "momentum_zscore_20"]
CAPITALISED = {name: name.capitalize() for name in ("open", "high", "low", "close", "volume")}


class Streamed:
    """Anything with `__arrow_c_stream__`: no class that the engine knows."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


class Batched:
    def __init__(self, batch):
        self._batch = batch

    def __arrow_c_array__(self, requested_schema=None):
        return self._batch.__arrow_c_array__(requested_schema)


def _addresses(table):
    return [
        [buffer and buffer.address for buffer in chunk.buffers()]
        for column in table.columns
        for chunk in column.chunks
    ]


def _expected(bars, momentum):
    frame = pl.DataFrame(bars).select(momentum.expressions(rbe.BarContext()))
    after = pl.int_range(pl.len()) >= 20
    return frame.select(pl.when(after).then(pl.all().fill_nan(None)))


ARROW_KINDS = {
    "table": lambda bars: bars,
    "batch": lambda bars: bars.combine_chunks().to_batches()[0],
    "reader": lambda bars: bars.to_reader(max_chunksize=50),
    "stream": Streamed,
    "array": lambda bars: Batched(bars.combine_chunks().to_batches()[0]),
}


@pytest.mark.parametrize("kind", ARROW_KINDS)
def test_arrow_kinds_give_a_table(kind, bars, momentum):
    enriched = rbe.enrich_bars(ARROW_KINDS[kind](bars), providers=[momentum])

    assert isinstance(enriched, pa.Table)
    assert enriched.column_names == [*bars.column_names, *FEATURES]
    assert enriched.select(bars.column_names).equals(bars)
    assert_frame_equal(pl.DataFrame(enriched.select(FEATURES)), _expected(bars, momentum))


@pytest.mark.parametrize("kind", ["table", "batch", "stream", "array"])
def test_arrow_callers_columns_keep_their_buffers(kind, bars, momentum):
    enriched = rbe.enrich_bars(ARROW_KINDS[kind](bars), providers=[momentum])

    assert _addresses(enriched.select(bars.column_names)) == _addresses(bars)


def test_arrow_fields_and_metadata_survive(bars, momentum):
    field = pa.field("note", pa.dictionary(pa.int8(), pa.string()), metadata={"unit": "none"})
    notes = pa.array(["a"] * bars.num_rows).dictionary_encode().cast(field.type)
    bars = bars.append_column(field, notes)

    enriched = rbe.enrich_bars(bars, providers=[momentum])

    kept = [enriched.schema.field(name) for name in bars.column_names]
    assert all(a.equals(b, check_metadata=True) for a, b in zip(kept, bars.schema, strict=True))
    assert enriched.schema.metadata == {b"made_by": b"the tests"}


def test_feature_field_is_nullable_float_with_its_origin(bars, momentum):
    field = rbe.enrich_bars(bars, providers=[momentum]).schema.field(FEATURES[1])

    assert (field.type, field.nullable) == (pa.float64(), True)
    assert field.metadata[b"provider"] == b"momentum"
    assert field.metadata[b"version"] == b"1.2.0"
    assert field.metadata[b"status"] == b"ok"


def test_chunked_table_equals_whole_table(bars, momentum, half_range):
    providers = [momentum, half_range]
    chunked = pa.concat_tables([bars.slice(0, 1), bars.slice(1, 60), bars.slice(61)])

    actual = rbe.enrich_bars(chunked, providers=providers)

    assert actual.equals(rbe.enrich_bars(bars, providers=providers))
    assert _addresses(actual.select(bars.column_names)) == _addresses(chunked)


def test_sliced_table_equals_its_copy(bars, momentum, half_range):
    part = bars.slice(13, 71)
    copy = pa.Table.from_pydict(part.to_pydict(), schema=bars.schema)

    actual = rbe.enrich_bars(part, providers=[momentum, half_range])

    assert actual.equals(rbe.enrich_bars(copy, providers=[momentum, half_range]))


def test_arrow_columns_polars_lacks_stay_untouched(bars, momentum, legacy):
    odd = pa.UnionArray.from_sparse(
        pa.array([0] * bars.num_rows, pa.int8()), [pa.array(range(bars.num_rows))]
    )
    bars = bars.append_column("odd", odd)
    shown = legacy("seen", ["seen_a"], lambda view: view.assign(seen_a="odd" in view.columns))

    enriched = rbe.enrich_bars(bars, "XRPETH", 50, providers=[momentum, shown])

    assert enriched.column("odd").chunk(0).equals(odd)
    assert pl.DataFrame(enriched.select(FEATURES)).null_count().row(0) == (20, 20)
    assert not any(enriched.column("seen_a").to_pylist())


def test_polars_frame_gives_a_polars_frame(bars, momentum):
    frame = pl.DataFrame(bars)

    enriched = rbe.enrich_bars(frame, providers=[momentum])

    assert isinstance(enriched, pl.DataFrame)
    assert_frame_equal(enriched, pl.concat([frame, _expected(bars, momentum)], how="horizontal"))


def test_pandas_frame_is_the_same_object(bars, momentum):
    frame = bars.to_pandas()
    before = frame.copy()

    enriched = rbe.enrich_bars(frame, providers=[momentum])

    assert enriched is frame
    assert list(frame.columns) == [*before.columns, *FEATURES]
    pd.testing.assert_frame_equal(frame[list(before.columns)], before)
    expected = _expected(bars, momentum)[FEATURES[1]].fill_null(float("nan")).to_list()
    assert frame[FEATURES[1]].dtype == "float64"
    assert frame[FEATURES[1]].to_list() == pytest.approx(expected, nan_ok=True, rel=1e-9)


def test_pandas_frame_keeps_its_index(bars, momentum):
    frame = bars.to_pandas().drop(columns=["open_time", "close_time"])
    frame.index = pd.date_range("2024-01-01", periods=len(frame), freq="min", tz="Europe/Berlin")
    index = frame.index

    result = rbe.Enricher([momentum]).run(frame)

    assert result.to_caller().index is index
    assert result.table.schema.field("timestamp").type.tz == "Europe/Berlin"


def test_pandas_frame_takes_many_columns_without_advice(bars, native):
    wide = native("wide", {f"wide_{i}": pl.col("close") * i for i in range(150)})

    frame = rbe.enrich_bars(bars.to_pandas(), providers=[wide])

    assert frame["wide_149"].to_list() == [x * 149 for x in bars["close"].to_pylist()]


def test_pandas_objects_are_typed_by_their_values(bars, native):
    frame = bars.to_pandas()
    frame["tag"] = pd.Series(["ab"] * len(frame), dtype=object)
    frame["odd"] = pd.Series([{"a": 1}, [1], 3.0, None] * (len(frame) // 4), dtype=object)
    reads = native("reads", {"reads_tag": pl.col("tag").str.len_chars()})
    lost = native("lost", {"lost_odd": pl.col("odd").cast(pl.Float64)})

    result = rbe.Enricher([reads, lost]).run(frame)

    enriched = result.to_caller()
    assert set(enriched["reads_tag"]) == {2.0}
    assert enriched["odd"].iloc[0] == {"a": 1}
    assert "reads unknown column 'odd'" in result.outcomes[1].error


def test_capitalised_columns_come_back_as_they_came(bars, momentum):
    shouted = bars.rename_columns([CAPITALISED.get(name, name) for name in bars.column_names])
    expected = rbe.enrich_bars(bars, providers=[momentum])

    arrow = rbe.enrich_bars(shouted, providers=[momentum])
    frame = rbe.enrich_bars(pl.DataFrame(shouted), providers=[momentum])
    lazy = rbe.enrich_bars(pl.DataFrame(shouted).lazy(), providers=[momentum]).collect()
    pandas = rbe.enrich_bars(shouted.to_pandas(), providers=[momentum])

    assert arrow.column_names == [*shouted.column_names, *FEATURES]
    assert arrow.select(FEATURES).equals(expected.select(FEATURES))
    assert _addresses(arrow.select(shouted.column_names)) == _addresses(shouted)
    assert_frame_equal(frame, pl.DataFrame(arrow))
    assert_frame_equal(lazy, frame)
    assert list(pandas.columns) == arrow.column_names


def test_price_as_integers_is_read_as_float_and_kept(native):
    bars = pa.table(
        {
            "close": pa.array([1, 2, 4], pa.int32()),
            "close_time_ms": [10**12, 10**12 + 1, 10**12 + 2],
        }
    )
    half = native("half", {"half_close": pl.col("close") / 2, "half_floor": pl.col("close") // 2})

    enriched = rbe.enrich_bars(bars, providers=[half])

    assert enriched.schema.field("close").type == pa.int32()
    assert enriched["half_close"].to_pylist() == [0.5, 1.0, 2.0]
    assert half.contexts[0].columns["close"] == pl.Float64


def test_price_that_is_no_number_is_refused(momentum):
    bars = pa.table({"close": ["1.5", "2.5"]})

    with pytest.raises(BarColumnError, match=r"'close': got String, expected float64"):
        rbe.enrich_bars(bars, providers=[momentum])


@pytest.mark.parametrize("bars", [[1, 2], {"close": [1.0]}, "bars.parquet", None, 5])
def test_other_kinds_are_refused(bars, momentum):
    with pytest.raises(UnsupportedBarsError, match=r"cannot be read"):
        rbe.enrich_bars(bars, providers=[momentum])


def test_doubled_column_name_is_refused(momentum):
    bars = pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], names=["close", "close"])

    with pytest.raises(BarColumnError, match=r"1 column name\(s\) occur more than once"):
        rbe.enrich_bars(bars, providers=[momentum])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda bars: bars,
        lambda bars: bars.to_reader(),
        pl.DataFrame,
        lambda bars: pl.DataFrame(bars).lazy(),
        lambda bars: bars.to_pandas(),
        lambda _: "not bars at all",
    ],
    ids=["arrow", "reader", "polars", "lazy", "pandas", "anything"],
)
def test_no_provider_gives_the_very_object(wrap, bars, events, caplog, monkeypatch):
    monkeypatch.setenv("RANGEBAR_ENRICH_PROVIDERS", "no_such_entry_point")
    given = wrap(bars)
    rbe.discover_providers()
    caplog.clear()

    assert rbe.enrich_bars(given) is given
    assert rbe.enrich_bars(given, providers=[]) is given
    assert (events, caplog.records) == ([], [])


@pytest.mark.parametrize("wrap", [lambda b: b, pl.DataFrame], ids=["arrow", "polars"])
def test_no_rows_give_the_columns_and_call_nobody(wrap, bars, native, legacy, events):
    def refuse(_):
        msg = "no provider is called without rows"
        raise AssertionError(msg)

    providers = [native("one", refuse, columns=["one_a"]), legacy("two", ["two_b"], refuse)]

    enriched = rbe.enrich_bars(wrap(bars.slice(0, 0)), providers=providers)

    table = enriched.to_arrow() if isinstance(enriched, pl.DataFrame) else enriched
    assert table.column_names == [*bars.column_names, "one_a", "two_b"]
    assert table.schema.field("two_b").type == pa.float64()
    assert table.num_rows == 0
    assert [payload.details["bar_count"] for payload in events] == [0]


def test_no_rows_in_pandas_come_back_untouched(bars, momentum):
    frame = bars.slice(0, 0).to_pandas()

    assert rbe.enrich_bars(frame, providers=[momentum]) is frame
    assert list(frame.columns) == bars.column_names


def test_no_rows_lazily_give_the_columns(bars, momentum):
    empty = pl.DataFrame(bars).clear().lazy()

    collected = rbe.enrich_bars(empty, providers=[momentum]).collect()

    assert collected.columns == [*bars.column_names, *FEATURES]
    assert collected.height == 0


def test_providers_may_be_an_iterator_or_classes(bars, momentum):
    expected = rbe.enrich_bars(bars, providers=[momentum])

    assert rbe.enrich_bars(bars, providers=iter([type(momentum)])).equals(expected)


def test_providers_that_are_one_provider_are_refused(bars, momentum):
    with pytest.raises(TypeError, match=r"'providers' is Momentum; expected a list"):
        rbe.enrich_bars(bars, providers=momentum)


def test_on_error_that_is_unknown_is_refused(momentum):
    with pytest.raises(ValueError, match=r"'on_error' is 'ignore'; expected 'null' or 'raise'"):
        rbe.Enricher([momentum], on_error="ignore")


def test_result_table_is_arrow_for_every_kind(bars, momentum):
    enricher = rbe.Enricher([momentum])
    expected = enricher.run(bars).table.select(FEATURES)

    for given in (pl.DataFrame(bars), bars.to_pandas()):
        assert enricher.run(given).table.select(FEATURES).equals(expected)


def test_date_columns_survive_in_every_kind(bars, momentum):
    days = pa.array([dt.date(2024, 1, 1)] * bars.num_rows, pa.date32())
    bars = bars.append_column("day", days)

    assert rbe.enrich_bars(bars, providers=[momentum])["day"].chunk(0).equals(days)
