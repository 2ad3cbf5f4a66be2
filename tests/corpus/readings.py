"""Formulas read bar by bar in NumPy: slow, plain, and nothing like an expression."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Array = np.ndarray


def windowed(reduce: Callable[..., Array], window: int, *values: Array) -> Array:
    """Return `reduce` of each full window; NaN before, and where a window holds one."""
    seen = [sliding_window_view(one, window) for one in values]
    made = np.array([reduce(*parts) for parts in zip(*seen, strict=True)], dtype=np.float64)
    whole = ~np.isnan(np.stack(seen)).any(axis=(0, 2))
    return np.concatenate([np.full(window - 1, np.nan), np.where(whole, made, np.nan)])


def lag(values: Array, rows: int = 1) -> Array:
    return np.concatenate([np.full(rows, np.nan), values[:-rows]])


def sums(window: int, *values: Array) -> Array:
    return windowed(lambda *parts: np.sum(np.prod(parts, axis=0)), window, *values)


def mean(values: Array, window: int) -> Array:
    return windowed(np.mean, window, values)


def seeded(values: Array, window: int, share: float) -> Array:
    """Return the exponential mean that begins with the simple mean of the first values."""
    made, seen, last = np.full(len(values), np.nan), [], np.nan
    for row, value in enumerate(values):
        if np.isnan(value):
            continue
        seen.append(value)
        if len(seen) == window:
            last = np.mean(seen)
        elif len(seen) > window:
            last += share * (value - last)
        made[row] = last
    return made


def ema(values: Array, window: int) -> Array:
    return seeded(values, window, 2 / (window + 1))


def wilder(values: Array, window: int) -> Array:
    return seeded(values, window, 1 / window)


def true_range(high: Array, low: Array, close: Array) -> Array:
    return np.maximum(high, lag(close)) - np.minimum(low, lag(close))


def wma(values: Array, window: int) -> Array:
    return windowed(lambda seen: np.average(seen, weights=np.arange(1, window + 1)), window, values)


def close_location(high: Array, low: Array, close: Array) -> Array:
    span = high - low
    return np.where(span > 0, (2 * close - high - low) / np.where(span > 0, span, 1), 0)


def session_mean(price: Array, volume: Array, day: Array) -> Array:
    made = np.full(len(price), np.nan)
    for row in range(len(price)):
        if row == 0 or day[row] != day[row - 1]:
            first = row
        part = slice(first, row + 1)
        made[row] = np.sum(price[part] * volume[part]) / np.sum(volume[part])
    return made


def rescaled_range(prices: Array, size: int) -> Array:
    """Return R / S of the last `size` log returns."""

    def of(seen: Array) -> float:
        returns = np.diff(seen)
        way = np.concatenate([[0.0], np.cumsum(returns - returns.mean())])
        return (way.max() - way.min()) / returns.std()

    return windowed(of, size + 1, np.log(prices))


def hurst(prices: Array, window: int) -> Array:
    sizes = [window, window // 2, window // 4]
    scaled = [mean(rescaled_range(prices, size), window - size + 1) for size in sizes]
    slope = np.polyfit(np.log(sizes), np.log(np.nan_to_num(np.array(scaled), nan=1.0)), 1)[0]
    return np.where(np.isnan(scaled).any(axis=0), np.nan, slope)


def skew(values: Array, window: int) -> Array:
    def of(seen: Array) -> float:
        n, far = len(seen), seen - seen.mean()
        return np.sqrt(n * (n - 1)) / (n - 2) * np.mean(far**3) / np.mean(far**2) ** 1.5

    return windowed(of, window, values)


def kurtosis(values: Array, window: int) -> Array:
    def of(seen: Array) -> float:
        n, far = len(seen), seen - seen.mean()
        excess = np.mean(far**4) / np.mean(far**2) ** 2 - 3
        return (n - 1) * ((n + 1) * excess + 6) / ((n - 2) * (n - 3))

    return windowed(of, window, values)
