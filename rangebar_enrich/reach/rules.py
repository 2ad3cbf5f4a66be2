"""How single operators move and stretch the rows that they read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

from rangebar_enrich._expr import tree
from rangebar_enrich._expr.tree import Node
from rangebar_enrich.reach.interval import (
    CONSTANT,
    OPAQUE,
    ROW,
    Interval,
    Shape,
    mirror,
    unbounded,
    union,
    window,
)

Rule = Callable[[Node, Sequence[Interval]], Interval]
"""From an operator and the spans of its inputs to its own span."""


def row_by_row(_node: Node, inputs: Sequence[Interval]) -> Interval:
    """Row `i` of the inputs makes row `i`."""
    return union(inputs)


def so_far(_node: Node, inputs: Sequence[Interval]) -> Interval:
    """Every row from the first to the current one is read."""
    return window(union(inputs), -inf, 0)


def from_here(_node: Node, inputs: Sequence[Interval]) -> Interval:
    """Every row from the current to the last one is read."""
    return window(union(inputs), 0, inf)


def neighbours(_node: Node, inputs: Sequence[Interval]) -> Interval:
    """The rows before and after are read."""
    return window(union(inputs), -1, 1)


def whole(_node: Node, inputs: Sequence[Interval]) -> Interval:
    """Every row is read; the result is as long as the table."""
    return unbounded(inputs, Shape.COLUMN)


def reduction(_node: Node, inputs: Sequence[Interval]) -> Interval:
    """Every row is read and makes one value, which Polars then repeats for each row."""
    return unbounded(inputs, Shape.SCALAR)


def resize(_node: Node, inputs: Sequence[Interval]) -> Interval:
    """Every row is read and the result has another length."""
    return unbounded(inputs, Shape.OTHER)


def opaque(_node: Node, _inputs: Sequence[Interval]) -> Interval:
    """Nothing is known."""
    return OPAQUE


def of_types(_node: Node, _inputs: Sequence[Interval]) -> Interval:
    """The type of a column is read, and no row."""
    return CONSTANT


def first(_node: Node, inputs: Sequence[Interval]) -> Interval:
    """The first row alone is read: no row comes before it, so it is ahead of none."""
    if inputs[0].mirrored:
        return unbounded(inputs, Shape.SCALAR)
    return inputs[0]._replace(low=-inf, high=max(inputs[0].high, 0), shape=Shape.SCALAR)


def last(node: Node, inputs: Sequence[Interval]) -> Interval:
    """The last row is read; of a reversed column that is the first one."""
    if inputs[0].mirrored:
        return first(node, [mirror(inputs[0])])
    return unbounded(inputs, Shape.SCALAR)


def reverse(_node: Node, inputs: Sequence[Interval]) -> Interval:
    """Turn the column around."""
    return mirror(inputs[0])


def shift(node: Node, inputs: Sequence[Interval]) -> Interval:
    """`shift(k)`: row `i - k`; a fill value is read as it is."""
    count = _count(node)
    if count is None:
        return whole(node, inputs)
    return union([window(inputs[0], -count, -count), *inputs[2:]])


def difference(node: Node, inputs: Sequence[Interval]) -> Interval:
    """`diff(k)`, `pct_change(k)`: the current row and row `i - k`."""
    count = _count(node)
    if count is None:
        return whole(node, inputs)
    if tree.options(node) == "Drop":
        return resize(node, inputs)
    return window(inputs[0], min(-count, 0), max(-count, 0))


def cumulative(node: Node, inputs: Sequence[Interval]) -> Interval:
    """`cum_*`: from the first row on, with `reverse=True` from the last one back."""
    return from_here(node, inputs) if tree.options(node)["reverse"] else so_far(node, inputs)


def fill_forward(node: Node, inputs: Sequence[Interval]) -> Interval:
    """The last value that is there, at most `limit` rows back."""
    limit = tree.options(node)
    return window(inputs[0], -inf if limit is None else -limit, 0)


def fill_backward(node: Node, inputs: Sequence[Interval]) -> Interval:
    """The next value that is there, at most `limit` rows ahead."""
    limit = tree.options(node)
    return window(inputs[0], 0, inf if limit is None else limit)


def rolling(node: Node, inputs: Sequence[Interval]) -> Interval:
    """`rolling_*(w)`: `w` rows up to the current one, or `w // 2` before it where centred."""
    if is_random(node):
        return OPAQUE
    settings = tree.options(node)["options"]
    size, before = settings["window_size"], settings["window_size"] - 1
    if settings["center"]:
        before = size // 2
    return window(union(inputs), -before, size - 1 - before)


def is_in(node: Node, inputs: Sequence[Interval]) -> Interval:
    """Row by row against constants or lists; a flat column on the right is read whole."""
    if _is_constant(node, inputs, 1):
        return inputs[0]
    makes_lists = tree.operator(tree.children(node)[1]) in _MAKES_LISTS
    return union(inputs) if makes_lists else whole(node, inputs)


def replace(node: Node, inputs: Sequence[Interval]) -> Interval:
    """Row by row where the old and new values are constants."""
    if not (_is_constant(node, inputs, 1) and _is_constant(node, inputs, 2)):
        return whole(node, inputs)
    return union([inputs[0], *inputs[3:]])


def search_sorted(node: Node, inputs: Sequence[Interval]) -> Interval:
    """Row by row where the searched values are constants."""
    return inputs[1] if _is_constant(node, inputs, 0) else whole(node, inputs)


def bin_intervals(node: Node, inputs: Sequence[Interval]) -> Interval:
    """Row by row between given breaks; a number of bins takes its breaks from the data."""
    spec = tree.options(node)["method"]["Intervals"]["spec"]
    return union(inputs) if tree.kind(spec) == "Breaks" else whole(node, inputs)


def int_range(node: Node, inputs: Sequence[Interval]) -> Interval:
    """`int_range(pl.len())` is the row number, from any constant start; other ranges are not."""
    if is_row_number(node):
        return Interval(-inf, 0)
    return _made_of_length(node, inputs)


def is_row_number(node: Node, *, start: int | None = None) -> bool:
    """Say whether the node is `int_range(k, pl.len() + k)`, in any spelling; `k` is any, or `start`."""
    while tree.kind(node) == "Alias":
        node = tree.children(node)[0]
    if tree.operator(node) != "Function.Range.IntRange" or tree.options(node)["step"] != 1:
        return False
    first_value, end = tree.children(node)[:2]
    begin = tree.integer(first_value)
    return begin is not None and _length_plus(end) == begin and start in {None, begin}


def repeat(node: Node, inputs: Sequence[Interval]) -> Interval:
    """`repeat(value, pl.len())` is a constant column; any other length is not the table's."""
    if tree.children(node)[1] != "Len":
        return _made_of_length(node, inputs)
    return union([ROW, inputs[0]])


def _made_of_length(node: Node, inputs: Sequence[Interval]) -> Interval:
    """A column of a computed length is opaque where that may wrap around: nobody can afford to try.

    NOTE: `pl.len()` is unsigned: with 5 less, a table of 4 rows asks for 4,294,967,295.
    """
    parts = [part for child in tree.children(node) for part in tree.walk(child)]
    counts = "Len" in parts
    subtracts = any(tree.operator(part) == "BinaryExpr.Minus" for part in parts)
    return OPAQUE if counts and subtracts else resize(node, inputs)


def gather(node: Node, inputs: Sequence[Interval]) -> Interval:
    """`get(0)` is the first row; any other position may lie ahead."""
    scalar = tree.body(node)["returns_scalar"]
    position = tree.integer(tree.children(node)[1])
    if scalar and position == 0:
        return first(node, inputs)
    if scalar and position == -1:
        return last(node, inputs)
    if is_row_number(tree.children(node)[1], start=0):
        return union([ROW, inputs[0]])
    aligned = inputs[1].shape is Shape.COLUMN
    return unbounded(inputs, Shape.SCALAR if scalar else Shape.COLUMN if aligned else Shape.OTHER)


def cut_rows(node: Node, inputs: Sequence[Interval]) -> Interval:
    """`head(1)` is the first row, `head(pl.len())` all; any other slice has a length of its own."""
    offset, length = tree.children(node)[1:]
    if tree.integer(offset) == 0 and tree.integer(length) == 1:
        return first(node, inputs)
    if tree.integer(offset) == 0 and length == "Len":
        return inputs[0]
    return resize(node, inputs)


def parse_time(node: Node, inputs: Sequence[Interval]) -> Interval:
    """Row by row; without a format, the first value that is there decides on one."""
    _, settings = tree.options(node)
    if settings["format"] is not None:
        return union(inputs)
    return window(union(inputs), -inf, 0)


def physical(node: Node, inputs: Sequence[Interval]) -> Interval:
    """Row by row, but the codes of categories depend on what the process has seen before."""
    makes_codes = any(_makes_categories(part) for part in tree.walk(node))
    return whole(node, inputs) if makes_codes else union(inputs)


_ANY_ORDER = frozenset(
    {
        *(f"Agg.{name}" for name in "Count Max Mean Median Min NUnique Std Sum Var".split()),
        *("Function.Quantile", "Function.Product", "Sort"),
    }
)
"""Operators to which the order of their input does not matter."""
_MAKES_LISTS = frozenset(
    {
        "Function.ListExpr.Concat",
        "Function.ArrayExpr.Concat",
        "Function.AsList",
        "Function.StringExpr.Split",
    }
)


def _is_constant(node: Node, inputs: Sequence[Interval], position: int) -> bool:
    """Say whether an input is literal; a literal series of one value counts as well."""
    return inputs[position].is_constant or tree.kind(tree.children(node)[position]) == "Literal"


def _count(node: Node) -> int | None:
    return tree.integer(tree.children(node)[1])


def _length_plus(node: Node) -> int | None:
    """Return `k` of `pl.len() + k`, in either order and under casts that hold it."""
    node = _unwrapped(node)
    if node == "Len":
        return 0
    name = tree.operator(node)
    if name not in {"BinaryExpr.Plus", "BinaryExpr.Minus"}:
        return None
    left, right = map(_unwrapped, tree.children(node))
    if name == "BinaryExpr.Plus" and right == "Len":
        left, right = right, left
    number = tree.integer(right)
    if left != "Len" or number is None:
        return None
    return number if name == "BinaryExpr.Plus" else -number


def _unwrapped(node: Node) -> Node:
    while tree.kind(node) == "Alias" or _is_wide_cast(node):
        node = tree.children(node)[0]
    return node


def _is_wide_cast(node: Node) -> bool:
    return tree.kind(node) == "Cast" and tree.body(tree.body(node)["dtype"]) in ("Int64", "UInt64")


def is_random(node: Node) -> bool:
    """Say whether an operator gives other values each time."""
    name = tree.operator(node)
    if name in {"Function.Rank", "Function.RollingExpr.Rank", "Function.RollingExprBy.RankBy"}:
        return "Random" in str(tree.options(node))
    return name.startswith("Function.Random") or name.endswith(".Sample")


def unordered(node: Node) -> Node | None:
    """Return a part whose values come in no certain order, where that can be seen outside of it."""
    for part in tree.walk(node):
        ordered = tree.operator(part) in _ANY_ORDER
        for child in tree.children(part):
            if _has_no_order(child) and not ordered:
                return child
    return node if _has_no_order(node) else None


def _has_no_order(node: Node) -> bool:
    name, settings = tree.operator(node), tree.options(node)
    if name == "Function.Mode":
        return not settings["maintain_order"]
    if name == "Function.Unique":
        return settings is False
    return name in {"Function.TopK", "Function.TopKBy", "Function.ValueCounts"}


def _makes_categories(node: Node) -> bool:
    if tree.kind(node) == "Cast":
        return "Categorical" in str(tree.body(node)["dtype"])
    return tree.operator(node) in {"Function.Categorical.To", "Function.QCut"}
