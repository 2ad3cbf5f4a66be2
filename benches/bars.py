"""Seeded bars with the builder's columns: a random walk in steps of the threshold."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pyarrow as pa

THRESHOLD = 250
SYMBOL = "BTCUSDT"
START_US = 1_704_067_200_000_000  # 2024-01-01
SEED = 20_240_101


@lru_cache(maxsize=4)
def make_bars(rows: int, *, seed: int = SEED) -> pa.Table:
    """Return `rows` bars of one series, with the columns and types of the Rust builder."""
    rng = np.random.default_rng(seed)
    width = THRESHOLD / 100_000
    steps = np.where(rng.random(rows) < 0.5, -width, width) * rng.uniform(1.0, 1.2, rows)
    close = 40_000.0 * np.exp(_reflected(np.cumsum(steps)))
    open_ = np.concatenate([[40_000.0], close[:-1]])
    high = np.maximum(open_, close) * (1 + rng.uniform(0, width / 4, rows))
    low = np.minimum(open_, close) * (1 - rng.uniform(0, width / 4, rows))
    volume = rng.lognormal(3.0, 1.0, rows)
    bought = volume * rng.uniform(0.2, 0.8, rows)
    duration = rng.integers(50_000, 200_000, rows)
    close_time = START_US + np.cumsum(duration)
    trades = rng.integers(5, 500, rows)
    columns = {
        "open_time": close_time - duration,
        "close_time": close_time,
        "open": open_,
        "high": high,
        "low": low,
        "close": close,
        "volume": volume,
        "vwap": (high + low + close) / 3,
        "buy_volume": bought,
        "sell_volume": volume - bought,
        "individual_trade_count": trades.astype(np.uint32),
        "duration_us": duration,
        "ofi": 2 * bought / volume - 1,
        "trade_intensity": trades / (duration / 1e6),
    }
    table = pa.table(columns)
    return table.replace_schema_metadata(
        {"symbol": SYMBOL, "threshold_decimal_bps": str(THRESHOLD)}
    )


def _reflected(walk: np.ndarray) -> np.ndarray:
    """Keep a walk within ±0.5 by mirrors, so that 20M bars do not reach zero or infinity."""
    return 0.5 - np.abs((walk + 0.5) % 2.0 - 1.0)


def many_series(series: int, rows: int, *, interleaved: bool = False) -> pa.Table:
    """Return `series` series of `rows` bars, equal to one walk cut into pieces.

    Args:
        series: Number of symbols.
        rows: Bars of each.
        interleaved: Row after row of different symbols instead of symbol after symbol.
    """
    table = make_bars(series * rows)
    symbols = pa.array([f"S{number:05}" for number in range(series)])
    codes = np.repeat(np.arange(series, dtype=np.int32), rows)
    table = table.append_column("symbol", pa.DictionaryArray.from_arrays(codes, symbols))
    thresholds = pa.array(np.full(table.num_rows, THRESHOLD, np.uint32))
    table = table.append_column("threshold_decimal_bps", thresholds).replace_schema_metadata({})
    return table.take(interleaving(series, rows)) if interleaved else table


def interleaving(series: int, rows: int) -> np.ndarray:
    """Return for each interleaved row its place in the table of runs."""
    return np.arange(series * rows).reshape(series, rows).T.reshape(-1)
