"""Alpha158: the feature set published with Qlib, as causal Polars expressions.

Source of the formulas: Microsoft Qlib, `Alpha158` in `qlib.contrib.data` and the operators in
`qlib.data.ops` (https://github.com/microsoft/qlib). The code is ours. `docs/alpha158.md` lists
every column with its formula and says where, and why, a value differs from Qlib's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import polars as pl

from rangebar_enrich.features import _windows as stat
from rangebar_enrich.protocol import BarContext

WINDOWS = (5, 10, 20, 30, 60)
"""Window lengths, in bars."""

EPSILON = 1e-12
"""What Qlib adds to divisors that can be zero."""

_OPEN, _HIGH, _LOW, _CLOSE = (pl.col(name) for name in ("open", "high", "low", "close"))
_VOLUME = pl.col("volume")
_LOG_VOLUME = _VOLUME.log1p()
_PREVIOUS = _CLOSE.shift(1)
_CHANGE = _CLOSE / _PREVIOUS - 1.0
_VOLUME_CHANGE = (_VOLUME / _VOLUME.shift(1)).log1p()
_MOVED_VOLUME = _CHANGE.abs() * _VOLUME
_DIRECTION = (_CLOSE - _PREVIOUS).sign()
_BODY_TOP = stat.larger(_OPEN, _CLOSE)
_BODY_BOTTOM = stat.smaller(_OPEN, _CLOSE)
_RANGE = _HIGH - _LOW + EPSILON
_ONE = pl.lit(1.0)


@dataclass(frozen=True, slots=True)
class Bar:
    """A feature of single bars.

    Attributes:
        stem: Column name without prefix.
        formula: The formula in words of arithmetic, for the documentation.
        expression: The value.
    """

    stem: str
    formula: str
    expression: pl.Expr


@dataclass(frozen=True, slots=True)
class Family:
    """One feature for each of `WINDOWS`.

    Attributes:
        stem: Column name without prefix and window.
        formula: The formula; `w` stands for the window.
        build: Window to expression.
        earlier: Bars read before the window itself.
    """

    stem: str
    formula: str
    build: Callable[[int], pl.Expr]
    earlier: int = 0

    def warm_up(self, window: int) -> int:
        """Return the number of rows at the start that have no value."""
        return window - 1 + self.earlier


BARS = (
    Bar("kmid", "(close - open) / open", (_CLOSE - _OPEN) / _OPEN),
    Bar("klen", "(high - low) / open", (_HIGH - _LOW) / _OPEN),
    Bar("kmid2", "(close - open) / (high - low + ε)", (_CLOSE - _OPEN) / _RANGE),
    Bar("kup", "(high - max(open, close)) / open", (_HIGH - _BODY_TOP) / _OPEN),
    Bar("kup2", "(high - max(open, close)) / (high - low + ε)", (_HIGH - _BODY_TOP) / _RANGE),
    Bar("klow", "(min(open, close) - low) / open", (_BODY_BOTTOM - _LOW) / _OPEN),
    Bar("klow2", "(min(open, close) - low) / (high - low + ε)", (_BODY_BOTTOM - _LOW) / _RANGE),
    Bar("ksft", "(2·close - high - low) / open", (2.0 * _CLOSE - _HIGH - _LOW) / _OPEN),
    Bar(
        "ksft2", "(2·close - high - low) / (high - low + ε)", (2.0 * _CLOSE - _HIGH - _LOW) / _RANGE
    ),
    Bar("open0", "open / close", _OPEN / _CLOSE),
    Bar("high0", "high / close", _HIGH / _CLOSE),
    Bar("low0", "low / close", _LOW / _CLOSE),
)
"""The nine shapes of a bar and three of the four prices; the fourth, vwap0, needs the context."""

VWAP = "vwap0"
_VWAP_FORMULA = "vwap / close"


def _travel(values: pl.Expr, window: int) -> pl.Expr:
    return (values - values.shift(1)).abs().rolling_sum(window)


def _gains(values: pl.Expr, window: int, *, sign: float) -> pl.Expr:
    # The rises of a window exceed its falls by what it moved in all, so one sum gives both.
    travel = _travel(values, window)
    moved = values - values.shift(window)
    return (travel + sign * moved) * 0.5 / (travel + EPSILON)


def _balance(values: pl.Expr, window: int) -> pl.Expr:
    return (values - values.shift(window)) / (_travel(values, window) + EPSILON)


def _share_of_steps(window: int, *, sign: float) -> pl.Expr:
    moves = _DIRECTION.abs().rolling_sum(window)
    return (moves + sign * _DIRECTION.rolling_sum(window)) / (2 * window)


def _stochastic(window: int) -> pl.Expr:
    lowest = _LOW.rolling_min(window)
    return (_CLOSE - lowest) / (_HIGH.rolling_max(window) - lowest + EPSILON)


FAMILIES = (
    Family("roc", "close[-w] / close", lambda w: _CLOSE.shift(w) / _CLOSE, earlier=1),
    Family("ma", "mean(close, w) / close", lambda w: _CLOSE.rolling_mean(w) / _CLOSE),
    Family("std", "std(close, w) / close", lambda w: _CLOSE.rolling_std(w) / _CLOSE),
    Family("beta", "slope(close, w) / close", lambda w: stat.slope(_CLOSE, w) / _CLOSE),
    Family("rsqr", "r²(close, w)", lambda w: stat.r_squared(_CLOSE, w)),
    Family("resi", "residual(close, w) / close", lambda w: stat.residual(_CLOSE, w) / _CLOSE),
    Family("max", "max(high, w) / close", lambda w: _HIGH.rolling_max(w) / _CLOSE),
    Family("min", "min(low, w) / close", lambda w: _LOW.rolling_min(w) / _CLOSE),
    Family(
        "qtlu", "quantile(close, w, 0.8) / close", lambda w: stat.quantile(_CLOSE, 0.8, w) / _CLOSE
    ),
    Family(
        "qtld", "quantile(close, w, 0.2) / close", lambda w: stat.quantile(_CLOSE, 0.2, w) / _CLOSE
    ),
    Family("rank", "rank(close, w) / w", lambda w: stat.rank_share(_CLOSE, w)),
    Family("rsv", "(close - min(low, w)) / (max(high, w) - min(low, w) + ε)", _stochastic),
    Family("imax", "argmax(high, w) / w", lambda w: stat.position_of_max(_HIGH, w) / w),
    Family("imin", "argmin(low, w) / w", lambda w: stat.position_of_min(_LOW, w) / w),
    Family(
        "imxd",
        "(argmax(high, w) - argmin(low, w)) / w",
        lambda w: (stat.position_of_max(_HIGH, w) - stat.position_of_min(_LOW, w)) / w,
    ),
    Family(
        "corr",
        "corr(close, ln(volume + 1), w)",
        lambda w: stat.correlation(_CLOSE, _LOG_VOLUME, w, levels=(_CLOSE.abs(), _ONE)),
    ),
    Family(
        "cord",
        "corr(close / close[-1], ln(volume / volume[-1] + 1), w)",
        lambda w: stat.correlation(_CHANGE, _VOLUME_CHANGE, w, levels=(_ONE, _ONE)),
        earlier=1,
    ),
    Family("cntp", "mean(close > close[-1], w)", lambda w: _share_of_steps(w, sign=1.0), 1),
    Family("cntn", "mean(close < close[-1], w)", lambda w: _share_of_steps(w, sign=-1.0), 1),
    Family("cntd", "cntp - cntn", lambda w: _DIRECTION.rolling_sum(w) / w, 1),
    Family("sump", "Σ max(Δclose, 0) / (Σ |Δclose| + ε)", lambda w: _gains(_CLOSE, w, sign=1.0), 1),
    Family(
        "sumn", "Σ max(-Δclose, 0) / (Σ |Δclose| + ε)", lambda w: _gains(_CLOSE, w, sign=-1.0), 1
    ),
    Family("sumd", "sump - sumn", lambda w: _balance(_CLOSE, w), 1),
    Family(
        "vma",
        "mean(volume, w) / (volume + ε)",
        lambda w: _VOLUME.rolling_mean(w) / (_VOLUME + EPSILON),
    ),
    Family(
        "vstd",
        "std(volume, w) / (volume + ε)",
        lambda w: _VOLUME.rolling_std(w) / (_VOLUME + EPSILON),
    ),
    Family(
        "wvma",
        "std(|close / close[-1] - 1|·volume, w) / (mean(|close / close[-1] - 1|·volume, w) + ε)",
        lambda w: _MOVED_VOLUME.rolling_std(w) / (_MOVED_VOLUME.rolling_mean(w) + EPSILON),
        earlier=1,
    ),
    Family(
        "vsump", "Σ max(Δvolume, 0) / (Σ |Δvolume| + ε)", lambda w: _gains(_VOLUME, w, sign=1.0), 1
    ),
    Family(
        "vsumn",
        "Σ max(-Δvolume, 0) / (Σ |Δvolume| + ε)",
        lambda w: _gains(_VOLUME, w, sign=-1.0),
        1,
    ),
    Family("vsumd", "vsump - vsumn", lambda w: _balance(_VOLUME, w), 1),
)
"""The 29 rolling features, in Qlib's order."""


def _warm_ups() -> dict[str, int]:
    single = dict.fromkeys([bar.stem for bar in BARS] + [VWAP], 0)
    rolling = {f"{fam.stem}{w}": fam.warm_up(w) for fam in FAMILIES for w in WINDOWS}
    return {f"{Alpha158.name}_{stem}": rows for stem, rows in (single | rolling).items()}


class Alpha158:
    """The 158 features of Qlib's Alpha158 as a native provider.

    Reads `open high low close volume`, and `vwap` where the bars have it; where they have not,
    the typical price (high + low + close) / 3 stands in for it, in `alpha158_vwap0` alone.
    Every column is float64 and null until its window is full.

    Attributes:
        name: `"alpha158"`.
        version: Version of the formulas.
        min_bars: Column to warm-up rows; its keys are `columns`.
        columns: The 158 names, in Qlib's order.
        lookback: 60 earlier bars fix every value.
    """

    name = "alpha158"
    version = "1.0.0"
    lookback = max(WINDOWS)
    min_bars: Mapping[str, int]
    columns: tuple[str, ...]

    def expressions(self, context: BarContext, /) -> dict[str, pl.Expr]:
        """Return the 158 expressions; `context.columns` decides where vwap comes from."""
        typical = (_HIGH + _LOW + _CLOSE) / 3.0
        vwap = pl.col("vwap") if "vwap" in context.columns else typical
        values = [bar.expression for bar in BARS]
        values.append(vwap / _CLOSE)
        values += [family.build(window) for family in FAMILIES for window in WINDOWS]
        return dict(zip(self.columns, values, strict=True))

    def formulas(self) -> Mapping[str, str]:
        """Return each column's formula in a line; `w` is the window in its name."""
        single = [bar.formula for bar in BARS] + [_VWAP_FORMULA]
        rolling = [family.formula for family in FAMILIES for _ in WINDOWS]
        return dict(zip(self.columns, single + rolling, strict=True))


Alpha158.min_bars = MappingProxyType(_warm_ups())
Alpha158.columns = tuple(Alpha158.min_bars)


def documentation_table() -> str:
    """Return the table of `docs/alpha158.md`: column, formula, warm-up, in Markdown."""
    lines = ["| column | formula | warm-up rows |", "|---|---|---|"]
    prefix = Alpha158.name
    lines += [f"| `{prefix}_{bar.stem}` | {_cell(bar.formula)} | 0 |" for bar in BARS]
    lines.append(f"| `{prefix}_{VWAP}` | {_VWAP_FORMULA} | 0 |")
    for family in FAMILIES:
        warm_up = "w" if family.earlier else "w - 1"
        lines.append(f"| `{prefix}_{family.stem}<w>` | {_cell(family.formula)} | {warm_up} |")
    return "\n".join(lines)


def _cell(formula: str) -> str:
    return formula.replace("|", "\\|")
