"""A pack's value of a bar is one, whichever way it is computed."""

from __future__ import annotations

from itertools import pairwise

import polars as pl
import pyarrow as pa
import pytest

import rangebar_enrich as rbe
from rangebar_enrich._expr import tree
from rangebar_enrich.features import Alpha158, microstructure, ta

KEY = {"symbol": "XRPETH", "threshold_decimal_bps": 50}
TOLERANCE = 1e-10  # of the column's largest value
RUNNING = {
    f"Function.RollingExpr.{name}" for name in "CorrCov Kurtosis Mean Skew Std Sum Var".split()
}
BATCH = 173
CUTS = [0, 1, 7, 60, 61, 300, 444, 700]


def _cut(bars):
    cuts = [cut for cut in CUTS if cut < bars.num_rows]
    return [bars.slice(a, b - a) for a, b in pairwise([*cuts, bars.num_rows])]


def increments(enricher, bars):
    parts, made = _cut(bars), []
    for end, part in enumerate(parts):
        past = pa.concat_tables(parts[:end]) if end else bars.slice(0, 0)
        made.append(enricher.run(part, history=past, history_is_complete=True, **KEY).table)
    return made


def pushes(enricher, bars):
    live = enricher.live(**KEY)
    return [live.push(part) for part in _cut(bars)]


def one_by_one(enricher, bars):
    start = bars.num_rows - 12
    live = enricher.live(history=bars.slice(0, start), history_is_complete=True, **KEY)
    return [live.push(bars.slice(row, 1)) for row in range(start, bars.num_rows)]


def batches(enricher, bars):
    return list(enricher.iter_batches(bars, rows=BATCH, **KEY))


@pytest.fixture(scope="module", params=["simulated", pytest.param("real", marks=pytest.mark.slow)])
def case(request, make_bars):
    if request.param == "simulated":
        return make_bars(720, seed=12)
    return pa.table(request.getfixturevalue("real_batch")(50)).slice(0, 720)


@pytest.fixture(
    scope="module",
    params=[pytest.param(ta.Core, marks=pytest.mark.slow), microstructure.Core, Alpha158],
    ids=lambda one: one.name,
)
def pack(request):
    return request.param()


@pytest.fixture(scope="module")
def enricher(pack):
    return rbe.Enricher([pack])


@pytest.fixture(scope="module")
def whole(enricher, case):
    result = enricher.run(case, **KEY)
    assert not result.failed
    return pl.DataFrame(result.table)


@pytest.fixture(scope="module")
def running(pack, case):
    """Return the columns over a window of Polars that carries a trace of the rows before it."""
    context = rbe.BarContext(columns=dict(pl.DataFrame(case).schema))
    named = pack.expressions(context)
    nodes = {name: tree.walk(tree.decode(expr)) for name, expr in named.items()}
    return {name for name, parts in nodes.items() if RUNNING & set(map(tree.operator, parts))}


@pytest.mark.parametrize(
    "way", [increments, pushes, one_by_one, batches], ids=lambda way: way.__name__
)
def test_every_way_gives_the_same(way, enricher, case, whole, running):
    made = pl.DataFrame(pa.concat_tables(way(enricher, case), promote_options="permissive"))
    expected = whole.tail(made.height)

    for name in enricher.columns:
        got, want = made[name], expected[name]
        assert got.is_null().equals(want.is_null()), name
        allowed = 0.0 if name not in running else TOLERANCE * (want.abs().max() or 0.0)
        assert ((got - want).abs().drop_nulls() <= allowed).all(), name


def test_all_packs_run_together(case):
    result = rbe.Enricher([ta.Core(), microstructure.Core(), Alpha158()]).run(case, **KEY)

    assert [outcome.status for outcome in result.outcomes] == ["ok", "ok", "ok"]
    assert result.table.num_columns == case.num_columns + 63 + 56 + 158


@pytest.mark.parametrize("rows", [40, 240], ids="rows={}".format)
def test_many_short_series_give_each_alone(rows, pack, enricher, make_bars):
    tables = [
        make_bars(rows, seed=seed, symbol=f"S{seed}", threshold_decimal_bps=50) for seed in range(4)
    ]

    made = pl.DataFrame(enricher.run(pa.concat_tables(tables)).table)

    for number, table in enumerate(tables):
        alone = pl.DataFrame(enricher.run(table).table)
        part = made.slice(number * rows, rows)
        for name in pack.columns:
            got, want = part[name], alone[name]
            assert got.is_null().equals(want.is_null()), name
            allowed = TOLERANCE * (want.abs().max() or 0.0)
            assert ((got - want).abs().drop_nulls() <= allowed).all(), name


def test_lazy_bars_give_the_same(pack, case, whole):
    lazy = rbe.enrich_bars(pl.DataFrame(case).lazy(), providers=[pack], **KEY)

    made = lazy.select(pack.columns).collect(engine="in-memory")

    for name in pack.columns:
        assert made[name].is_null().equals(whole[name].is_null()), name
        allowed = TOLERANCE * (whole[name].abs().max() or 0.0)
        assert ((made[name] - whole[name]).abs().drop_nulls() <= allowed).all(), name
