"""Rolling operators of an expression's tree as windows of the kernels."""

from __future__ import annotations

from typing import Any

from rangebar_enrich._expr import tree
from rangebar_enrich._expr.tree import Node
from rangebar_enrich._windows.window import Kind, Window

_FAMILY = "Function.RollingExpr."
_KINDS: dict[str, Kind] = {
    "Sum": "sum",
    "Mean": "mean",
    "Var": "var",
    "Std": "std",
    "Min": "min",
    "Max": "max",
    "Skew": "skew",
    "Kurtosis": "kurtosis",
}


def window_of(node: Node) -> Window | None:
    """Return the window that a node asks for; `None` where the kernels have none for it."""
    operator = tree.operator(node)
    if not operator.startswith(_FAMILY):
        return None
    settings = tree.options(node)
    options = settings["options"]
    size, least = options["window_size"], options["min_periods"]
    if options["weights"] is not None or options["center"] or not 0 <= least <= size or not size:
        return None
    name = operator.removeprefix(_FAMILY)
    if name == "CorrCov":
        return _of_pair(size, least, settings["function"]["CorrCov"])
    kind = _KINDS.get(name)
    if kind is None:
        return None
    more = options["fn_params"] or {}
    return Window(kind, size, least, **(next(iter(more.values())) if more else {}))


def _of_pair(size: int, least: int, settings: Any) -> Window:
    if settings["is_corr"]:
        return Window("corr", size, least)
    return Window("cov", size, least, ddof=settings["corr_cov_options"]["ddof"])


def is_window(node: Node) -> bool:
    """Return whether a node is a rolling operator of any kind."""
    operator = tree.operator(node)
    return operator == "Rolling" or operator.startswith("Function.RollingExpr")
