"""Alpha158's features in exact arithmetic, from Qlib's definitions (docs/alpha158.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import pairwise

from benches.exact.arithmetic import (
    Bars,
    Rows,
    Value,
    as_float,
    covariance,
    deviation,
    log,
    mean,
    ratio,
    root,
)

EPSILON = Fraction(1e-12)


def _line(rows: Rows) -> tuple[Fraction, Fraction]:
    """Return slope and intercept of the least-squares line, the oldest row at 0."""
    places = [Fraction(x) for x in range(len(rows))]
    slope = covariance(places, rows) / covariance(places, places)
    return slope, mean(rows) - slope * mean(places)


def _correlation(left: Rows, right: Rows) -> Value:
    return ratio(covariance(left, right), root(covariance(left, left) * covariance(right, right)))


def _quantile(rows: Rows, share: Fraction) -> Fraction:
    ordered, place = sorted(rows), share * (len(rows) - 1)
    low = int(place)
    high = min(low + 1, len(rows) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _rank(rows: Rows) -> Fraction:
    smaller = sum(x < rows[-1] for x in rows)
    equal = sum(x == rows[-1] for x in rows)
    return Fraction(2 * smaller + equal + 1, 2 * len(rows))


def _place(rows: Rows, extreme: Fraction) -> int:
    return rows.index(extreme) + 1


class _Alpha:
    """Alpha158's features of one row."""

    def __init__(self, bars: Bars, row: int) -> None:
        self._bars, self._row = bars, row

    def bar(self, stem: str) -> Value:
        o, h, lo, c = (self._bars.at(name, self._row) for name in ("open", "high", "low", "close"))
        spread, top, bottom = h - lo + EPSILON, max(o, c), min(o, c)
        return {
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
            "vwap0": self._bars.at("vwap", self._row) / c,
        }[stem]

    def rolling(self, stem: str, w: int) -> Value:
        return getattr(self, f"_{stem}")(w)

    def _rows(self, column: str, count: int) -> list[Fraction]:
        return self._bars.window(column, self._row, count)

    def _share(self, value: Value) -> Value:
        return None if value is None else value / self._bars.at("close", self._row)

    def _roc(self, w: int) -> Value:
        return self._share(self._rows("close", w + 1)[0])

    def _ma(self, w: int) -> Value:
        return self._share(mean(self._rows("close", w)))

    def _std(self, w: int) -> Value:
        return self._share(deviation(self._rows("close", w)))

    def _beta(self, w: int) -> Value:
        return self._share(_line(self._rows("close", w))[0])

    def _rsqr(self, w: int) -> Value:
        rows = self._rows("close", w)
        made = _correlation([Fraction(x) for x in range(w)], rows)
        return None if made is None else made * made

    def _resi(self, w: int) -> Value:
        rows = self._rows("close", w)
        slope, intercept = _line(rows)
        return self._share(rows[-1] - slope * (w - 1) - intercept)

    def _max(self, w: int) -> Value:
        return self._share(max(self._rows("high", w)))

    def _min(self, w: int) -> Value:
        return self._share(min(self._rows("low", w)))

    def _qtlu(self, w: int) -> Value:
        return self._share(_quantile(self._rows("close", w), Fraction(0.8)))

    def _qtld(self, w: int) -> Value:
        return self._share(_quantile(self._rows("close", w), Fraction(0.2)))

    def _rank(self, w: int) -> Value:
        return _rank(self._rows("close", w))

    def _rsv(self, w: int) -> Value:
        lowest, highest = min(self._rows("low", w)), max(self._rows("high", w))
        return (self._bars.at("close", self._row) - lowest) / (highest - lowest + EPSILON)

    def _imax(self, w: int) -> Value:
        rows = self._rows("high", w)
        return Fraction(_place(rows, max(rows)), w)

    def _imin(self, w: int) -> Value:
        rows = self._rows("low", w)
        return Fraction(_place(rows, min(rows)), w)

    def _imxd(self, w: int) -> Value:
        high, low = self._imax(w), self._imin(w)
        return None if high is None or low is None else high - low

    def _corr(self, w: int) -> Value:
        logs = [log(x + 1) for x in self._rows("volume", w)]
        return _correlation(self._rows("close", w), logs)

    def _cord(self, w: int) -> Value:
        changes = [b / a for a, b in pairwise(self._rows("close", w + 1))]
        logs = [log(b / a + 1) for a, b in pairwise(self._rows("volume", w + 1))]
        return _correlation(changes, logs)

    def _steps(self, column: str, w: int) -> list[Fraction]:
        return [b - a for a, b in pairwise(self._rows(column, w + 1))]

    def _cntp(self, w: int) -> Value:
        return Fraction(sum(x > 0 for x in self._steps("close", w)), w)

    def _cntn(self, w: int) -> Value:
        return Fraction(sum(x < 0 for x in self._steps("close", w)), w)

    def _cntd(self, w: int) -> Value:
        steps = self._steps("close", w)
        return Fraction(sum(x > 0 for x in steps) - sum(x < 0 for x in steps), w)

    def _gains(self, column: str, w: int, *, sign: int) -> Value:
        steps = self._steps(column, w)
        travel = sum(map(abs, steps), Fraction()) + EPSILON
        return sum((max(sign * x, Fraction()) for x in steps), Fraction()) / travel

    def _balance(self, column: str, w: int) -> Value:
        steps = self._steps(column, w)
        return sum(steps, Fraction()) / (sum(map(abs, steps), Fraction()) + EPSILON)

    def _sump(self, w: int) -> Value:
        return self._gains("close", w, sign=1)

    def _sumn(self, w: int) -> Value:
        return self._gains("close", w, sign=-1)

    def _sumd(self, w: int) -> Value:
        return self._balance("close", w)

    def _vma(self, w: int) -> Value:
        rows = self._rows("volume", w)
        return mean(rows) / (rows[-1] + EPSILON)

    def _vstd(self, w: int) -> Value:
        rows = self._rows("volume", w)
        return deviation(rows) / (rows[-1] + EPSILON)

    def _wvma(self, w: int) -> Value:
        closes, volumes = self._rows("close", w + 1), self._rows("volume", w)
        changes = [abs(b / a - 1) for a, b in pairwise(closes)]
        moved = [change * volume for change, volume in zip(changes, volumes, strict=True)]
        return deviation(moved) / (mean(moved) + EPSILON)

    def _vsump(self, w: int) -> Value:
        return self._gains("volume", w, sign=1)

    def _vsumn(self, w: int) -> Value:
        return self._gains("volume", w, sign=-1)

    def _vsumd(self, w: int) -> Value:
        return self._balance("volume", w)


def alpha158(bars: Bars, warm_up: Mapping[str, int]) -> Callable[[str, int], float | None]:
    """Return what gives a feature of Alpha158 in a row.

    Args:
        bars: The bars.
        warm_up: Column to the rows at the start that have no value.
    """

    def value(column: str, row: int) -> float | None:
        if bars.earlier(row) < warm_up[column]:
            return None
        stem = column.removeprefix("alpha158_")
        if warm_up[column] == 0:
            return as_float(_Alpha(bars, row).bar(stem))
        name = stem.rstrip("0123456789")
        return as_float(_Alpha(bars, row).rolling(name, int(stem[len(name) :])))

    return value
