"""The operator tree of a Polars expression, as plain data.

`expr.meta.serialize(format="binary")` is MessagePack of the whole tree, options included.
Decoded, a node is a one-key dict `{variant: body}` or a bare string (`"Len"`, `"Element"`). Both
directions are exact for every float, infinities and NaN; the JSON form of Polars is not.
"""

from __future__ import annotations

import io
import operator as arithmetic
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import msgpack
import polars as pl
from polars.exceptions import PolarsError

Node: TypeAlias = "dict[str, Any] | str"
Path: TypeAlias = "tuple[str | int, ...]"

# Where the expressions stand in a variant's body. An empty path: the body is the expression.
_CHILDREN: dict[str, tuple[Path, ...]] = {
    "Alias": ((0,),),
    "KeepName": ((),),
    "RenameAlias": (("expr",),),
    "Cast": (("expr",),),
    "Sort": (("expr",),),
    "SortBy": (("expr",), ("by",)),
    "Gather": (("expr",), ("idx",)),
    "Filter": (("input",), ("by",)),
    "Slice": (("input",), ("offset",), ("length",)),
    "Explode": (("input",),),
    "BinaryExpr": (("left",), ("right",)),
    "Ternary": (("predicate",), ("truthy",), ("falsy",)),
    "Function": (("input",),),
    "AnonymousFunction": (("input",),),
    "Over": (("function",), ("partition_by",), ("order_by", 0)),
    "Rolling": (("function",), ("index_column",)),
    "Eval": (("expr",), ("evaluation",)),
    "StructEval": (("expr",), ("evaluation",)),
    "PipeWithDtype": (("input",),),
}
_LEAVES = frozenset({"Column", "Literal", "Selector", "Field", "Len", "Element"})

# Functions whose name has a second half: `{"Boolean": {"IsIn": …}}`.
_FAMILIES = frozenset(
    {
        "ArrayExpr",
        "BinaryExpr",
        "Bitwise",
        "Boolean",
        "Business",
        "Categorical",
        "Extension",
        "FillNullWithStrategy",
        "Interpolate",
        "ListExpr",
        "MapExpr",
        "Pow",
        "Range",
        "StringExpr",
        "StructExpr",
        "TemporalExpr",
        "Trigonometry",
    }
)
_PLUGIN = "Function.FfiPlugin"
# What runs code that is not Polars' own: a plugin library, a Python callback.
_FOREIGN_FUNCTIONS = frozenset(
    {
        "FfiPlugin",
        "FoldHorizontal",
        "ReduceHorizontal",
        "CumFoldHorizontal",
        "CumReduceHorizontal",
        "RollingExpr.Map",
    }
)
# Functions whose second half sits under a key of their options.
_FAMILY_KEYS = {
    "RollingExpr": "function",
    "RollingExprBy": "function_by",
    "Random": "method",
    "Bin": "method",
}

_ARITHMETIC: dict[str, Callable[..., int]] = {
    "Function.Negate": arithmetic.neg,
    "BinaryExpr.Plus": arithmetic.add,
    "BinaryExpr.Minus": arithmetic.sub,
    "BinaryExpr.Multiply": arithmetic.mul,
}

# msgpack packs 511 levels; two a node. Deeper trees are left alone rather than half handled.
_DEEPEST = 500
_SHORTEST_DEEP_TREE = 2 * _DEEPEST


def decode(expr: pl.Expr) -> Node | None:
    """Return the tree of `expr`, or `None` where it has no exact serialised form.

    A Python UDF has one only where it can be pickled; a tree deeper than some 250 operators
    is not handled. Nothing of the expression is executed.
    """
    try:
        raw = expr.meta.serialize(format="binary")
    except (PolarsError, TypeError, ValueError):
        return None
    try:
        node: Node = msgpack.unpackb(raw, strict_map_key=False)
        if len(raw) > _SHORTEST_DEEP_TREE:
            msgpack.packb(node)
    except ValueError:
        return None
    return node


def encode(node: Node) -> pl.Expr:
    """Return the expression of which `node` is the tree; `encode(decode(e))` equals `e`."""
    return pl.Expr.deserialize(io.BytesIO(pack(node)), format="binary")


def pack(node: Node) -> bytes:
    """Return the tree as bytes: equal where and only where two trees are equal (NaN included)."""
    packed: bytes = msgpack.packb(node)
    return packed


def kind(node: Node) -> str:
    """Return the variant, such as `"Column"`, `"Function"` or `"Agg"`."""
    return node if isinstance(node, str) else next(iter(node))


def body(node: Node) -> Any:
    """Return what stands under the variant, or `None` for a bare string."""
    return None if isinstance(node, str) else next(iter(node.values()))


def operator(node: Node) -> str:
    """Return the dotted name of the operator.

    `"Function.Shift"`, `"Function.RollingExpr.Mean"`, `"Function.Boolean.IsIn"`, `"Agg.Mean"`,
    `"BinaryExpr.Plus"`, `"Eval.Cumulative"`; the variant alone where there is nothing to add.
    """
    variant, inner = kind(node), body(node)
    if variant == "Function":
        return f"Function.{_function(inner['function'])}"
    if variant == "Agg":
        return f"Agg.{kind(inner)}"
    if variant == "BinaryExpr":
        return f"BinaryExpr.{inner['op']}"
    if variant in {"Eval", "StructEval"}:
        return f"{variant}.{kind(inner['variant'])}"
    return variant


def options(node: Node) -> Any:
    """Return the options of a `Function` node: what stands beside its inputs, else `None`."""
    if kind(node) != "Function":
        return None
    function = body(node)["function"]
    inner = body(function)
    if kind(function) in _FAMILIES:
        return body(inner)
    return inner


def _function(function: Node) -> str:
    """Name a function; two parts where the first is only a family."""
    name, inner = kind(function), body(function)
    if name in _FAMILIES:
        return f"{name}.{kind(inner)}"
    if name in _FAMILY_KEYS:
        return f"{name}.{kind(inner[_FAMILY_KEYS[name]])}"
    return name


def is_known_shape(node: Node) -> bool:
    """Say whether this module knows where the node keeps its expressions."""
    variant = kind(node)
    return variant in _CHILDREN or variant in _LEAVES or variant == "Agg"


def children(node: Node) -> tuple[Node, ...]:
    """Return the expressions directly under `node`, options left out, in the tree's order."""
    if isinstance(node, str):
        return ()
    ((variant, inner),) = node.items()
    # Most nodes are one of these.
    if variant == "Function":
        return tuple(inner["input"])
    if variant in _LEAVES:
        return ()
    return tuple(_at(node, path) for path in _paths(node))


def rebuild(node: Node, new_children: Sequence[Node]) -> Node:
    """Return `node` with other children, in the order of `children`; `node` is not changed.

    Raises:
        ValueError: The number of children differs.
    """
    paths = _paths(node)
    result: Any = node
    for path, child in zip(paths, new_children, strict=True):
        result = _with(result, path, child)
    return result  # type: ignore[no-any-return]


def walk(node: Node) -> Iterator[Node]:
    """Yield `node` and every expression below it, parents first."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        below = children(current)
        if below:
            pending.extend(reversed(below))


def has_udf(node: Node) -> bool:
    """Say whether the tree calls foreign code: a Python function or a plugin library."""
    return any(_is_foreign(part) for part in walk(node))


def has_python(node: Node) -> bool:
    """Say whether the tree calls a Python function, which must never be rewritten."""
    return any(_is_foreign(part) and operator(part) != _PLUGIN for part in walk(node))


def columns(node: Node) -> tuple[str, ...]:
    """Return the names of the columns that the tree reads by name, sorted, once each.

    A selector by pattern, position or dtype names none; see `selects_by_rule`.
    """
    found: set[str] = set()
    for part in walk(node):
        if isinstance(part, dict) and "Column" in part:
            found.add(part["Column"])
        elif isinstance(part, dict) and "Selector" in part:
            found.update(_selected_names(part["Selector"]))
    # NOTE: list.filter puts a nameless column where it means the element.
    return tuple(sorted(found - {""}))


def selects_by_rule(node: Node) -> bool:
    """Say whether the tree selects columns by pattern, position or dtype: which ones, a schema tells."""
    return any(kind(part) == "Selector" and kind(body(part)) != "ByName" for part in walk(node))


def integer(node: Node) -> int | None:
    """Return the value of a whole-number literal, also one computed from others, cast or renamed.

    `None` where the sum of typed literals would leave their type: there it wraps around.
    """
    found = _whole(node)
    return None if found is None else found[0]


def _whole(node: Node) -> tuple[int, int, int] | None:
    """Return the value, and the least and largest one that its type holds."""
    variant, inner = kind(node), body(node)
    if variant == "Literal":
        return _literal_integer(inner)
    if variant == "Alias":
        return _whole(inner[0])
    if variant == "Cast":
        return _cast_integer(inner)
    combine = _ARITHMETIC.get(operator(node))
    parts = [_whole(child) for child in children(node)] if combine is not None else []
    known = [part for part in parts if part is not None]
    if combine is None or len(known) < len(parts):
        return None
    return _held(
        combine(*(value for value, _, _ in known)),
        max(least for _, least, _ in known),
        min(most for _, _, most in known),
    )


def _held(value: int, least: int, most: int) -> tuple[int, int, int] | None:
    return (value, least, most) if least <= value <= most else None


def _limits(dtype: str) -> tuple[int, int] | None:
    """Return the least and largest value of an integer type; a dynamic one grows as it needs."""
    unsigned, _, bits = dtype.rpartition("Int")
    if unsigned not in {"", "U"} or not (bits.isdigit() or dtype == "Int"):
        return None
    size = int(bits or 128)
    return (0, 2**size - 1) if unsigned else (-(2 ** (size - 1)), 2 ** (size - 1) - 1)


def _cast_integer(cast: Any) -> tuple[int, int, int] | None:
    value, dtype = integer(cast["expr"]), body(cast["dtype"])
    if value is None or kind(cast["dtype"]) != "Literal" or not isinstance(dtype, str):
        return None
    limits = _limits(dtype)
    return None if limits is None else _held(value, *limits)


def _literal_integer(literal: Any) -> tuple[int, int, int] | None:
    family, value = kind(literal), body(literal)
    limits = _limits(kind(value)) if family in {"Dyn", "Scalar"} else None
    if limits is None:
        return None
    number = body(value)
    # A dynamic or 128-bit integer is 16 big-endian bytes.
    if isinstance(number, bytes):
        number = int.from_bytes(number, "big", signed=limits[0] < 0)
    return _held(number, *limits) if isinstance(number, int) else None


def _selected_names(selector: Any) -> list[str]:
    named = kind(selector) == "ByName"
    return list(body(selector)["names"]) if named else []


def _is_foreign(node: Node) -> bool:
    variant, inner = kind(node), body(node)
    if variant == "Function":
        return _function(inner["function"]) in _FOREIGN_FUNCTIONS
    if variant == "RenameAlias":
        return kind(inner["function"]) == "Map"
    if variant == "Cast" and kind(inner["dtype"]) == "OfExpr":
        return has_udf(body(inner["dtype"]))
    return variant.startswith("Anonymous") or variant == "PipeWithDtype"


def _paths(node: Node) -> tuple[Path, ...]:
    """Return the full path of every child."""
    variant, inner = kind(node), body(node)
    if variant == "Agg":
        return (_aggregated(inner),)
    found: list[Path] = []
    for path in _CHILDREN.get(variant, ()):
        value = _at(inner, path) if _exists(inner, path) else None
        if isinstance(value, list):
            found += [(variant, *path, position) for position in range(len(value))]
        elif value is not None:
            found.append((variant, *path))
    return tuple(found)


def _aggregated(aggregate: Any) -> Path:
    """Find the input of an aggregate: `{Mean: expr}`, `{Std: [expr, ddof]}` or `{Min: {input: …}}`."""
    name, inner = kind(aggregate), body(aggregate)
    if isinstance(inner, list):
        return ("Agg", name, 0)
    if isinstance(inner, dict) and "input" in inner:
        return ("Agg", name, "input")
    return ("Agg", name)


def _exists(value: Any, path: Path) -> bool:
    return not (len(path) > 1 and value[path[0]] is None)


def _at(value: Any, path: Path) -> Any:
    for key in path:
        value = value[key]
    return value


def _with(value: Any, path: Path, new: Any) -> Any:
    """Return `value` with `new` at `path`; only the containers on the way are copied."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = _with(value[path[0]], path[1:], new)
    return copy
