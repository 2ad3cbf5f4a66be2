"""Every feature held against its paper's formula, read window by window in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from corpus import readings as plain

from rangebar_enrich import BarContext
from rangebar_enrich.features import microstructure

LN2 = np.log(2.0)


def _quiet(value):
    """Divide as NumPy does; an undefined value is NaN."""
    with np.errstate(all="ignore"):
        made = value()
    return np.where(np.isfinite(made), made, np.nan)


def _imbalance(b):
    return _quiet(
        lambda: (b["buy_volume"] - b["sell_volume"]) / (b["buy_volume"] + b["sell_volume"])
    )


def _trade_imbalance(b):
    buys, sells = b["buy_trade_count"], b["sell_trade_count"]
    return (buys - sells) / (buys + sells)


def _flow(b):
    return b["buy_volume"] - b["sell_volume"]


def _volume(b):
    return b["buy_volume"] + b["sell_volume"]


def _returns(b):
    return np.log(b["close"] / plain.lag(b["close"]))


def _z(values, window):
    def of(seen):
        return _quiet(lambda: (seen[-1] - seen.mean()) / seen.std(ddof=1))

    return plain.windowed(of, window, values)


def _corr(left, right, window):
    def of(x, y):
        x, y = x - x.mean(), y - y.mean()
        return _quiet(lambda: (x @ y) / np.sqrt((x @ x) * (y @ y)))

    return plain.windowed(of, window, left, right)


def _line(values, regressor, window):
    """Return (intercept, slope) of the least-squares line of each window."""

    def slope(y, x):
        far = x - x.mean()
        return _quiet(lambda: (far @ (y - y.mean())) / (far @ far))

    made = plain.windowed(slope, window, values, regressor)
    return plain.mean(values, window) - made * plain.mean(regressor, window), made


def _share(top, bottom, window):
    return _quiet(lambda: plain.sums(window, top) / plain.sums(window, bottom))


def _vpin_of_volume(b):
    tilt, volume = abs(_flow(b)), _volume(b)
    made = np.full(len(volume), np.nan)
    for row in range(159, len(volume)):
        wanted = volume[row - 159 : row + 1].sum() / 4
        for size in (10, 20, 40, 80, 160):
            part = slice(row - size + 1, row + 1)
            if volume[part].sum() >= wanted:
                made[row] = tilt[part].sum() / volume[part].sum()
                break
    return made


def _gap(b):
    return _quiet(
        lambda: (b["buy_turnover"] / b["buy_volume"]) / (b["sell_turnover"] / b["sell_volume"]) - 1
    )


def _sizes(b):
    return _quiet(
        lambda: np.log(
            (b["buy_volume"] / b["buy_trade_count"]) / (b["sell_volume"] / b["sell_trade_count"])
        )
    )


def _duration(b):
    return np.log1p(b["duration_us"] / 1e3)


def _pace(b, window):
    return plain.sums(window, b["volume"]) / plain.sums(window, b["duration_us"] / 1e6)


def _root_flow(b):
    return np.sign(_flow(b)) * np.sqrt(abs(_flow(b)) * b["vwap"])


def _burstiness(b):
    spread = plain.windowed(lambda seen: np.std(seen, ddof=1), 50, b["duration_us"])
    mean = plain.mean(b["duration_us"], 50)
    return (spread - mean) / (spread + mean)


def _roll(b):
    def of(now, before):
        shared = np.cov(now, before)[0, 1]
        return 2 * np.sqrt(-shared) if shared <= 0 else np.nan

    return plain.windowed(of, 50, _returns(b), plain.lag(_returns(b)))


def _corwin_schultz(b):
    high, low = b["high"], b["low"]
    beta = np.log(high / low) ** 2 + np.log(plain.lag(high) / plain.lag(low)) ** 2
    gamma = np.log(np.maximum(high, plain.lag(high)) / np.minimum(low, plain.lag(low))) ** 2
    alpha = (np.sqrt(2 * beta) - np.sqrt(beta)) / (3 - 2 * np.sqrt(2))
    alpha -= np.sqrt(gamma / (3 - 2 * np.sqrt(2)))
    pair = 2 * (np.exp(alpha) - 1) / (1 + np.exp(alpha))
    return plain.mean(np.where(np.isnan(pair), np.nan, np.maximum(pair, 0)), 50)


def _abdi_ranaldo(b):
    middle, close = (np.log(b["high"]) + np.log(b["low"])) / 2, np.log(b["close"])
    before = plain.lag(close)
    mean = plain.mean((before - plain.lag(middle)) * (before - middle), 50)
    return 2 * np.sqrt(np.maximum(mean, 0))


def _bipower(b):
    def of(seen):
        size = abs(seen)
        return np.pi / 2 * 50 / 49 * np.sum(size[1:] * size[:-1])

    return plain.windowed(of, 50, _returns(b))


def _realised(b):
    return plain.sums(50, _returns(b), _returns(b))


def _parts(b):
    """Return u, d and c of Garman and Klass: high, low and close against the open."""
    return (np.log(b[name] / b["open"]) for name in ("high", "low", "close"))


def _garman_klass(b):
    up, down, body = _parts(b)
    return np.sqrt(plain.mean((up - down) ** 2 / 2 - (2 * LN2 - 1) * body**2, 50))


def _satchell(b):
    up, down, body = _parts(b)
    return plain.mean(up * (up - body) + down * (down - body), 50)


def _yang_zhang(b):
    k = 0.34 / (1.34 + 51 / 49)
    jump = np.log(b["open"] / plain.lag(b["close"]))
    body = np.log(b["close"] / b["open"])
    variance = [plain.windowed(lambda seen: np.var(seen, ddof=1), 50, one) for one in (jump, body)]
    return np.sqrt(variance[0] + k * variance[1] + (1 - k) * _satchell(b))


def _variance_ratio(b):
    far = np.log(b["close"] / plain.lag(b["close"], 5))
    top, bottom = (
        plain.windowed(lambda seen: np.var(seen, ddof=1), 50, one) for one in (far, _returns(b))
    )
    return top / (5 * bottom)


def _runs(sides):
    made = np.zeros(len(sides))
    for row, side in enumerate(sides):
        goes_on = row and side == sides[row - 1]
        made[row] = made[row - 1] + side if goes_on else side
    return made


def _direction(b):
    return np.sign(b["close"] - b["open"])


def _turns(sides):
    return np.where(
        np.arange(len(sides)) == 0, np.nan, sides != np.concatenate([[np.nan], sides[:-1]])
    )


def _entropy(b):
    runs, turns = abs(_runs(_direction(b))), _turns(_direction(b))
    made = np.full(len(runs), np.nan)
    for row in range(104, len(runs)):
        ends = [at for at in range(row - 99, row + 1) if turns[at]]
        lengths = np.minimum(runs[np.array(ends) - 1], 5)
        shares = np.unique(lengths, return_counts=True)[1] / len(lengths)
        made[row] = -np.sum(shares * np.log2(shares))
    return made


def _asymmetry(b):
    side = np.sign(_flow(b))
    made = np.full(len(side), np.nan)
    for row in range(50, len(side)):
        part = range(row - 49, row + 1)
        means = []
        for sign in (1, -1):
            bars = sum(side[at] == sign for at in part)
            begun = sum(side[at] == sign and side[at - 1] != sign for at in part)
            means.append(bars / begun if begun else np.nan)
        made[row] = (means[0] - means[1]) / (means[0] + means[1])
    return made


def _detour(b):
    return _quiet(lambda: (b["high"] - b["low"]) / abs(b["close"] - b["open"]) - 1)


def _vwap_deviation(b):
    return b["close"] / b["vwap"] - 1


def _squared_range(b):
    return np.log(b["high"] / b["low"]) ** 2


def _intensity(b):
    return _quiet(lambda: b["individual_trade_count"] / (b["duration_us"] / 1e6))


READINGS = {
    "imbalance": _imbalance,
    "imbalance_of_window_20": lambda b: _share(_flow(b), _volume(b), 20),
    "imbalance_of_window_50": lambda b: _share(_flow(b), _volume(b), 50),
    "imbalance_zscore_50": lambda b: _z(_imbalance(b), 50),
    "imbalance_autocorrelation_50": lambda b: _corr(_imbalance(b), plain.lag(_imbalance(b)), 50),
    "imbalance_at_equal_price_50": lambda b: _line(_imbalance(b), _returns(b), 50)[0],
    "trade_imbalance": _trade_imbalance,
    "trade_imbalance_of_window_20": lambda b: _share(
        b["buy_trade_count"] - b["sell_trade_count"],
        b["buy_trade_count"] + b["sell_trade_count"],
        20,
    ),
    "aggressor_gap": _gap,
    "size_ratio": _sizes,
    "vpin_50": lambda b: _share(abs(_flow(b)), _volume(b), 50),
    "vpin_of_volume_160": _vpin_of_volume,
    "log_duration": _duration,
    "duration_zscore_50": lambda b: _z(_duration(b), 50),
    "intensity": _intensity,
    "intensity_of_window_20": lambda b: _share(
        b["individual_trade_count"], b["duration_us"] / 1e6, 20
    ),
    "intensity_zscore_50": lambda b: _z(np.log1p(b["individual_trade_count"]) - _duration(b), 50),
    "burst_share_50": lambda b: plain.mean(
        (b["individual_trade_count"] > b["duration_us"] / 1e3).astype(float), 50
    ),
    "burstiness_50": _burstiness,
    "volume_pace_20": lambda b: _pace(b, 20),
    "volume_pace_change_10_50": lambda b: np.log(_pace(b, 10) / _pace(b, 50)),
    "log_trade_size": lambda b: np.log(b["volume"] / b["individual_trade_count"]),
    "trade_size_zscore_50": lambda b: _z(np.log(b["volume"] / b["individual_trade_count"]), 50),
    "aggregation": lambda b: b["individual_trade_count"] / b["agg_record_count"],
    "log_return": _returns,
    "kyle_lambda_50": lambda b: _line(b["close"] - plain.lag(b["close"]), _flow(b), 50)[1],
    "kyle_r_squared_50": lambda b: _corr(_returns(b), _flow(b), 50) ** 2,
    "hasbrouck_slope_50": lambda b: _line(_returns(b), _root_flow(b), 50)[1],
    "amihud_50": lambda b: plain.mean(abs(_returns(b)) / (b["volume"] * b["vwap"]), 50),
    "flow_return_correlation_50": lambda b: _corr(_imbalance(b), _returns(b), 50),
    "flow_lead_50": lambda b: _corr(plain.lag(_imbalance(b)), _returns(b), 50),
    "roll_spread_50": _roll,
    "return_autocorrelation_50": lambda b: _corr(_returns(b), plain.lag(_returns(b)), 50),
    "corwin_schultz_50": _corwin_schultz,
    "abdi_ranaldo_50": _abdi_ranaldo,
    "realised_volatility_50": lambda b: np.sqrt(_realised(b)),
    "bipower_volatility_50": lambda b: np.sqrt(_bipower(b)),
    "jump_share_50": lambda b: np.maximum(1 - _bipower(b) / _realised(b), 0),
    "downside_share_50": lambda b: _share(
        np.where(_returns(b) < 0, _returns(b) ** 2, 0 * _returns(b)), _returns(b) ** 2, 50
    ),
    "variance_ratio_50_5": _variance_ratio,
    "realised_range_20": lambda b: np.sqrt(plain.sums(20, _squared_range(b)) / (4 * LN2)),
    "parkinson_50": lambda b: np.sqrt(plain.mean(_squared_range(b), 50) / (4 * LN2)),
    "garman_klass_50": _garman_klass,
    "rogers_satchell_50": lambda b: np.sqrt(_satchell(b)),
    "yang_zhang_50": _yang_zhang,
    "vwap_deviation": _vwap_deviation,
    "vwap_deviation_zscore_50": lambda b: _z(_vwap_deviation(b), 50),
    "vwap_position": lambda b: _quiet(lambda: (b["vwap"] - b["low"]) / (b["high"] - b["low"])),
    "detour": _detour,
    "run_length": lambda b: _runs(_direction(b)),
    "run_entropy_100": _entropy,
    "reversal_rate_20": lambda b: plain.mean(_turns(_direction(b)), 20),
    "reversal_rate_50": lambda b: plain.mean(_turns(_direction(b)), 50),
    "flow_run_length": lambda b: _runs(np.sign(_flow(b))),
    "flow_run_asymmetry_50": _asymmetry,
    "flow_reversal_rate_50": lambda b: plain.mean(_turns(np.sign(_flow(b))), 50),
}


def test_every_column_has_a_reading():
    names = {name.removeprefix("microstructure_") for name in microstructure.Core().columns}

    assert names == set(READINGS)


@pytest.fixture(scope="module")
def features(series):
    return dict(microstructure.Core().expressions(BarContext(columns=dict(series.schema))))


@pytest.mark.parametrize("column", READINGS)
def test_feature_equals_its_formula(column, series, features, arrays, compute, assert_same):
    actual = compute(series, features[f"microstructure_{column}"])

    expected = READINGS[column](arrays(series))

    assert_same(actual, expected, np.nanmax(np.abs(expected)))
