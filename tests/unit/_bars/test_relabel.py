from __future__ import annotations

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import rangebar_enrich as rbe
from rangebar_enrich.errors import SeriesConflictError

SAID = {"symbol": "BTCUSDT", "threshold_decimal_bps": "250"}
MEANT = {"symbol": "ETHUSDT", "threshold_decimal_bps": 100}
LABELS = {b"symbol": b"ETHUSDT", b"threshold_decimal_bps": b"100"}


@pytest.fixture
def said(make_bars):
    return make_bars(20, metadata=SAID)


@pytest.fixture
def lag(native):
    return native("lag", {"lag_a": pl.col("close") / pl.col("close").shift(1)})


@pytest.fixture
def enricher(lag):
    return rbe.Enricher([lag])


WAYS = {
    "run": lambda enricher, bars, **more: enricher.run(bars, **more).table,
    "live": lambda enricher, bars, **more: enricher.live(**more).push(bars),
    "history": lambda enricher, bars, **more: enricher.live(history=bars[:5], **more).push(
        bars[5:]
    ),
    "batches": lambda enricher, bars, **more: pa.concat_tables(
        enricher.iter_batches(bars, rows=7, **more)
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MEANT)
def test_arguments_that_contradict_the_metadata_are_refused(way, name, enricher, said):
    with pytest.raises(SeriesConflictError) as caught:  # noqa: PT011 compared whole below
        WAYS[way](enricher, said, **{name: MEANT[name]})
    expected = SAID[name] if name == "symbol" else int(SAID[name])
    assert str(caught.value) == (
        f"Argument '{name}' is {MEANT[name]!r}, but the metadata says {expected!r}.\n"
        "Hint: drop the argument, or pass relabel=True where the metadata is wrong."
    )


@pytest.mark.parametrize("way", WAYS)
def test_arguments_that_agree_are_welcome(way, enricher, said):
    table = WAYS[way](enricher, said, symbol="BTCUSDT", threshold_decimal_bps=250)
    assert table.schema.metadata == said.schema.metadata


@pytest.mark.parametrize("way", WAYS)
def test_relabel_says_what_is_meant(way, enricher, lag, said):
    said = said.append_column("symbol", pa.array(["BTCUSDT"] * 20).dictionary_encode())

    table = WAYS[way](enricher, said, relabel=True, **MEANT)

    assert {name: table.schema.metadata[name] for name in LABELS} == LABELS
    assert set(table["symbol"].to_pylist()) == {"ETHUSDT"}
    context = lag.contexts[-1]
    assert (context.symbol, context.threshold_decimal_bps) == ("ETHUSDT", 100)
    assert set(said["symbol"].to_pylist()) == {"BTCUSDT"}


def test_relabel_reaches_the_history_of_a_run(enricher, said):
    whole = enricher.run(said).table["lag_a"]
    made = enricher.run(
        said[10:], history=said[:10], history_is_complete=True, relabel=True, **MEANT
    )
    assert made.table["lag_a"].to_pylist() == whole[10:].to_pylist()
    assert made.series == (("ETHUSDT", 100, None),)


@pytest.mark.parametrize("kind", ["polars", "pandas", "lazy"])
def test_relabel_in_every_container(kind, lag, make_bars):
    bars = make_bars(5, symbol="BTCUSDT")
    given = {
        "polars": pl.DataFrame,
        "pandas": lambda table: table.to_pandas(),
        "lazy": lambda table: pl.DataFrame(table).lazy(),
    }[kind](bars)

    made = rbe.enrich_bars(given, "ETHUSDT", 100, providers=[lag], relabel=True)

    assert (made is given) == (kind == "pandas")
    made = made.collect() if kind == "lazy" else made
    assert set(made["symbol"]) == {"ETHUSDT"}
    assert list(made.columns)[-1] == "lag_a"


def test_a_pandas_frame_is_relabelled_only_where_the_run_succeeds(native, make_bars):
    frame = make_bars(5, symbol="BTCUSDT").to_pandas()[::-1]
    with pytest.raises(rbe.RangebarEnrichError, match=r"out of time order"):
        rbe.enrich_bars(frame, "ETHUSDT", 100, providers=[native("n", {"n_a": 1})], relabel=True)
    assert set(frame["symbol"]) == {"BTCUSDT"}


def test_relabel_of_an_index_level_is_refused(enricher):
    frame = pd.DataFrame({"close": [1.0, 2.0]}, index=pd.Index(["A", "A"], name="symbol"))
    with pytest.raises(SeriesConflictError, match=r"^Index level\(s\) 'symbol' cannot be relabell"):
        enricher.run(frame, symbol="B", relabel=True)


def test_relabel_never_joins_series(enricher, make_bars):
    both = pa.concat_tables([make_bars(7, symbol="A"), make_bars(7, symbol="B")])
    text = (
        r"^relabel=True gives all bars one 'symbol', and they are of 2:\n- 'A'\n- 'B'\nHint: give"
    )
    with pytest.raises(SeriesConflictError, match=text):
        enricher.run(both, symbol="C", relabel=True)
    with pytest.raises(SeriesConflictError, match=text):
        list(enricher.iter_batches(both, rows=7, symbol="C", relabel=True))


def test_relabel_without_a_label_is_refused(enricher, said):
    with pytest.raises(SeriesConflictError, match=r"^relabel=True, and no label is given\."):
        enricher.run(said, relabel=True)
