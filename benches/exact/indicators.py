"""Workload A's features in exact arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction

from benches.exact.arithmetic import DIGITS, Bars, Value, as_float, deviation, mean, ratio

_FADED = 40
"""Windows of an exponential mean after which its start weighs less than 1e-34."""


def _zscore(bars: Bars, row: int, w: int) -> Value:
    rows = bars.window("close", row, w)
    return ratio(rows[-1] - mean(rows), deviation(rows))


def _ema(bars: Bars, row: int, w: int) -> Value:
    share = Fraction(2, w + 1)
    rows = bars.window("close", row, min(bars.earlier(row) + 1, _FADED * w))
    made = Decimal(float(rows[0]))
    keep, add = (
        DIGITS.divide(Decimal(x.numerator), Decimal(x.denominator)) for x in (1 - share, share)
    )
    for value in rows[1:]:
        made = DIGITS.add(DIGITS.multiply(made, keep), DIGITS.multiply(Decimal(float(value)), add))
    return Fraction(made)


def _stochastic(bars: Bars, row: int, w: int) -> Value:
    lowest, highest = min(bars.window("low", row, w)), max(bars.window("high", row, w))
    return ratio(100 * (bars.at("close", row) - lowest), highest - lowest)


INDICATORS: Mapping[str, Callable[[Bars, int, int], Value]] = {
    "mean": lambda bars, row, w: mean(bars.window("close", row, w)),
    "std": lambda bars, row, w: deviation(bars.window("close", row, w)),
    "zscore": _zscore,
    "return": lambda bars, row, w: bars.at("close", row) / bars.at("close", row - w) - 1,
    "ema": _ema,
    "stochastic": _stochastic,
}


def indicators(bars: Bars) -> Callable[[str, int], float | None]:
    """Return what gives workload A's feature `<name>_<stem>_<window>` in a row."""

    def value(column: str, row: int) -> float | None:
        stem, window = column.split("_")[-2:]
        width = int(window)
        if bars.earlier(row) < (width if stem == "return" else width - 1):
            return None
        return as_float(INDICATORS[stem](bars, row, width))

    return value
