"""Make up the trades of a market: seeded, fast, with the traits that break naive code.

Taker orders arrive in bursts; one order's fills share a millisecond, a side and walk away from
the middle. Sides persist, prices carry a spread, the market calms down and turns wild, and the
feed has gaps. No trait is fitted to an exchange: for real trades see `rangebar_enrich.demo.trades`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from rangebar_enrich.demo.trades import TRADE_SCHEMA

_Floats = np.ndarray[Any, np.dtype[np.float64]]
_Ints = np.ndarray[Any, np.dtype[np.int64]]

START_MS = 1_704_672_000_000
"""2024-01-08 00:00 UTC, a Monday: the default week stays in one month."""

_OPENING_PRICE = 43_000.0
_TICK, _LOT = 0.01, 0.00001
_SIDE_PERSISTS = 0.8
_FILLS_END = 0.7  # chance that a fill is the order's last: 1.4 fills an order
_IMPACT = 2e-5  # log price for each order, towards its side
_HALF_SPREAD = 2e-5  # log price
_LEVEL = 1e-5  # log price from one fill of an order to the next
_REGIMES = (1.5e-4, 4.5e-4, 2.5e-4)  # log price for each order, one standard deviation
_GAPS = 4


class _Orders(NamedTuple):
    """Taker orders, in time order: arrival, side (+1 buys), log middle price before the order."""

    time_ms: _Ints
    side: _Ints
    log_mid: _Floats


def simulate_trades(count: int = 250_000, *, seed: int = 7, start_ms: int = START_MS) -> pa.Table:
    """Return `count` aggregated trades of an invented market, oldest first.

    Args:
        count: Number of trades, at least 1. About 30,000 fall on one simulated day.
        seed: Equal seeds (and counts) give equal trades.
        start_ms: Time of the first trade, milliseconds since 1970 UTC.

    Returns:
        A table of `TRADE_SCHEMA`: two-sided flow, bursts that share a millisecond, four gaps of
        10 to 90 minutes, and calm, wild and moderate volatility in turn.
    """
    rng = np.random.default_rng(seed)
    fills = rng.geometric(_FILLS_END, size=count)
    order_of_fill = np.repeat(np.arange(count), fills)[:count]
    orders = _orders(rng, int(order_of_fill[-1]) + 1, start_ms)
    level = _place_in_group(order_of_fill)
    side = orders.side[order_of_fill]
    log_price = orders.log_mid[order_of_fill] + side * (_HALF_SPREAD + _LEVEL * level)
    individual = rng.geometric(0.85, size=count)  # trades that the exchange put into one
    last_id = np.cumsum(individual)
    return pa.table(
        {
            "agg_trade_id": np.arange(1, count + 1),
            "price": np.maximum(_TICK, np.round(np.exp(log_price) / _TICK) * _TICK).round(2),
            "quantity": _quantities(rng, count),
            "first_trade_id": last_id - individual + 1,
            "last_trade_id": last_id,
            "timestamp": orders.time_ms[order_of_fill],
            "is_buyer_maker": side < 0,
        },
        schema=TRADE_SCHEMA,
    )


def _orders(rng: np.random.Generator, count: int, start_ms: int) -> _Orders:
    """Draw `count` taker orders."""
    turns = np.cumsum(rng.random(count) > _SIDE_PERSISTS)
    side = np.where(turns % 2 == 0, 1, -1)
    volatility = _volatility(rng, count)
    shocks = rng.standard_t(4, size=count) / np.sqrt(2.0)  # unit variance, fat tails
    steps = volatility * shocks + _IMPACT * side
    log_mid = np.log(_OPENING_PRICE) + np.cumsum(steps) - steps[0]
    waits = _waits_ms(rng, volatility)
    waits[0] = 0
    return _Orders(start_ms + np.cumsum(waits), side, log_mid)


def _volatility(rng: np.random.Generator, count: int) -> _Floats:
    """Return each order's standard deviation: calm, then wild, then moderate."""
    wild, moderate = (int(count * (share + rng.uniform(-0.05, 0.05))) for share in (0.45, 0.75))
    calm_end, wild_end = max(1, wild), max(1, moderate)
    volatility = np.full(count, _REGIMES[0])
    volatility[calm_end:] = _REGIMES[1]
    volatility[wild_end:] = _REGIMES[2]
    return volatility


def _waits_ms(rng: np.random.Generator, volatility: _Floats) -> _Ints:
    """Return the wait before each order: bursts, lulls, four gaps; shorter when it is wild."""
    count = len(volatility)
    in_burst = rng.random(count) < 0.6
    mean_ms = np.where(in_burst, 25.0, 9_000.0 * _REGIMES[2] / volatility)
    waits = rng.exponential(mean_ms).astype(np.int64)
    at = rng.integers(1, max(2, count), size=_GAPS)
    waits[np.minimum(at, count - 1)] += rng.integers(600_000, 5_400_000, size=_GAPS)
    return waits


def _quantities(rng: np.random.Generator, count: int) -> _Floats:
    """Return quantities in lots, heavy-tailed over five orders of magnitude."""
    raw = rng.lognormal(mean=-4.0, sigma=1.8, size=count)
    return np.maximum(_LOT, raw.round(5))


def _place_in_group(group: _Ints) -> _Ints:
    """Return 0, 1, 2 … within each run of equal values of the sorted `group`."""
    place = np.arange(len(group))
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    lengths = np.diff(starts, append=len(group))
    return place - np.repeat(starts, lengths)
