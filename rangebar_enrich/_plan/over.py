"""Expressions that may run within `over`: they mean the same there as on a series alone.

Many short series run fastest in one frame, each expression over a key. Polars evaluates most
operators alike in both places; only those tested to be bit-equal are listed.
"""

from __future__ import annotations

from rangebar_enrich._expr import tree
from rangebar_enrich._expr.tree import Node

_GROUPABLE = frozenset(
    {
        "Alias",
        "Cast",
        "Column",
        "Len",
        "Literal",
        "Ternary",
        "Function.Abs",
        "Function.Boolean.AllHorizontal",
        "Function.Boolean.AnyHorizontal",
        "Function.Boolean.IsBetween",
        "Function.Boolean.IsFinite",
        "Function.Boolean.IsInfinite",
        "Function.Boolean.IsNan",
        "Function.Boolean.IsNotNan",
        "Function.Boolean.IsNotNull",
        "Function.Boolean.IsNull",
        "Function.Boolean.Not",
        "Function.Ceil",
        "Function.Clip",
        "Function.Coalesce",
        "Function.CumCount",
        "Function.CumMax",
        "Function.CumMin",
        "Function.CumProd",
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
        "Function.MeanHorizontal",
        "Function.MinHorizontal",
        "Function.Negate",
        "Function.PctChange",
        "Function.Pow.Cbrt",
        "Function.Pow.Generic",
        "Function.Pow.Sqrt",
        "Function.RLEID",
        "Function.Range.IntRange",
        "Function.RollingExpr.CorrCov",
        "Function.RollingExpr.Kurtosis",
        "Function.RollingExpr.Max",
        "Function.RollingExpr.Mean",
        "Function.RollingExpr.Min",
        "Function.RollingExpr.Quantile",
        "Function.RollingExpr.Rank",
        "Function.RollingExpr.Skew",
        "Function.RollingExpr.Std",
        "Function.RollingExpr.Sum",
        "Function.RollingExpr.Var",
        "Function.Round",
        "Function.RoundSF",
        "Function.Shift",
        "Function.ShiftAndFill",
        "Function.Sign",
        "Function.SumHorizontal",
        "Function.Trigonometry.ArcTan",
        "Function.Trigonometry.Degrees",
        "Function.Trigonometry.Sin",
        "Function.Trigonometry.Tanh",
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
