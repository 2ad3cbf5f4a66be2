"""What users of other libraries reported of their indicators' values, tried on ours."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import rangebar_enrich as rbe
from rangebar_enrich.features import ta

KEY = {"symbol": "SIM", "threshold_decimal_bps": 250}
RATIOS = """rsi stochastic_k stochastic_d stochastic_slow_d stochastic_rsi stochastic_rsi_d williams_r cci cmo ultimate
    rate_of_change ppo ppo_signal trix tsi aroon_up aroon_down aroon_oscillator di_plus di_minus adx natr
    bollinger_percent bollinger_width chaikin_volatility choppiness ulcer chaikin_money_flow mfi r_squared zscore
    skew kurtosis hurst efficiency""".split()


def _features(bars, *stems):
    table = rbe.enrich_bars(bars, providers=[ta.Core(only=stems)], **KEY)
    return table.select(pl.col("^ta_.*$"))


def _of_close(values):
    """Return bars that are nothing but closes."""
    close = np.asarray(values, dtype=np.float64)
    return pl.DataFrame(dict.fromkeys(("open", "high", "low", "close"), close)).with_columns(
        volume=1.0
    )


@pytest.mark.parametrize(
    "scale", [2.0**-30, pytest.param(2.0**40, marks=pytest.mark.slow)], ids=["tiny", "huge"]
)
def test_ratios_do_not_see_the_unit_of_price_and_volume(scale, series):
    """TA-Lib takes what is below 1e-14 for 0, and a money flow below 1 (ta-lib-python#594, ta-lib#244)."""
    bars = series.head(300).select("open", "high", "low", "close", "volume")

    actual = _features(bars.with_columns(pl.all() * scale), *RATIOS)

    expected = _features(bars, *RATIOS)
    for name in expected.columns:
        got, want = actual[name].to_numpy(), expected[name].to_numpy()
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7, err_msg=name)


def test_one_hole_is_not_the_end(series):
    """In TA-Lib all that follows a NaN is NaN (ta-lib-python#601, #542)."""
    row = pl.int_range(pl.len())
    bars = series.head(400).with_columns(close=pl.when(row == 100).then(None).otherwise("close"))

    made = _features(bars, *[feature.stem for feature in ta.CATALOGUE])

    assert made[300:].null_count().row(0) == (0,) * made.width


def test_holes_before_the_first_value_only_delay(series):
    """pandas-ta seeded a mean of means from the holes before it (twopirllc/pandas-ta#402, pandas-ta-classic#161)."""
    bars = series.head(300)
    numbers = [name for name, dtype in bars.schema.items() if dtype.is_float()]
    late = bars.with_columns(
        pl.when(pl.int_range(pl.len()) >= 20).then(name).alias(name) for name in numbers
    )
    stems = "ema dema tema rsi macd_signal trix tsi di_plus adx atr keltner_upper".split()

    assert _features(late, *stems)[20:].equals(_features(bars[20:], *stems))


def test_strength_that_stands_still_is_neither_high_nor_low():
    """Noise in the last bit of a constant RSI read as oversold (jhTAlib#85, trading-signals#378)."""
    rising = _features(_of_close(100 + np.arange(60) / 7), "rsi", "stochastic_rsi")
    walk = np.cumsum(np.random.default_rng(1).normal(size=40)) + 100
    halted = _features(_of_close([*walk, *[walk[-1]] * 40]), "rsi", "stochastic_rsi")
    flat = _features(_of_close([5.0] * 60), "rsi", "stochastic_rsi")

    assert set(rising["ta_rsi_14"].drop_nulls()) == {100.0}
    assert rising["ta_stochastic_rsi_14_14"].null_count() == 60
    assert halted["ta_stochastic_rsi_14_14"][27:40].null_count() == 0
    assert halted["ta_stochastic_rsi_14_14"][53:].null_count() == 27
    assert flat["ta_rsi_14"].null_count() == 60


def test_aroon_reaches_both_ends():
    """With a window of w bars instead of w + 1 it never is 0 (bukosabino/ta#263, ta4j#21)."""
    rising = _features(_of_close(np.arange(1.0, 60)), "aroon_up", "aroon_down")

    assert set(rising["ta_aroon_up_25"].drop_nulls()) == {100.0}
    assert set(rising["ta_aroon_down_25"].drop_nulls()) == {0.0}


def test_short_series_has_no_value_and_no_error():
    """A second indicator over one that has no value yet raised an exception (ta-lib-python#585)."""
    made = _features(_of_close(np.arange(1.0, 10)), *[feature.stem for feature in ta.CATALOGUE])

    assert made.height == 9
    assert made["ta_stochastic_rsi_14_14"].null_count() == 9


def test_live_values_are_those_of_the_whole_history(series):
    """A bot that sees the last 500 candles has other EMAs than its backtest (freqtrade#5957, #9152)."""
    enricher = rbe.Enricher([ta.Core(only=["ema", "rsi", "adx", "obv"])])
    whole = pl.DataFrame(enricher.run(series, **KEY).table)
    bars = series.to_arrow()

    live = enricher.live(history=bars.slice(0, 900), history_is_complete=True, **KEY)
    made = pl.DataFrame(live.push(bars.slice(900)))

    for name in enricher.columns:
        assert made[name].equals(whole[name][900:]), name
