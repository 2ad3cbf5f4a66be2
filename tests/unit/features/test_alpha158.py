from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from rangebar_enrich.features import Alpha158
from rangebar_enrich.features.alpha158 import EPSILON, WINDOWS, documentation_table
from rangebar_enrich.protocol import BarContext

ROOT = Path(__file__).resolve().parents[3]
TRADES = ROOT.parent / "shared" / "data" / "xrpeth-aggtrades-2019-10-11.parquet"
TOLERANCE = 1e-9


def simulated_bars(rows: int = 700, seed: int = 7, price: float = 40_000.0) -> pl.DataFrame:
    """Return a walk whose volumes span five orders of magnitude and whose prices tie often."""
    rng = np.random.default_rng(seed)
    tick = price * 2.5e-4
    close = np.round(price + np.cumsum(rng.integers(-4, 5, rows)) * tick, 12)
    open_ = np.concatenate([[price], close[:-1]])
    high = np.maximum(open_, close) + rng.integers(0, 3, rows) * tick
    low = np.minimum(open_, close) - rng.integers(0, 3, rows) * tick
    return pl.DataFrame(
        {
            "open": open_,
            "high": high,
            "low": low,
            "close": close,
            "volume": rng.lognormal(1.0, 3.0, rows),
            "vwap": (high + low) / 2,
        }
    )


def real_bars(threshold: int) -> pl.DataFrame:
    if not TRADES.exists():
        pytest.skip("no real trades beside the project")
    core = pytest.importorskip("rangebar._core")
    trades = pl.read_parquet(TRADES).rename({"quantity": "volume"}).to_dicts()
    for trade in trades:
        trade["quantity"] = trade.pop("volume")
    builder = core.PyRangeBarProcessor(threshold, symbol="XRPETH")
    return pl.DataFrame(builder.process_trades_streaming_arrow(trades))


def features_of(bars: pl.DataFrame) -> pl.DataFrame:
    """Return the features as the engine stores them: float64, undefined is null."""
    context = BarContext(columns=dict(bars.schema))
    named = Alpha158().expressions(context)
    frame = bars.lazy().select(**named).collect(engine="in-memory")
    return frame.with_columns(pl.all().cast(pl.Float64).fill_nan(None))


def windows_of(values: np.ndarray, window: int) -> np.ndarray:
    """Return one row of `window` values per bar, the current bar last; NaN before the start."""
    padded = np.concatenate([np.full(window - 1, np.nan), values])
    return sliding_window_view(padded, window)


def lagged(values: np.ndarray, rows: int) -> np.ndarray:
    return np.concatenate([np.full(min(rows, len(values)), np.nan), values[: len(values) - rows]])


def where_whole(seen: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(seen).any(axis=1), np.nan, values)


def reference(bars: pl.DataFrame) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return name to (value, scale of the inputs): the formulas read row by row in numpy."""
    with np.errstate(all="ignore"):
        return _bar_reference(bars) | {
            name: pair for w in WINDOWS for name, pair in _window_reference(bars, w).items()
        }


def _bar_reference(bars: pl.DataFrame) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    o, h, lo, c, vwap = (
        bars[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        for name in ("open", "high", "low", "close", "vwap")
    )
    spread = h - lo + EPSILON
    top, bottom = np.maximum(o, c), np.minimum(o, c)
    values = {
        "kmid": (c - o) / o,
        "klen": (h - lo) / o,
        "kmid2": (c - o) / spread,
        "kup": (h - top) / o,
        "kup2": (h - top) / spread,
        "klow": (bottom - lo) / o,
        "klow2": (bottom - lo) / spread,
        "ksft": (2 * c - h - lo) / o,
        "ksft2": (2 * c - h - lo) / spread,
        "open0": o / c,
        "high0": h / c,
        "low0": lo / c,
        "vwap0": vwap / c,
    }
    one = np.ones_like(c)
    return {
        name: (value, c / spread if name.endswith("2") else one) for name, value in values.items()
    }


def _window_reference(bars: pl.DataFrame, w: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    h, lo, c, v = (
        bars[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        for name in ("high", "low", "close", "volume")
    )
    seen, highs, lows = windows_of(c, w), windows_of(h, w), windows_of(lo, w)
    volumes = windows_of(v, w)
    steps, volume_steps = c - lagged(c, 1), v - lagged(v, 1)
    change = c / lagged(c, 1)
    moved = windows_of(np.abs(change - 1) * v, w)
    row = np.arange(w) - (w - 1) / 2
    mean = seen.mean(axis=1)
    slope = (seen - mean[:, None]) @ row / (row @ row)
    spread = ((seen - mean[:, None]) ** 2).sum(axis=1)
    fitted = mean + slope * (w - 1) / 2
    less = (seen < c[:, None]).sum(axis=1)
    equal = (seen == c[:, None]).sum(axis=1)
    most = where_whole(highs, np.argmax(highs, axis=1) + 1.0)
    least = where_whole(lows, np.argmin(lows, axis=1) + 1.0)
    up = where_whole(windows_of(steps, w), (windows_of(steps, w) > 0).mean(axis=1))
    down = where_whole(windows_of(steps, w), (windows_of(steps, w) < 0).mean(axis=1))
    one = np.ones_like(c)
    relative_volume = np.abs(volumes).max(axis=1) / (v + EPSILON)
    moved_scale = np.abs(moved).max(axis=1) / (moved.mean(axis=1) + EPSILON)
    low_most = lows.min(axis=1)
    values = {
        "roc": (lagged(c, w) / c, one),
        "ma": (mean / c, one),
        "std": (seen.std(axis=1, ddof=1) / c, one),
        "beta": (slope / c, one),
        "rsqr": (
            np.where(spread > 0, slope**2 * (row @ row) / spread, np.nan),
            np.sqrt(w) * c / np.sqrt(spread),
        ),
        "resi": ((c - fitted) / c, one),
        "max": (highs.max(axis=1) / c, one),
        "min": (low_most / c, one),
        "qtlu": (np.quantile(seen, 0.8, axis=1) / c, one),
        "qtld": (np.quantile(seen, 0.2, axis=1) / c, one),
        "rank": (where_whole(seen, (less + (equal + 1) / 2) / w), one),
        "rsv": (
            (c - low_most) / (highs.max(axis=1) - low_most + EPSILON),
            c / (highs.max(axis=1) - low_most + EPSILON),
        ),
        "imax": (most / w, one),
        "imin": (least / w, one),
        "imxd": ((most - least) / w, one),
        "corr": _correlation(seen, windows_of(np.log(v + 1), w)),
        "cord": _correlation(windows_of(change, w), windows_of(np.log(v / lagged(v, 1) + 1), w)),
        "cntp": (up, one),
        "cntn": (down, one),
        "cntd": (up - down, one),
        "vma": (volumes.mean(axis=1) / (v + EPSILON), relative_volume),
        "vstd": (volumes.std(axis=1, ddof=1) / (v + EPSILON), relative_volume),
        "wvma": (moved.std(axis=1, ddof=1) / (moved.mean(axis=1) + EPSILON), moved_scale),
    }
    values |= _balance("sum", windows_of(steps, w), c) | _balance(
        "vsum", windows_of(volume_steps, w), np.abs(volumes).max(axis=1)
    )
    return {f"{name}{w}": pair for name, pair in values.items()}


def _balance(
    stem: str, steps: np.ndarray, level: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    travel = np.abs(steps).sum(axis=1) + EPSILON
    gains = where_whole(steps, np.maximum(steps, 0).sum(axis=1)) / travel
    losses = where_whole(steps, np.maximum(-steps, 0).sum(axis=1)) / travel
    scale = level / travel
    return {
        f"{stem}p": (gains, scale),
        f"{stem}n": (losses, scale),
        f"{stem}d": (gains - losses, scale),
    }


def _correlation(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x = left - left.mean(axis=1, keepdims=True)
    y = right - right.mean(axis=1, keepdims=True)
    size = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    levels = np.sqrt((left**2).sum(axis=1) * (right**2).sum(axis=1))
    return np.where(size > 0, (x * y).sum(axis=1) / size, np.nan), levels / size


def assert_agrees(bars: pl.DataFrame) -> None:
    actual = features_of(bars)
    expected = reference(bars)
    assert {f"alpha158_{name}" for name in expected} == set(actual.columns)
    for name, (value, scale) in expected.items():
        column = actual[f"alpha158_{name}"]
        undefined = np.isnan(value)
        np.testing.assert_array_equal(column.is_null().to_numpy(), undefined, err_msg=name)
        got, want = column.to_numpy()[~undefined], value[~undefined]
        same = (got == want) | (
            np.abs(got - want) <= TOLERANCE * np.maximum(scale, 1.0)[~undefined]
        )
        assert same.all(), (name, np.abs(got - want).max())


@pytest.mark.parametrize("price", [40_000.0, 7e-4], ids="price={}".format)
def test_alpha158_equals_numpy_reading(price):
    assert_agrees(simulated_bars(price=price))


@pytest.mark.real_data
@pytest.mark.parametrize("threshold", [5, 50, 250], ids="dbps={}".format)
def test_alpha158_equals_numpy_on_real_bars(threshold):
    assert_agrees(real_bars(threshold))


@pytest.mark.parametrize("hole", [None, float("nan")], ids=["null", "nan"])
@pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume"])
def test_alpha158_hole_undefines_its_windows(column, hole):
    holed = pl.when(pl.int_range(pl.len()).is_in([100, 101, 260])).then(hole).otherwise(column)
    assert_agrees(simulated_bars(400).with_columns(holed.alias(column)))


def test_alpha158_far_from_zero_keeps_digits():
    rng = np.random.default_rng(3)
    close = 1e9 + rng.normal(0.0, 1.0, 500)
    bars = simulated_bars(500).with_columns(
        close=pl.Series(close), open=pl.Series(close), high=pl.Series(close + 1), low=close - 1
    )
    actual, expected = features_of(bars), reference(bars)
    for name, allowed in {"beta20": 1e-16, "resi20": 1e-15, "rsqr20": 1e-5}.items():
        got = actual[f"alpha158_{name}"].to_numpy()[20:]
        np.testing.assert_allclose(got, expected[name][0][20:], rtol=0, atol=allowed)


def test_alpha158_constant_window_has_no_correlation():
    bars = simulated_bars(200).with_columns(pl.lit(5.0).alias(name) for name in ("close", "open"))
    actual = features_of(bars)
    for stem in ("rsqr", "corr", "cord"):
        assert actual[f"alpha158_{stem}20"].null_count() == 200
    assert actual["alpha158_beta20"].drop_nulls().to_list() == [0.0] * 181
    assert set(actual["alpha158_rank20"].drop_nulls()) == {10.5 / 20}


def test_alpha158_zero_volume_stays_local():
    volume = pl.when(pl.int_range(pl.len()) == 150).then(0.0).otherwise("volume")
    calm, struck = simulated_bars(400), simulated_bars(400).with_columns(volume=volume)
    before, after = features_of(calm)[220:], features_of(struck)[220:]
    for name in Alpha158.columns:
        actual, expected = after[name].to_numpy(), before[name].to_numpy()
        np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9, err_msg=name)


def test_alpha158_position_difference_can_be_negative():
    rising = simulated_bars(80).with_columns(
        high=pl.int_range(pl.len()).cast(pl.Float64).reverse() + 1e5, low=pl.lit(1.0)
    )
    falling = rising.with_columns(low=pl.int_range(pl.len()).cast(pl.Float64).reverse())
    actual = features_of(falling)["alpha158_imxd5"].drop_nulls()
    assert set(actual) == {(1 - 5) / 5}


def test_alpha158_warm_up_is_exact():
    actual = features_of(simulated_bars(200))
    first = {name: int(actual[name].is_not_null().arg_max() or 0) for name in actual.columns}
    assert first == dict(Alpha158().min_bars)


def test_alpha158_lookback_fixes_values():
    bars = simulated_bars(400)
    tail = features_of(bars.tail(Alpha158.lookback + 1)).tail(1)
    whole = features_of(bars).tail(1)
    for name in Alpha158.columns:
        assert tail[name].item() == pytest.approx(whole[name].item(), rel=1e-9, abs=1e-11), name


def test_alpha158_without_vwap_takes_typical_price():
    bars = simulated_bars(10).drop("vwap")
    typical = bars.select(pl.sum_horizontal("high", "low", "close") / 3 / pl.col("close"))
    actual = features_of(bars)["alpha158_vwap0"]
    np.testing.assert_allclose(actual.to_numpy(), typical.to_series().to_numpy(), rtol=1e-15)


def test_alpha158_declares_what_it_makes():
    provider = Alpha158()
    names = list(provider.expressions(BarContext()))
    assert names == list(provider.columns)
    assert len(names) == 158
    assert all(name.startswith("alpha158_") for name in names)
    assert set(provider.min_bars) == set(names)


def test_alpha158_pickles():
    copy = pickle.loads(pickle.dumps(Alpha158()))  # noqa: S301 - our own bytes
    assert copy.columns == Alpha158.columns


def test_alpha158_documentation_is_in_step():
    page = (ROOT / "docs" / "alpha158.md").read_text(encoding="utf-8")
    assert documentation_table() in page
