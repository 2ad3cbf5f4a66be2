"""Expressions that may run within `over`: they mean the same there as on a series alone.

Many short series run fastest in one frame, each expression over a key. Polars evaluates most
operators alike in both places; only those tested to be bit-equal are listed.
"""

from __future__ import annotations

from rangebar_enrich import tree
from rangebar_enrich.tree import Node

_GROUPABLE = frozenset(
    {
        "Alias",
        "Cast",
        "Column",
        "Literal",
        "Ternary",
        "Function.Abs",
        "Function.Boolean.IsBetween",
        "Function.Boolean.IsFinite",
        "Function.Boolean.IsNan",
        "Function.Boolean.IsNotNan",
        "Function.Boolean.IsNotNull",
        "Function.Boolean.IsNull",
        "Function.Boolean.Not",
        "Function.Ceil",
        "Function.Clip",
        "Function.CumCount",
        "Function.CumMax",
        "Function.CumMin",
        "Function.CumSum",
        "Function.Diff",
        "Function.EwmMean",
        "Function.EwmStd",
        "Function.EwmVar",
        "Function.Exp",
        "Function.FillNull",
        "Function.FillNullWithStrategy.Forward",
        "Function.Floor",
        "Function.Log",
        "Function.Log1p",
        "Function.MaxHorizontal",
        "Function.MinHorizontal",
        "Function.Negate",
        "Function.PctChange",
        "Function.Pow.Cbrt",
        "Function.Pow.Generic",
        "Function.Pow.Sqrt",
        "Function.RollingExpr.Max",
        "Function.RollingExpr.Mean",
        "Function.RollingExpr.Min",
        "Function.RollingExpr.Std",
        "Function.RollingExpr.Sum",
        "Function.RollingExpr.Var",
        "Function.Round",
        "Function.Shift",
        "Function.Sign",
    }
)


def is_groupable(node: Node) -> bool:
    """Return whether a tree holds only operators that mean the same within `over`."""
    parts = list(tree.walk(node))
    return any(tree.kind(part) == "Column" for part in parts) and all(
        _is_listed(part) for part in parts
    )


def _is_listed(node: Node) -> bool:
    operator = tree.operator(node)
    if operator == "Literal":
        # NOTE: a literal series has a length of its own, which no group has.
        return tree.kind(tree.body(node)) != "Series"
    return operator.startswith("BinaryExpr.") or operator in _GROUPABLE
