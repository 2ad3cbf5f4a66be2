"""Windows in the plan: where they run, that others stay as they were, and the same bits in every way."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from corpus.tried import tried
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import rangebar_enrich as rbe

CLOSE, OPEN, VOLUME = pl.col("close"), pl.col("open"), pl.col("volume")
RETURN = CLOSE.log().diff()

EXPRS: dict[str, pl.Expr] = {
    "score": (CLOSE - CLOSE.rolling_mean(4)) / CLOSE.rolling_std(4),
    "few": CLOSE.rolling_sum(5, min_samples=2) + VOLUME.rolling_mean(3, min_samples=1),
    "nested": RETURN.rolling_std(3).rolling_mean(2),
    "reused": (RETURN - RETURN.rolling_mean(5)) / RETURN.rolling_std(5),
    "extremes": (CLOSE - CLOSE.rolling_min(6)) / (CLOSE.rolling_max(6) - CLOSE.rolling_min(6)),
    "corr": pl.rolling_corr(CLOSE, VOLUME, window_size=4),
    "cov": pl.rolling_cov(RETURN, VOLUME, window_size=5, min_samples=3),
    "shape": CLOSE.rolling_skew(5) + VOLUME.rolling_kurtosis(6, bias=False),
    "shifted": CLOSE.rolling_var(3, ddof=0).shift(2) - CLOSE.rolling_var(3).shift(7),
    "flags": (CLOSE > OPEN).rolling_mean(4) + (CLOSE > OPEN).rolling_sum(3),
    "whole": VOLUME.cast(pl.Int64, strict=False).rolling_sum(4),
    "polars": CLOSE.rolling_median(4) + CLOSE.rolling_quantile(0.3, window_size=3),
    "rank": CLOSE.rolling_mean(3).rolling_rank(4),
    "jump": pl.when(CLOSE.rolling_std(3) > 0).then(VOLUME.rolling_sum(3)).otherwise(-1.0),
    "ema": (CLOSE.rolling_mean(3) - OPEN).ewm_mean(span=4, adjust=False),
    "sum": CLOSE.rolling_std(4).fill_null(0.0).cum_sum().rolling_mean(3),
}
WIDEST = 12
"""Earlier rows that fix the value of any of them that is not recursive."""
RECURSIVE = {"ema", "sum"}

_number = st.one_of(
    st.sampled_from([100.0, 100.0, 100.5, 0.1, 1e15, 1e-9, -3.0, 0.0]),
    st.floats(90.0, 110.0),
    st.sampled_from([None, math.nan, math.inf, -math.inf]),
)
_plain = st.one_of(st.sampled_from([100.0, 100.0, 100.1]), st.floats(50.0, 150.0))
_rows = st.lists(st.tuples(_number, _plain, _plain), min_size=2, max_size=60)


def _bars(rows):
    frame = pl.DataFrame(rows, schema=["close", "open", "volume"], orient="row", strict=False)
    times = pl.int_range(pl.len(), dtype=pl.Int64) + 1_700_000_000_000_000
    return frame.cast(pl.Float64).with_columns(times.alias("close_time"))


def _provider(native, names=tuple(EXPRS)):
    return native("p", {f"p_{name}": EXPRS[name] for name in names})


@pytest.fixture(scope="module")
def enricher(native):
    return rbe.Enricher([_provider(native)], on_error="raise")


@pytest.fixture(scope="module")
def finite(native):
    return rbe.Enricher([_provider(native, tuple(EXPRS.keys() - RECURSIVE))], on_error="raise")


def _bits(table):
    """Return the features as nulls and bits: -0.0 is not 0.0."""
    frame = pl.DataFrame(table).select(pl.col("^[pqr]_.*$"))
    return {
        one.name: (one.is_null().to_list(), one.fill_null(0.0).to_numpy().view(np.uint64).tolist())
        for one in frame.get_columns()
    }


def _behind(bits, rows):
    return {name: (nulls[rows:], values[rows:]) for name, (nulls, values) in bits.items()}


def _joined(tables):
    made = [_bits(table) for table in tables]
    return {
        name: tuple([x for one in made for x in one[name][part]] for part in (0, 1))
        for name in made[0]
    }


@tried(25, 250)
@given(rows=_rows, cut=st.integers(0, 60))
def test_history_gives_the_same_bits(rows, cut, enricher):
    bars = _bars(rows)
    cut = min(cut, bars.height - 1)

    whole = _bits(enricher.run(bars).table)
    behind = enricher.run(bars[cut:], history=bars[:cut], history_is_complete=True).table

    assert _bits(behind) == _behind(whole, cut)


@tried(25, 250)
@given(rows=_rows, cut=st.integers(WIDEST, 60))
def test_what_windows_reach_is_enough(rows, cut, finite):
    bars = _bars(rows)
    if cut >= bars.height:
        return

    whole = _bits(finite.run(bars).table)
    behind = finite.run(bars[cut:], history=bars[cut - WIDEST : cut]).table

    assert _bits(behind) == _behind(whole, cut)


@tried(15, 150)
@given(rows=_rows, sizes=st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_pushes_and_batches_give_the_same_bits(rows, sizes, enricher):
    bars = _bars(rows)
    whole = _bits(enricher.run(bars).table)

    live, made, start = enricher.live(), [], 0
    for size in [*sizes, bars.height]:
        if start < bars.height:
            made.append(live.push(bars[start : start + size]))
            start += size
    walked = list(enricher.iter_batches(bars, rows=sizes[0]))

    assert _joined(made) == whole
    assert _joined(walked) == whole


@tried(15, 150)
@given(parts=st.lists(_rows, min_size=2, max_size=6))
def test_many_series_give_the_same_bits_as_each_alone(parts, enricher):
    tables = [
        _bars(rows).with_columns(symbol=pl.lit(f"S{i}"), threshold_decimal_bps=pl.lit(50))
        for i, rows in enumerate(parts)
    ]

    together = _bits(enricher.run(pl.concat(tables)).table)

    assert together == _joined(enricher.run(table).table for table in tables)


@pytest.fixture(scope="module")
def among_others(native):
    beside = native("q", {"q_a": CLOSE.rolling_mean(4) * 2, "q_b": VOLUME.rolling_max(17)})
    return rbe.Enricher([beside, _provider(native)], on_error="raise")


@tried(10, 100)
@given(rows=_rows)
def test_other_columns_and_providers_change_nothing(rows, finite, among_others):
    bars = _bars(rows)

    alone = _bits(finite.run(bars).table)
    among = _bits(among_others.run(bars).table)

    assert alone == {name: among[name] for name in alone}


@pytest.mark.parametrize("rows", [300, 5_000])
def test_values_are_those_of_polars_within_rounding(rows, make_bars, native):
    bars = make_bars(rows)
    exprs = {name: expr for name, expr in EXPRS.items() if name != "jump"}
    provider = native("p", {f"p_{name}": expr for name, expr in exprs.items()})

    ours, polars = (
        pl.DataFrame(rbe.Enricher([provider], on_error="raise", windows=windows).run(bars).table)
        for windows in ("relative", "polars")
    )

    assert_frame_equal(ours, polars, rel_tol=1e-9, abs_tol=1e-9)


def test_polars_own_windows_are_those_of_a_plain_select(make_bars, native):
    bars = make_bars(400)
    provider = native("p", {f"p_{name}": expr for name, expr in EXPRS.items()})

    made = pl.DataFrame(rbe.Enricher([provider], windows="polars").run(bars).table)

    plain = pl.DataFrame(bars).lazy().select(**provider.made).collect(engine="in-memory")
    expected = plain.select(pl.all().cast(pl.Float64).fill_nan(None))
    assert_frame_equal(made.select(expected.columns), expected, check_exact=True)


def test_windows_of_any_providers_are_computed_once(native, monkeypatch):
    from rangebar_enrich._windows import staging

    asked = []
    original = staging.rolling

    def note(jobs, layout):
        asked.extend((len(job.inputs), one) for job in jobs for one in job.windows)
        return original(jobs, layout)

    monkeypatch.setattr(staging, "rolling", note)
    one = native("p", {"p_a": CLOSE - CLOSE.rolling_mean(4), "p_b": RETURN.rolling_std(3)})
    two = native("q", {"q_a": CLOSE / CLOSE.rolling_mean(4), "q_b": RETURN.rolling_std(3) * 2})
    three = native("r", {"r_a": pl.col("p_b").rolling_mean(2) + RETURN.rolling_std(3)})

    rbe.Enricher([one, two, three]).run(_bars([(100.0 + i % 7, 1.0, 2.0) for i in range(50)]))

    assert sorted((inputs, made.kind, made.size) for inputs, made in asked) == [
        (1, "mean", 2),
        (1, "mean", 4),
        (1, "std", 3),
    ]


def test_everything_is_one_collect(native, collected):
    reader = native("q", {"q_a": pl.col("p_nested").rolling_mean(3)}, min_bars=2)

    rbe.Enricher([_provider(native), reader]).run(_bars([(100.0, 1.0, 2.0)] * 30))

    assert [len(plans) for plans in collected] == [1]


@pytest.mark.parametrize(
    "broken",
    [
        pl.col("text").str.to_integer().rolling_mean(3),
        CLOSE.cast(pl.Int8).rolling_std(4),
        CLOSE.gather(pl.int_range(pl.len()) + 3).rolling_mean(2),
        CLOSE.map_batches(lambda s: s.head(3), return_dtype=pl.Float64).rolling_mean(2),
    ],
    ids=["parse", "cast", "gather", "short"],
)
def test_window_over_what_fails_is_local(broken, native):
    bars = _bars([(100.0 + i * 9, 1.0 + i % 3, 2.0) for i in range(40)])
    bars = bars.with_columns(text=pl.lit("x"))
    bad = native("q", {"q_a": broken, "q_b": CLOSE.rolling_mean(4)})

    result = rbe.Enricher([_provider(native), bad]).run(bars)

    assert [one.status for one in result.outcomes] == ["ok", "failed"]
    alone = rbe.Enricher([_provider(native)]).run(bars)
    assert result.table.drop_columns(["q_a", "q_b"]).equals(alone.table, check_metadata=True)


def test_explain_says_where_windows_run(native):
    exprs = {name: EXPRS[name] for name in ("score", "nested", "polars")}
    reader = native("q", {"q_a": pl.col("p_score").rolling_max(3)})

    text = rbe.Enricher([_provider(native, exprs), reader]).explain()

    assert [line.strip() for line in text.splitlines() if "window" in line and "plan:" in line] == [
        'windows before the plan: pl.col("close"): mean 4, std 4',
        'windows inside the plan: pl.col("close").log(2.718281828459045).diff(1): std 3',
        'windows inside the plan: pl.col("close").log(2.718281828459045).diff(1).rolling_std(3): mean 2',
        'windows inside the plan: pl.col("p_score"): max 3',
    ]
    assert text.count("window of Polars' own:") == 2


def test_windows_by_another_name_are_refused():
    with pytest.raises(ValueError, match=r"^'windows' is 'fast'; expected 'relative' or 'polars'"):
        rbe.Enricher([], windows="fast")


def test_lazy_frames_keep_polars_windows_and_stream(native):
    provider = _provider(native, tuple(EXPRS.keys() - RECURSIVE))
    bars = _bars([(100.0 + i % 5, 1.0 + i % 3, 2.0 + i % 7) for i in range(60)])

    lazy = rbe.enrich_bars(bars.lazy(), providers=[provider])

    assert "PYTHON" not in lazy.explain().upper()
    assert lazy.collect(engine="in-memory").height == bars.height
