"""The operators of Polars 2, each with the rows that it reads.

The key is `tree.operator(node)`. What is not in here is opaque: nothing is claimed for it.
`Over`, `Rolling`, `Eval` and `StructEval` open a scope of their own; see `interval.py`.
"""

from __future__ import annotations

from rangebar_enrich.reach import rules
from rangebar_enrich.reach.rules import Rule

# Row i of the inputs makes row i.
_ROW_BY_ROW = {
    "": "Alias Cast KeepName RenameAlias Ternary",
    "BinaryExpr": """And Eq EqValidity FloorDivide Gt GtEq LogicalAnd LogicalOr Lt LtEq Minus Modulus Multiply
        NotEq NotEqValidity Or Plus TrueDivide TruncDivide Xor""",
    "Function": """Abs AsList AsStruct Atan2 Ceil Clip Coalesce Cut Erf Erfc Exp FillNull Floor Hash Log Log1p
        MaxHorizontal MeanHorizontal MinHorizontal Negate Reinterpret RepeatBy Round RoundSF Sign
        SumHorizontal Truncate""",
    "Function.ArrayExpr": """ArgMax ArgMin Concat Contains CountMatches Dot Get Join Length Max Mean Median Min
        Shift Sort Std Sum ToList ToStruct Var""",
    "Function.BinaryExpr": """Contains EndsWith Get Head HexDecode HexEncode Base64Decode Base64Encode
        Reinterpret Size Slice StartsWith Tail""",
    "Function.Bitwise": "CountOnes CountZeros LeadingOnes LeadingZeros TrailingOnes TrailingZeros",
    "Function.Boolean": """AllHorizontal AnyHorizontal IsBetween IsClose IsFinite IsInfinite IsNan IsNotNan
        IsNotNull IsNull Not""",
    "Function.Business": "AddBusinessDay BusinessDayCount IsBusinessDay",
    "Function.Categorical": "EndsWith LenBytes LenChars Slice StartsWith To",
    "Function.Extension": "Storage To",
    "Function.FillNullWithStrategy": "One Zero",
    "Function.ListExpr": """ArgMax ArgMin Concat Contains CountMatches Diff DropNulls Gather GatherEvery Get Join
        Length Max Mean Median Min SetOperation Shift Slice Sort Std Sum ToArray ToMap ToStruct Var""",
    "Function.MapExpr": "ContainsKey Entries Get Keys Length Values",
    "Function.Pow": "Cbrt Generic Sqrt",
    "Function.Range": "DateRanges DatetimeRanges IntRanges LinearSpaces TimeRanges",
    "Function.StringExpr": """Base64Decode Base64Encode ConcatHorizontal Contains ContainsAny CountMatches
        EndsWith EscapeRegex Extract ExtractAll ExtractGroups ExtractMany Find FindMany Format Head HexDecode
        HexEncode JsonDecode JsonPathMatch LenBytes LenChars Lowercase Normalize PadEnd PadStart Replace
        ReplaceMany Reverse Slice Split SplitExact SplitN StartsWith StripChars StripCharsEnd StripCharsStart
        StripPrefix StripSuffix Tail Titlecase ToDecimal ToInteger Uppercase ZFill""",
    "Function.StructExpr": """Drop FieldByName JsonEncode MapFieldNames PrefixFields RenameFields SelectFields
        SuffixFields""",
    "Function.TemporalExpr": """BaseUtcOffset CastTimeUnit Century Combine ConvertTimeZone DSTOffset Date
        DatetimeFunction Day DaysInMonth Duration Hour IsLeapYear IsoYear Microsecond Millennium Millisecond
        Minute Month MonthEnd MonthStart Nanosecond OffsetBy OrdinalDay Quarter Replace ReplaceTimeZone Round
        Second Time TimeStamp ToString TotalDays TotalHours TotalMicroseconds TotalMilliseconds TotalMinutes
        TotalNanoseconds TotalSeconds Truncate Week WeekDay Year""",
    "Function.Trigonometry": """ArcCos ArcCosh ArcSin ArcSinh ArcTan ArcTanh Cos Cosh Cot Degrees Radians Sin
        Sinh Tan Tanh""",
}  # fmt: skip

# Every row from the first to the current one.
_SO_FAR = {
    "Function": "EwmMean EwmStd EwmSum EwmVar RLEID",
    "Function.Boolean": "IsFirstDistinct",
}

# Every row of the column, as long as the column.
_WHOLE = {
    "": "Sort",
    "Function": "ArgSort InterpolateBy QCut Rank",
    "Function.Bin": "Quantiles Ranks",
    "Function.Boolean": "IsDuplicated IsUnique",
    "Function.FillNullWithStrategy": "Max Mean Min",
    "Function.Interpolate": "Linear Nearest",
    "Function.Random": "Shuffle",
}

# Every row of the column, made into one value.
_REDUCTION = {
    "": "Len",
    "Agg": """Count FirstNonNull Implode Item LastNonNull Max Mean Median Min NUnique Std Sum Var""",
    "Function": """ApproxNUnique ApproxQuantile ArgMax ArgMin Correlation Entropy IndexOf Kurtosis MaxBy MinBy
        NullCount Product Quantile Skew""",
    "Function.Bitwise": "And Or Xor",
    "Function.Boolean": "All Any HasNulls IsEmpty IsSorted",
    "Function.StringExpr": "ConcatVertical",
}

# Every row of the column, and a result of another length.
_RESIZE = {
    "": "Explode Filter",
    "Function": """Append ArgUnique ArgWhere DropNans DropNulls ExtendConstant GatherEvery Hist Mode RLE Reshape
        TopK TopKBy Unique UniqueCounts ValueCounts""",
    "Function.ArrayExpr": "Explode",
    "Function.ListExpr": "Explode",
    "Function.Random": "Sample",
    "Function.Range": "DateRange DatetimeRange LinearSpace TimeRange",
}

# A window of a fixed number of rows; centred, both sides.
_ROLLING = {
    "Function.RollingExpr": "CorrCov Kurtosis Max Mean Median Min Quantile Rank Skew Std Sum Var"
}

# A window over time: known only where times increase strictly.
_ROLLING_BY = {
    "Function": "EwmMeanBy EwmSumBy",
    "Function.RollingExprBy": "MaxBy MeanBy MedianBy MinBy QuantileBy RankBy StdBy SumBy VarBy",
}

# Rules of their own.
_SPECIAL: dict[str, Rule] = {
    "Agg.First": rules.first,
    "Agg.Last": rules.last,
    "DataTypeFunction": rules.of_types,
    "Function.Bin.Intervals": rules.bin_intervals,
    "Function.Boolean.IsIn": rules.is_in,
    "Function.Boolean.IsLastDistinct": rules.from_here,
    "Function.Categorical.Physical": rules.whole,
    "Function.CumCount": rules.cumulative,
    "Function.CumMax": rules.cumulative,
    "Function.CumMin": rules.cumulative,
    "Function.CumProd": rules.cumulative,
    "Function.CumSum": rules.cumulative,
    "Function.Diff": rules.difference,
    "Function.FillNullWithStrategy.Backward": rules.fill_backward,
    "Function.FillNullWithStrategy.Forward": rules.fill_forward,
    "Function.ListExpr.Sample": rules.opaque,
    "Function.LowerBound": rules.of_types,
    "Function.PctChange": rules.difference,
    "Function.PeakMax": rules.neighbours,
    "Function.PeakMin": rules.neighbours,
    "Function.Range.IntRange": rules.int_range,
    "Function.Repeat": rules.repeat,
    "Function.Replace": rules.replace,
    "Function.ReplaceStrict": rules.replace,
    "Function.Reverse": rules.reverse,
    "Function.SearchSorted": rules.search_sorted,
    "Function.Shift": rules.shift,
    "Function.ShiftAndFill": rules.shift,
    "Function.StringExpr.Strptime": rules.parse_time,
    "Function.ToPhysical": rules.physical,
    "Function.UpperBound": rules.of_types,
    "Gather": rules.gather,
    "Slice": rules.cut_rows,
}

SCOPES = frozenset(
    {
        "Over",
        "Function.SetSortedFlag",
        "Rolling",
        "SortBy",
        "Eval.Array",
        "Eval.ArrayAgg",
        "Eval.Cumulative",
        "Eval.List",
        "Eval.ListAgg",
        "StructEval.Select",
        "StructEval.WithFields",
    }
)
"""Operators that open a scope, or that need to know what their inputs are."""

LEAVES = frozenset({"Column", "Element", "Field", "Literal", "Selector"})
"""What reads a column, a constant, or the scope that it stands in."""


def _operators(families: dict[str, str]) -> list[str]:
    return [
        f"{family}.{name}".lstrip(".")
        for family, names in families.items()
        for name in names.split()
    ]


ROLLING_BY = frozenset(_operators(_ROLLING_BY))
"""Operators with a window over time; their second input is the clock."""

TABLE: dict[str, Rule] = {
    **dict.fromkeys(_operators(_ROW_BY_ROW), rules.row_by_row),
    **dict.fromkeys(_operators(_SO_FAR), rules.so_far),
    **dict.fromkeys(_operators(_WHOLE), rules.whole),
    **dict.fromkeys(_operators(_REDUCTION), rules.reduction),
    **dict.fromkeys(_operators(_RESIZE), rules.resize),
    **dict.fromkeys(_operators(_ROLLING), rules.rolling),
    **_SPECIAL,
}
"""Operator to rule, for every operator that needs only the spans of its inputs."""


def is_known(operator: str) -> bool:
    """Say whether the table classifies the operator."""
    return operator in TABLE or operator in ROLLING_BY or operator in SCOPES or operator in LEAVES
