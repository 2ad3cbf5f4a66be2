"""One bar has one value, whichever way it is computed."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from corpus.features import SCALES, Pack, make_pack

import rangebar_enrich as rbe

KEY = {"symbol": "XRPETH", "threshold_decimal_bps": 50}
TOLERANCE = 1e-9


def _cuts(rows, pieces, seed=1):
    inner = random.Random(seed).sample(range(1, rows), min(pieces, rows) - 1)
    return [0, *sorted(inner), rows]


def _parts(bars, pieces, seed=1):
    cuts = _cuts(bars.num_rows, pieces, seed)
    return [bars.slice(a, b - a) for a, b in pairwise(cuts)]


def _join(tables):
    return pa.concat_tables(tables, promote_options="permissive")


def chunked(enricher, bars):
    chunks = [batch for part in _parts(bars, 40) for batch in part.to_batches()]
    return enricher.run(pa.Table.from_batches(chunks), **KEY).table


def increments(enricher, bars):
    parts = _parts(bars, 5)
    made = [enricher.run(parts[0], **KEY).table]
    for end in range(1, len(parts)):
        past = pa.concat_tables(parts[:end])
        made.append(enricher.run(parts[end], history=past, history_is_complete=True, **KEY).table)
    return _join(made)


def pushes(enricher, bars):
    live = enricher.live(**KEY)
    return _join([live.push(part) for part in _parts(bars, 12)])


def restarts(enricher, bars):
    snapshot, made = enricher.live(**KEY).snapshot(), []
    for part in _parts(bars, 8, seed=2):
        live = rbe.Enricher(make_pack()).live(**KEY)
        live.restore(snapshot)
        made.append(live.push(part))
        snapshot = live.snapshot()
    return _join(made)


def one_by_one(enricher, bars):
    """Push the last 50 bars alone, after the others as history."""
    start = bars.num_rows - 50
    live = enricher.live(history=bars.slice(0, start), history_is_complete=True, **KEY)
    made = [live.push(bars.slice(row, 1)) for row in range(start, bars.num_rows)]
    return _join(made)


def from_the_first(enricher, bars):
    live = enricher.live(**KEY)
    return _join([live.push(bars.slice(row, 1)) for row in range(40)])


def batches(enricher, bars):
    return _join(enricher.iter_batches(bars, rows=173, **KEY))


WAYS = [chunked, increments, pushes, restarts, one_by_one, from_the_first, batches]


@pytest.fixture(scope="module", params=[pytest.param("real", marks=pytest.mark.slow), "simulated"])
def case(request, make_bars):
    if request.param == "simulated":
        return make_bars(700, seed=11)
    return pa.table(request.getfixturevalue("real_batch")(50))


@pytest.fixture(scope="module")
def whole(case):
    result = rbe.Enricher(make_pack()).run(case, **KEY)
    assert not result.failed
    return pl.DataFrame(result.table)


NAMES = [column for provider in make_pack() for column in provider.columns]


def assert_parity(actual, expected, names=NAMES):
    """Compare features of the same bars: nulls, then bits or the scale of the inputs."""
    for column in names:
        got, want = actual[column], expected[column]
        assert got.is_null().equals(want.is_null()), f"{column}: other nulls"
        if column not in SCALES:
            assert got.equals(want), f"{column}: {(got - want).abs().max()}"
            continue
        scale = expected[f"scale_{column}"]
        assert scale.filter(want.is_not_null()).is_finite().all(), f"{column}: no scale"
        error = (got - want).abs() / scale
        assert (error.drop_nulls() <= TOLERANCE).all(), f"{column}: {error.max()}"


def _with_scales(bars):
    return bars.with_columns(scale.alias(f"scale_{name}") for name, scale in SCALES.items())


def test_pack_covers_every_family(whole):
    assert len(NAMES) >= 40
    assert set(NAMES) >= SCALES.keys()
    computed = [name for name in NAMES if whole[name].null_count() < whole.height / 2]
    assert set(NAMES) - set(computed) == {"bar_nan"}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_way_gives_the_same(way, case, whole):
    made = pl.DataFrame(way(rbe.Enricher(make_pack()), case))

    assert_parity(made, _same_bars(_with_scales(whole), made))


def _same_bars(whole, made):
    """Return the rows of `whole` whose bars are those of `made`; no two bars have one last id."""
    found = whole.filter(pl.col("last_trade_id").is_in(made["last_trade_id"].implode()))
    assert found["last_trade_id"].equals(made["last_trade_id"])
    return found


def test_streaming_gives_the_same(case, whole, tmp_path):
    natives = [made for made in make_pack() if hasattr(made, "expressions")]
    natives = [made for made in natives if made.name not in {"udf", "after"}]
    path = tmp_path / "enriched.parquet"

    with pl.Config(streaming_chunk_size=97):
        rbe.enrich_bars(pl.DataFrame(case).lazy(), **KEY, providers=natives).sink_parquet(path)

    made = pl.read_parquet(path)
    names = [name for one in natives for name in one.columns]
    assert made.columns == [*case.column_names, *names]
    assert_parity(made, _with_scales(whole), names)


@pytest.fixture(scope="module")
def tables(make_bars):
    """Return four series of different lengths, each with its key in columns."""
    keys = [("A", 50), ("B", 50), ("A", 100), ("C", 250)]
    return [
        make_bars(rows, seed=seed, symbol=symbol, threshold_decimal_bps=threshold)
        for seed, (rows, (symbol, threshold)) in enumerate(
            zip([400, 37, 250, 1], keys, strict=True)
        )
    ]


def _interleave(tables, seed=5):
    """Mix rows at random, each table's own in order; return what was mixed and where it went."""
    owner = np.repeat(np.arange(len(tables)), [table.num_rows for table in tables])
    random.Random(seed).shuffle(owner)
    order = np.argsort(np.argsort(owner, kind="stable"), kind="stable")
    return pa.concat_tables(tables).take(pa.array(order)), owner


@pytest.mark.parametrize(
    "rows", [None, 1_000, 150, pytest.param(11, marks=pytest.mark.slow)], ids="rows={}".format
)
def test_interleaved_series_give_each_alone(tables, rows):
    mixed, owner = _interleave(tables)
    enricher = rbe.Enricher(make_pack())

    if rows is None:
        made = pl.DataFrame(enricher.run(mixed).table)
    else:
        made = pl.DataFrame(_join(enricher.iter_batches(mixed, rows=rows)))

    assert made.select(mixed.column_names).equals(pl.DataFrame(mixed))
    for number, table in enumerate(tables):
        alone = pl.DataFrame(rbe.enrich_bars(table, providers=make_pack()))
        assert_parity(made.filter(pl.Series(owner == number)), _with_scales(alone))


@pytest.fixture
def laguerre():
    plugin = pytest.importorskip("atr_adaptive_laguerre.rangebar_plugin")
    provider = plugin.LaguerreFeatureProvider()
    # Measured: from 150 earlier bars on, every value of the real bars is the same to the bit.
    provider.lookback = 200
    return provider


@pytest.mark.parametrize(
    "way",
    [increments, pushes, batches, "one by one"],
    ids=lambda way: getattr(way, "__name__", str(way)),
)
def test_real_plugin_gives_the_same(way, case, laguerre):
    enricher = rbe.Enricher([laguerre])
    expected = pl.DataFrame(enricher.run(case, **KEY).table)

    if way == "one by one":
        start = case.num_rows - 25
        live = enricher.live(history=case.slice(0, start), history_is_complete=True, **KEY)
        made = _join([live.push(case.slice(row, 1)) for row in range(start, case.num_rows)])
    else:
        made = way(enricher, case)

    made = pl.DataFrame(made)
    for column in laguerre.columns:
        got, want = made[column], _same_bars(expected, made)[column]
        assert got.is_null().equals(want.is_null())
        assert ((got - want).abs() <= TOLERANCE * want.abs().max()).drop_nulls().all()


def test_windows_over_time_give_the_same(make_bars):
    bars = make_bars(500)
    times = pa.array(
        1_700_000_000_000_000 + np.cumsum(np.random.default_rng(3).integers(1, 9e6, 500))
    )
    bars = bars.set_column(bars.column_names.index("close_time"), "close_time", times)
    provider = Pack(
        "timed",
        {
            "mean": pl.col("close").rolling_mean_by("close_time", "60000000i"),
            "max": pl.col("high").rolling_max_by("close_time", "60000000i"),
        },
        lookback=200,
    )
    enricher = rbe.Enricher([provider])
    expected = pl.DataFrame(enricher.run(bars, **KEY).table)

    for way in (pushes, batches, one_by_one):
        made = pl.DataFrame(way(enricher, bars))
        same = _same_bars(expected, made)
        assert made["timed_max"].equals(same["timed_max"])
        assert ((made["timed_mean"] - same["timed_mean"]).abs() <= TOLERANCE * 100).all()
