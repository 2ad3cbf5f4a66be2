"""What an author is told: which part of an expression looks ahead, why, and what to write instead."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from rangebar_enrich._expr import tree
from rangebar_enrich._expr.render import show
from rangebar_enrich._expr.tree import Node
from rangebar_enrich.reach.clock import looks_back
from rangebar_enrich.reach.interval import Interval, Shape
from rangebar_enrich.reach.rules import is_random, unordered
from rangebar_enrich.reach.table import ROLLING_BY, is_known

_COUNTING = {
    "Function.Diff": "diff",
    "Function.PctChange": "pct_change",
    "Function.Shift": "shift",
    "Function.ShiftAndFill": "shift",
}

_HINTS = {
    "Agg.Count": "`.cum_count()` counts so far, `pl.int_range(pl.len())` is the row number",
    "Agg.FirstNonNull": "`.first()` is the first row; `.forward_fill()` is the last value so far",
    "Agg.Implode": "compare with literal values, or with a window such as `.rolling_max(n)`",
    "Agg.Last": "row i's own value is the column itself, the one before it `.shift(1)`",
    "Agg.LastNonNull": "`.forward_fill()` is the last value so far",
    "Agg.Max": "`.rolling_max(n)`, or `.cum_max()` for the highest so far",
    "Agg.Mean": "`.rolling_mean(n)`, or `.cum_sum() / (pl.int_range(pl.len()) + 1)` for the mean so far",
    "Agg.Median": "`.rolling_median(n)`",
    "Agg.Min": "`.rolling_min(n)`, or `.cum_min()` for the lowest so far",
    "Agg.NUnique": "`.is_first_distinct().cum_sum()` counts distinct values so far",
    "Agg.Std": "`.rolling_std(n)` or `.ewm_std(span=n)`",
    "Agg.Sum": "`.rolling_sum(n)`, or `.cum_sum()` for the sum so far",
    "Agg.Var": "`.rolling_var(n)` or `.ewm_var(span=n)`",
    "Filter": "keep the rows: `pl.when(condition).then(value)`, then `.forward_fill()` for the last match",
    "Function.ArgMax": "`.arg_max()` inside `.rolling(index, period=…)` sees its window only",
    "Function.ArgMin": "`.arg_min()` inside `.rolling(index, period=…)` sees its window only",
    "Function.ApproxQuantile": "`.rolling_quantile(q, window_size=n)`",
    "Function.ArgSort": "`.rolling_rank(n)` ranks within a window",
    "Function.Bin.Intervals": "fixed breaks instead of a number of bins",
    "Function.Bin.Quantiles": "fixed breaks, or compare with `.rolling_quantile(…)`",
    "Function.Bin.Ranks": "fixed breaks, or compare with `.rolling_rank(n)`",
    "Function.Boolean.All": "`.cum_min()` of the condition says whether all so far hold",
    "Function.Boolean.Any": "`.cum_max()` of the condition says whether any so far holds",
    "Function.Boolean.IsDuplicated": "`~is_first_distinct()` says whether the value was seen before",
    "Function.Boolean.IsIn": "compare with literal values",
    "Function.Boolean.IsLastDistinct": "`.is_first_distinct()`",
    "Function.Boolean.IsUnique": "`.is_first_distinct()` says whether the value is new",
    "Function.Correlation": "`pl.rolling_corr(a, b, window_size=n)` or `pl.rolling_cov`",
    "Function.CumCount": "leave out `reverse=True`",
    "Function.CumMax": "leave out `reverse=True`",
    "Function.CumMin": "leave out `reverse=True`",
    "Function.CumProd": "leave out `reverse=True`",
    "Function.CumSum": "leave out `reverse=True`",
    "Function.FillNullWithStrategy.Backward": "`.forward_fill()` fills from the bars before",
    "Function.FillNullWithStrategy.Max": "`.forward_fill()`, or `.fill_null(pl.col(…).cum_max())`",
    "Function.FillNullWithStrategy.Mean": "`.forward_fill()`, or fill with a rolling mean",
    "Function.FillNullWithStrategy.Min": "`.forward_fill()`, or `.fill_null(pl.col(…).cum_min())`",
    "Function.Interpolate.Linear": "`.forward_fill()`: a line to the next value needs that value",
    "Function.Interpolate.Nearest": "`.forward_fill()`: the nearest value may be a later one",
    "Function.InterpolateBy": "`.forward_fill()`: a line to the next value needs that value",
    "Function.Kurtosis": "`.rolling_kurtosis(n)`",
    "Function.MaxBy": "`.max_by(…)` inside `.rolling(index, period=…)` sees its window only",
    "Function.MinBy": "`.min_by(…)` inside `.rolling(index, period=…)` sees its window only",
    "Function.Mode": "an aggregate inside `.rolling(index, period=…)` sees its window only",
    "Function.NullCount": "`.is_null().cum_sum()` counts so far",
    "Function.PeakMax": "`.peak_max().shift(1)`: a peak is known one bar later",
    "Function.PeakMin": "`.peak_min().shift(1)`: a trough is known one bar later",
    "Function.Product": "`.cum_prod()`",
    "Function.QCut": "`.cut([…])` with fixed breaks, or compare with `.rolling_quantile(…)`",
    "Function.Quantile": "`.rolling_quantile(q, window_size=n)`",
    "Function.Rank": "`.rolling_rank(n)`",
    "Function.Reverse": "keep the order of the bars",
    "Function.SetSortedFlag": "leave it out: only times are sorted, and what reads others then goes astray",
    "Function.Skew": "`.rolling_skew(n)`",
    "Function.TopK": "`.rolling_max(n)`, or an aggregate inside `.rolling(index, period=…)`",
    "Gather": "`.shift(k)` is the value k bars before",
    "Len": "`pl.int_range(pl.len())` is the row number",
    "Over": "key, order and function of `over` must each be made of bars that have come",
    "Rolling": "a window that ends at its own row, over a time that increases strictly",
    "Slice": "`.shift(k)`, or a window such as `.rolling_mean(n)`",
    "Sort": "`.rolling_rank(n)` or `.rolling_quantile(…)` order the values of a window",
    "SortBy": "keep the order of the bars",
}  # fmt: skip


def looking_ahead(node: Node, spans: Mapping[int, Interval]) -> Node:
    """Return the smallest part that looks ahead while its own parts do not."""
    # NOTE: what a function reads inside a scope says nothing of the scope: a mean in a window is one.
    parts = [] if tree.kind(node) == "Rolling" else tree.children(node)
    parts = parts[:1] if tree.kind(node) == "Eval" else parts
    for part in parts:
        if _span(part, spans).future > 0:
            return looking_ahead(part, spans)
    return node


def unseen(node: Node, spans: Mapping[int, Interval]) -> Node:
    """Return the smallest part that can't be seen into."""
    for part in tree.children(node):
        if _span(part, spans).opaque:
            return unseen(part, spans)
    return node


def hint(node: Node) -> str | None:
    """Say what the author of this operator probably meant."""
    name = tree.operator(node)
    if name in ROLLING_BY:
        return "the clock must be a time column, as it is: rounded times have ties"
    if name.startswith("Function.RollingExpr"):
        return "leave out `center=True`"
    if name in _COUNTING:
        return _earlier(node)
    return _HINTS.get(name)


def _earlier(node: Node) -> str:
    """Turn a negative count around."""
    method = _COUNTING[tree.operator(node)]
    count = tree.integer(tree.children(node)[1])
    if count is None or count >= 0:
        return f"a literal count: `.{method}(1)` reads the bar before"
    bars = "the bar before" if count == -1 else f"the bar {-count} before"
    return f"`.{method}({-count})` reads {bars}; a negative count reads a later one"


def ahead(node: Node, span: Interval) -> str:
    """Say how an operator looks ahead."""
    text = f"`{show(node)}`"
    if span.shape is Shape.SERIES or tree.kind(node) == "Literal":
        return f"{text} is a literal series: it has its own length and does not follow the bars"
    if tree.operator(node) in {"Function.Categorical.Physical", "Function.ToPhysical"}:
        return f"{text} is a category's code, which depends on what the process has seen before"
    if span.future != inf:
        return f"{text} reads {span.future:.0f} bar{'s' if span.future > 1 else ''} ahead"
    if tree.kind(node) == "Rolling" and not looks_back(tree.body(node)):
        return f"{text} has a window that does not end at its own row"
    if tree.operator(node) in ROLLING_BY | {"Rolling"}:
        return (
            f"{text} has a window over times that may repeat or go back, so it may hold later bars"
        )
    return f"{text} reads to the end of the series"


def blind(node: Node) -> str:
    """Say why an operator can't be seen into."""
    name, text = tree.operator(node), f"`{show(node)}`"
    if tree.has_udf(node):
        plugin = name == "Function.FfiPlugin"
        what = "a plugin library" if plugin else "a Python function"
        remedy = "`lookback`, or its reach by `declare_plugin`" if plugin else "`lookback`"
        return f"{text} calls {what}: what it reads can't be seen; declare {remedy}"
    if tree.kind(node) == "Column":
        return f"{text} is made by an expression whose own reach can't be seen"
    if any(map(is_random, tree.walk(node))):
        return f"{text} is random"
    if tree.kind(node) in {"Rolling", "Eval"}:
        return f"{text} {_blind_scope(node)}"
    if not is_known(name):
        return f"{text}: the operator {name} is not in the table of this version"
    return f"{text}: this form of {name} is not known"


def _blind_scope(scope: Node) -> str:
    """Say why what a scope does with its rows can't be followed."""
    function = tree.children(scope)[0 if tree.kind(scope) == "Rolling" else 1]
    if any(tree.kind(part) == "Rolling" for part in tree.walk(function)):
        return "has windows inside windows: Polars takes the inner ones elsewhere"
    part = unordered(function)
    if part is not None:
        return f"depends on the order of `{show(part)}`, which is not certain"
    return "has a form that is not known"


def _span(node: Node, spans: Mapping[int, Interval]) -> Interval:
    # A part of a scope that was not derived by itself is judged with the scope.
    return spans.get(id(node), Interval())
