from __future__ import annotations

import random
from datetime import datetime, timedelta

import msgpack
import polars as pl
import pyarrow as pa
import pytest

import rangebar_enrich as rbe
from rangebar_enrich._stream import snapshot as module
from rangebar_enrich.errors import HistoryError

close, volume = pl.col("close"), pl.col("volume")
KEY = {"symbol": "SIM", "threshold_decimal_bps": 250}


@pytest.fixture
def providers(native, momentum):
    return [
        momentum,
        native("sums", {"sums_a": volume.cum_sum(), "sums_b": close.ewm_mean(span=4)}),
    ]


@pytest.fixture
def taken(bars, providers):
    live = rbe.Enricher(providers).live(**KEY)
    live.push(bars.slice(0, 60))
    return live.snapshot()


def test_snapshot_before_the_first_push_goes_on(bars, providers):
    enricher = rbe.Enricher(providers)
    live = enricher.live()
    live.restore(enricher.live(**KEY).snapshot())

    table = live.push(bars)

    assert table.equals(enricher.run(bars, **KEY).table)


def test_snapshot_is_taken_again_as_it_was(taken, providers):
    live = rbe.Enricher(providers).live()

    live.restore(taken)

    assert live.snapshot() == taken
    assert (live.bars_seen, live.gaps, live.context_bars) == (60, 0, 20)


def test_snapshot_replaces_what_was_pushed(bars, taken, providers):
    live = rbe.Enricher(providers).live(**KEY)
    live.push(bars)

    live.restore(taken)

    expected = rbe.Enricher(providers).run(bars, **KEY).table.slice(60)
    actual = live.push(bars.slice(60))
    assert actual.column("sums_a").equals(expected.column("sums_a"))


def test_snapshot_remembers_order_and_layout(bars, taken, providers):
    live = rbe.Enricher(providers).live(**KEY)
    live.restore(taken)

    with pytest.raises(rbe.RangebarEnrichError, match=r"is one of the last bars again"):
        live.push(bars.slice(59, 1))
    with pytest.raises(
        rbe.RangebarEnrichError, match=r"^1 column\(s\) differ from the bars before"
    ):
        live.push(bars.slice(60).drop_columns("ofi"))


def test_snapshot_holds_no_pickle(taken):
    import pickletools

    with pytest.raises(ValueError, match=r"."):
        list(pickletools.genops(taken))
    assert isinstance(msgpack.unpackb(taken), list)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"abc",
        b"\x93\x01\x02\x03",
        msgpack.packb([9, b"", b""]),
        msgpack.packb({}),
        "text",
        None,
    ],
)
def test_what_is_no_snapshot_is_refused(raw, providers):
    with pytest.raises(HistoryError, match=r"^The bytes are no snapshot"):
        rbe.Enricher(providers).live().restore(raw)


def test_damage_anywhere_is_refused(taken, providers):
    rng = random.Random(1)
    for _ in range(60):
        place = rng.randrange(len(taken))
        damaged = bytearray(taken)
        damaged[place] ^= 1 << rng.randrange(8)
        live = rbe.Enricher(providers).live()
        with pytest.raises(HistoryError, match=r"^The bytes are no snapshot"):
            live.restore(bytes(damaged))
        assert live.bars_seen == 0
    with pytest.raises(HistoryError, match=r"^The bytes are no snapshot"):
        rbe.Enricher(providers).live().restore(taken[:-7])


def test_snapshot_of_other_providers_is_refused(taken, native, momentum):
    momentum.version = "1.3.0"
    sums = native("sums", {"sums_a": volume.cum_sum()})
    live = rbe.Enricher([momentum, sums]).live(**KEY)

    with pytest.raises(HistoryError, match=r"differs from this enricher") as caught:
        live.restore(taken)

    assert str(caught.value) == (
        "The snapshot differs from this enricher in 4 way(s):\n"
        "- provider 'momentum' 1.2.0: in the snapshot only, or with other columns\n"
        "- provider 'sums' 1.0.0: in the snapshot only, or with other columns\n"
        "- provider 'momentum' 1.3.0: in this enricher only, or with other columns\n"
        "- provider 'sums' 1.0.0: in this enricher only, or with other columns\n"
        "Hint: start anew from history."
    )


def test_snapshot_of_providers_in_another_order_is_refused(taken, providers):
    with pytest.raises(HistoryError, match=r"providers: in another order"):
        rbe.Enricher(providers[::-1]).live(**KEY).restore(taken)


def test_snapshot_of_another_engine_is_refused(taken, providers, monkeypatch):
    monkeypatch.setattr(module, "_engine", lambda: "rangebar-enrich 9.9")

    with pytest.raises(
        HistoryError, match=r"engine: got rangebar-enrich \S+, polars .*expected .*9\.9"
    ):
        rbe.Enricher(providers).live(**KEY).restore(taken)


def test_snapshot_of_another_series_is_refused(taken, providers):
    with pytest.raises(HistoryError, match=r"series: got SIM@250, expected OTHER"):
        rbe.Enricher(providers).live(symbol="OTHER").restore(taken)


@pytest.mark.parametrize("change", ["recursion", "lookback", "column"])
def test_changes_without_a_new_version_are_refused(change, bars, native):
    exprs = {
        "recursion": ({"x_a": close.cum_sum()}, {"x_a": close.cum_max()}),
        "lookback": ({"x_a": close.shift(3)}, {"x_a": close.shift(4)}),
        "column": ({"x_a": close.shift(3)}, {"x_a": volume.shift(3)}),
    }[change]
    live = rbe.Enricher([native("x", exprs[0])]).live(**KEY)
    live.push(bars)

    with pytest.raises(
        HistoryError, match=r"other expressions|a lookback or an expression changed"
    ):
        rbe.Enricher([native("x", exprs[1])]).live(**KEY).restore(live.snapshot())


def test_snapshot_keeps_every_dtype(native):
    rows = 8
    start = datetime(2024, 1, 1)  # noqa: DTZ001 bars in naive time are legal
    values = {
        "timestamp": [start + timedelta(seconds=i) for i in range(rows)],
        "close": [float(i) for i in range(rows)],
        "kind": pa.array(["a", "b"] * 4).dictionary_encode(),
        "flag": [True, None] * 4,
        "big": pa.array([2**63] * rows, pa.uint64()),
        "small": pa.array([1.5] * rows, pa.float32()),
        "money": pa.array([1] * rows, pa.decimal128(20, 4)),
        "list": [[i] for i in range(rows)],
        "day": pa.array([start.date()] * rows),
    }
    bars = pa.table(values)
    exprs = {
        "x_a": pl.col("big").cast(pl.Float64).shift(2),
        "x_b": pl.col("small").cum_sum(),
        "x_c": pl.col("kind").cast(pl.String).shift(1).is_null(),
        "x_d": pl.col("flag").forward_fill() & (pl.col("list").list.len().shift(1) > 0),
        "x_e": pl.col("money").shift(1).cast(pl.Float64) + pl.col("day").dt.day().shift(1),
    }
    enricher = rbe.Enricher([native("x", exprs)])
    live = enricher.live()
    first = live.push(bars.slice(0, 5))

    restored = enricher.live()
    restored.restore(live.snapshot())
    second = restored.push(bars.slice(5))

    expected = pl.DataFrame(enricher.run(bars).table).select(list(exprs))
    assert pl.DataFrame(pa.concat_tables([first, second])).select(list(exprs)).equals(expected)
