"""An operator tree as the Python that makes it, for people to read.

Polars' own text leaves out what matters here: the window of `rolling_mean`, the `reverse` of `cum_sum`.
Options that do not move rows are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from polars.exceptions import PolarsError

from rangebar_enrich._expr import tree
from rangebar_enrich._expr.tree import Node

_LONGEST = 120
_SYMBOLS = {
    "And": "&", "Eq": "==", "FloorDivide": "//", "Gt": ">", "GtEq": ">=", "Lt": "<", "LtEq": "<=", "Minus": "-",
    "Modulus": "%", "Multiply": "*", "NotEq": "!=", "Or": "|", "Plus": "+", "TrueDivide": "/", "Xor": "^",
}  # fmt: skip
_NAMESPACES = {
    "ArrayExpr": "arr.", "BinaryExpr": "bin.", "Bin": "bin_", "Bitwise": "bitwise_", "Categorical": "cat.", "ListExpr": "list.",
    "StringExpr": "str.", "StructExpr": "struct.", "TemporalExpr": "dt.",
}  # fmt: skip
_NAMES = {
    "Cut": "cut", "LastNonNull": "last", "FirstNonNull": "first", "NUnique": "n_unique", "ApproxNUnique": "approx_n_unique",
    "QCut": "qcut", "RLE": "rle", "RLEID": "rle_id", "ArgWhere": "arg_true", "Correlation": "corr",
    "FieldByName": "field", "Lowercase": "to_lowercase", "Uppercase": "to_uppercase", "Length": "len",
}  # fmt: skip
_FUNCTIONS_OF_PL = {
    "AllHorizontal": "all_horizontal", "AnyHorizontal": "any_horizontal", "AsStruct": "struct", "Atan2": "arctan2",
    "Coalesce": "coalesce", "Correlation": "corr", "MaxHorizontal": "max_horizontal", "MeanHorizontal": "mean_horizontal",
    "MinHorizontal": "min_horizontal", "Repeat": "repeat", "SumHorizontal": "sum_horizontal", "IntRange": "int_range",
}  # fmt: skip
_CALENDAR = {"months": "mo", "weeks": "w", "days": "d"}
_CLOCK = {
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}
_FILLS = {"Backward": "backward_fill", "Forward": "forward_fill"}


def show(node: Node) -> str:
    """Return the expression as text, at most 120 characters."""
    try:
        text = _render(node)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        text = _by_polars(node)
    text = text[1:-1] if text.startswith("(") and _closes_at_end(text) else text
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _render(node: Node) -> str:
    renderer = _VARIANTS.get(tree.kind(node))
    return renderer(node) if renderer is not None else _by_polars(node)


def _by_polars(node: Node) -> str:
    try:
        text = str(tree.encode(node))
    except (PolarsError, ValueError, TypeError):
        return tree.operator(node)
    return re.sub(r"dyn (?:int|float): ", "", text)


def _parts(node: Node) -> list[str]:
    return [_render(child) for child in tree.children(node)]


def _first_part(node: Node) -> str:
    return _render(tree.children(node)[0])


def _call(subject: str, name: str, *arguments: str) -> str:
    return f"{subject}.{name}({', '.join(arguments)})"


def _column(node: Node) -> str:
    return f'pl.col("{tree.body(node)}")'


def _literal(node: Node) -> str:
    number = tree.integer(node)
    if number is not None:
        return str(number)
    literal = tree.body(node)
    if tree.kind(literal) == "Series":
        return "pl.Series(…)"
    value: Any = tree.body(literal)
    dtype, inner = tree.kind(value), tree.body(value)
    if dtype == "Null":
        return "None"
    plain = dtype.startswith("Float") or dtype in {"String", "Boolean"}
    return repr(inner) if plain else "[…]" if dtype == "List" else _by_polars(node)


def _binary(node: Node) -> str:
    symbol = _SYMBOLS.get(tree.body(node)["op"])
    left, right = _parts(node)
    if symbol is None:
        return _call(left, _snake(tree.body(node)["op"]), right)
    return f"({left} {symbol} {right})"


def _aggregate(node: Node) -> str:
    name = tree.kind(tree.body(node))
    skips_nulls = name in {"FirstNonNull", "LastNonNull"}
    return _call(_first_part(node), _snake(name), *(["ignore_nulls=True"] if skips_nulls else []))


def _cast(node: Node) -> str:
    dtype = tree.body(tree.body(node)["dtype"])
    return _call(
        _first_part(node),
        "cast",
        f"pl.{tree.kind(dtype)}" if isinstance(dtype, str | dict) else "…",
    )


def _when(node: Node) -> str:
    condition, then, otherwise = _parts(node)
    return f"pl.when({condition}).then({then}).otherwise({otherwise})"


def _over(node: Node) -> str:
    spec = tree.body(node)
    keys = [_render(key) for key in spec["partition_by"]]
    if spec["order_by"] is not None:
        keys.append(f"order_by={_render(spec['order_by'][0])}")
    return _call(_render(spec["function"]), "over", *keys)


def _rolling(node: Node) -> str:
    spec = tree.body(node)
    window = f"period={_duration(spec['period'])}"
    offset = f"offset={_duration(spec['offset'])}"
    return _call(
        _render(spec["function"]), "rolling", _render(spec["index_column"]), window, offset
    )


def _duration(duration: Mapping[str, Any]) -> str:
    counts = [(duration[unit], short) for unit, short in _CALENDAR.items()]
    counts.append(_clock_time(duration["nsecs"], counts_steps=duration["parsed_int"]))
    text = "".join(f"{count}{short}" for count, short in counts if count)
    return f'"{"-" if duration["negative"] else ""}{text or "0"}"'


def _clock_time(nanoseconds: int, *, counts_steps: bool) -> tuple[int, str]:
    """Return a length in the largest unit that holds it exactly."""
    if counts_steps:
        return nanoseconds, "i"
    exact = (
        (nanoseconds // size, name) for name, size in _CLOCK.items() if nanoseconds % size == 0
    )
    return next(exact)


def _gather(node: Node) -> str:
    subject, position = _parts(node)
    return _call(subject, "get" if tree.body(node)["returns_scalar"] else "gather", position)


def _evaluation(node: Node) -> str:
    subject, inner = _parts(node)
    variant = tree.kind(tree.body(node)["variant"])
    name = {"Cumulative": "cumulative_eval", "List": "list.eval", "ListAgg": "list.agg"}.get(
        variant, "arr.eval"
    )
    return _call(subject, name, inner)


def _function(node: Node) -> str:
    name = tree.operator(node).removeprefix("Function.")
    family, _, short = name.rpartition(".")
    if short == "Negate":
        return f"-{_first_part(node)}"
    if short == "ShiftAndFill":
        subject, count, fill = _parts(node)
        return _call(subject, "shift", count, f"fill_value={fill}")
    if short in _FUNCTIONS_OF_PL:
        return _call("pl", _FUNCTIONS_OF_PL[short], *_parts(node))
    subject, *arguments = _parts(node)
    if family == "RollingExpr" and short == "CorrCov":
        return _call("pl", "rolling_corr", subject, *arguments, *_settings(node, family))
    return _call(subject, _method(family, short), *arguments, *_settings(node, family))


def _method(family: str, short: str) -> str:
    if family in {"RollingExpr", "RollingExprBy"}:
        return f"rolling_{_snake(short)}"
    if family == "FillNullWithStrategy":
        return _FILLS.get(short, "fill_null")
    if family == "Interpolate":
        return "interpolate"
    return f"{_NAMESPACES.get(family, '')}{_snake(short)}"


def _settings(node: Node, family: str) -> list[str]:
    """Return the options that say which rows are read."""
    options = tree.options(node)
    if family == "RollingExpr":
        window = options["options"]
        return [str(window["window_size"]), *(["center=True"] if window["center"] else [])]
    if family == "RollingExprBy":
        return [_duration(options["options"]["window_size"])]
    if family == "FillNullWithStrategy":
        short = tree.operator(node).rpartition(".")[2]
        limit = [] if options is None else [f"limit={options}"]
        return limit if short in _FILLS else [f'strategy="{short.lower()}"']
    return ["reverse=True"] if isinstance(options, dict) and options.get("reverse") is True else []


def _snake(name: str) -> str:
    return _NAMES.get(name) or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _closes_at_end(text: str) -> bool:
    """Say whether the bracket that opens the text is the one that closes it."""
    depth = 0
    for position, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return position == len(text) - 1
    return False


_VARIANTS: dict[str, Callable[[Node], str]] = {
    "Agg": _aggregate,
    "Alias": _first_part,
    "BinaryExpr": _binary,
    "Cast": _cast,
    "Column": _column,
    "Element": lambda _: "pl.element()",
    "Eval": _evaluation,
    "Filter": lambda node: _call(_parts(node)[0], "filter", _parts(node)[1]),
    "Function": _function,
    "Gather": _gather,
    "KeepName": _first_part,
    "Len": lambda _: "pl.len()",
    "Literal": _literal,
    "Over": _over,
    "RenameAlias": _first_part,
    "Rolling": _rolling,
    "Slice": lambda node: _call(_parts(node)[0], "slice", *_parts(node)[1:]),
    "Sort": lambda node: _call(_first_part(node), "sort"),
    "SortBy": lambda node: _call(_parts(node)[0], "sort_by", *_parts(node)[1:]),
    "Ternary": _when,
}
