"""Continue expressions: compute them on new rows only, from a held state.

1. `cut` takes the recursions out of the expressions, level by level: a recursion over the result
   of another one is a level above it. Each becomes a column, and all that remains has finite reach.
2. For an increment, the inputs of a level are computed on the context (the last rows before) and
   the new rows; `fold` and `decay` continue the recursions over the new rows, and their results
   are columns for the next level.
3. Above the last level the expressions themselves are computed in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import xxhash

from rangebar_enrich._expr import tree
from rangebar_enrich._expr.tree import Node
from rangebar_enrich._recursion.cut import ROW, Cutter, NotCutError, Recursion, levels_of
from rangebar_enrich._recursion.ewm import Decay
from rangebar_enrich._recursion.fold import advance_folds, fold_expr, fold_input
from rangebar_enrich._recursion.state import LevelState, State
from rangebar_enrich._windows.staging import Extent, Pass, staged
from rangebar_enrich.errors import BarColumnError, HistoryError, NotHeldError, message


def hold(
    exprs: Mapping[str, pl.Expr],
    *,
    schema: Mapping[str, pl.DataType] | None = None,
    relative: bool = True,
) -> Continuation:
    """Analyse expressions once, so that they can be computed increment by increment.

    Held are cum_sum, cum_prod, cum_min, cum_max, cum_count, forward_fill, ewm_mean and the row
    number `pl.int_range(pl.len())`, over inputs of finite reach or over one another, with any
    operators of finite reach above them. Expressions without recursion are continued too.

    Args:
        exprs: Output column to expression; one value for each row.
        schema: Dtypes of the columns they read, as far as they are known.
        relative: Whether windows over columns of known dtype are the kernels', as in a run.

    Returns:
        What continues them all together.

    Raises:
        NotHeldError: Some can't be continued; every one is named, with the reason.
    """
    cutter = Cutter(schema or {})
    tops: dict[str, Node] = {}
    reasons: dict[str, str] = {}
    for column, expr in exprs.items():
        try:
            tops[column] = cutter.cut(expr)
        except NotCutError as error:
            reasons[column] = str(error)
    if reasons:
        raise NotHeldError.of(reasons, _refusal(reasons))
    return Continuation.of(cutter, tops, relative=relative)


def why_not_held(expr: pl.Expr, *, schema: Mapping[str, pl.DataType] | None = None) -> str | None:
    """Say why an expression can't be continued from a state; `None` where it can."""
    try:
        Cutter(schema or {}).cut(expr)
    except NotCutError as error:
        return str(error)
    return None


def _refusal(reasons: Mapping[str, str]) -> str:
    return message(
        f"{len(reasons)} expression(s) can't be continued from a state:",
        [f"'{column}': {reason}" for column, reason in sorted(reasons.items())],
        "declare `lookback` (the unstable period) in the provider, or give the whole history.",
    )


@dataclass(frozen=True, slots=True)
class _Formulas:
    """Expressions of finite reach, computed for the last rows of a frame.

    Attributes:
        columns: What they make, in order.
        exprs: Those for which anything has to be computed.
        plain: Those that are columns under another name, and which.
        passes: Windows that kernels compute before, and what these run over.
    """

    columns: tuple[str, ...]
    exprs: tuple[pl.Expr, ...]
    plain: Mapping[str, str]
    passes: Sequence[Pass]

    @classmethod
    def of(
        cls, exprs: Mapping[str, pl.Expr], schema: Mapping[str, pl.DataType] | None
    ) -> _Formulas:
        """Take the windows out of expressions; without a schema they stay Polars' own."""
        passes: Sequence[Pass] = ()
        if schema is not None:
            made = staged([exprs], schema)
            passes, exprs = made.passes[0], made.exprs[0]
        sources = {column: _source(expr) for column, expr in exprs.items()}
        plain = {column: source for column, source in sources.items() if source is not None}
        left = [expr.alias(column) for column, expr in exprs.items() if column not in plain]
        return cls(tuple(exprs), tuple(left), plain, passes)

    def compute(self, frame: pl.DataFrame, count: int) -> pl.DataFrame:
        """Return them for the last `count` rows."""
        if self.passes:
            extent = Extent.of([frame.height], [frame.height - count])
            for one in self.passes:
                frame = one.over(_with(frame, tuple(one.inputs.values())), extent)
                extent = one.behind(extent)
        made = _with(frame, self.exprs)
        return pl.DataFrame(
            [
                made.get_column(self.plain.get(column, column)).tail(count).alias(column)
                for column in self.columns
            ]
        )


def _with(frame: pl.DataFrame, exprs: Sequence[pl.Expr]) -> pl.DataFrame:
    if not exprs:
        return frame
    plan = frame.lazy().with_columns(exprs)
    return plan.collect(engine="in-memory", optimizations=pl.QueryOptFlags.none())


def _source(expr: pl.Expr) -> str | None:
    """Return the column that an expression only renames, if that is all it does."""
    node = tree.decode(expr)
    while node is not None and tree.operator(node) == "Alias":
        node = tree.children(node)[0]
    if node is None or tree.kind(node) != "Column":
        return None
    return str(tree.body(node))


@dataclass(frozen=True, slots=True)
class _Level:
    """Recursions that do not read each other.

    Attributes:
        inputs: What each recursion runs over.
        folds: Column to fold.
        decays: Column to `ewm_mean`.
    """

    inputs: _Formulas
    folds: Mapping[str, pl.Expr]
    decays: Mapping[str, Decay]

    @classmethod
    def of(
        cls, recursions: Sequence[Recursion], schema: Mapping[str, pl.DataType] | None
    ) -> _Level:
        inputs = _Formulas.of({made.column: _input(made) for made in recursions}, schema)
        folds = {
            made.column: fold_expr(made.name, made.column)
            for made in recursions
            if not made.is_decay
        }
        decays = {made.column: _decay(made) for made in recursions if made.is_decay}
        return cls(inputs, folds, decays)

    def advance(self, held: LevelState, inputs: pl.DataFrame) -> tuple[list[pl.Series], LevelState]:
        """Continue each recursion over the new rows of its input."""
        made: list[pl.Series] = []
        row = held.folds
        if self.folds:
            folded, row = advance_folds(self.folds, row, inputs[list(self.folds)])
            made += folded.get_columns()
        after = {}
        for column, decay in self.decays.items():
            values, after[column] = decay.advance(
                held.decays.get(column), inputs.get_column(column)
            )
            made.append(values)
        return made, LevelState(row, after)


def _input(made: Recursion) -> pl.Expr:
    value = tree.encode(tree.children(made.node)[0])
    return value if made.is_decay else fold_input(made.name, value)


def _decay(made: Recursion) -> Decay:
    settings = tree.options(made.node)["options"]
    return Decay(
        alpha=settings["alpha"],
        adjust=settings["adjust"],
        ignore_nulls=settings["ignore_nulls"],
        min_samples=settings["min_periods"],
    )


@dataclass(frozen=True, slots=True)
class Continuation:
    """Expressions that go on where they stopped.

    Attributes:
        columns: Output columns, in the order given.
        inputs: Columns that the expressions read, sorted.
        context_rows: Number of earlier rows that a state keeps.
        times: Columns that must increase strictly, or `context_rows` is too small.
    """

    columns: tuple[str, ...]
    inputs: tuple[str, ...]
    context_rows: int
    times: frozenset[str]
    _counts_rows: bool
    _levels: tuple[_Level, ...]
    _outputs: _Formulas
    _plan: bytes

    @classmethod
    def of(cls, cutter: Cutter, tops: Mapping[str, Node], *, relative: bool) -> Continuation:
        """Compile what was cut."""
        recursions = list(cutter.recursions.values())
        own = {ROW, *(made.column for made in recursions)}
        nodes = [*tops.values(), *(made.node for made in recursions)]
        read = {name for node in nodes for name in tree.columns(node)}
        packed = [column.encode() + b"\0" + tree.pack(node) for column, node in tops.items()]
        packed += [tree.pack(made.node) for made in recursions]
        schemas = _schemas(levels_of(recursions), cutter.schema)
        if not relative:
            schemas = [None] * len(schemas)
        *below, above = schemas
        return cls(
            columns=tuple(tops),
            inputs=tuple(sorted(read - own)),
            context_rows=cutter.past,
            times=cutter.times,
            _counts_rows=ROW in read or not read - own,
            _levels=tuple(map(_Level.of, levels_of(recursions), below)),
            _outputs=_Formulas.of({name: tree.encode(node) for name, node in tops.items()}, above),
            _plan=xxhash.xxh3_128_digest(b"\0".join(packed)),
        )

    @property
    def is_recursive(self) -> bool:
        """Whether a value depends on more than the last `context_rows` rows."""
        return bool(self._levels) or self._counts_rows

    def start(self) -> State:
        """Return the state before the first row of a series."""
        return State(0, None, tuple(LevelState() for _ in self._levels), self._plan)

    def state_from_bytes(self, raw: bytes) -> State:
        """Read a state that `State.to_bytes` wrote.

        Raises:
            HistoryError: The bytes are no state, or one of other expressions.
        """
        state = State.from_bytes(raw)
        self._check_plan(state)
        return state

    def advance(self, state: State, rows: pl.DataFrame) -> tuple[pl.DataFrame, State]:
        """Compute the expressions for rows that follow those of the state.

        Args:
            state: From `start()`, or from the increment before; it stays usable.
            rows: The new rows, with at least the columns in `inputs`.

        Returns:
            The output columns for the new rows, and the state behind them.

        Raises:
            BarColumnError: A column is missing, or its dtype is not what it was before.
            HistoryError: The state belongs to other expressions.
        """
        self._check_plan(state)
        frame = _join(state.context, self._read(state, rows))
        levels = []
        for level, held in zip(self._levels, state.levels, strict=True):
            made, after = level.advance(held, level.inputs.compute(frame, rows.height))
            frame = frame.hstack(_join(state.context, pl.DataFrame(made)).get_columns())
            levels.append(after)
        outputs = self._outputs.compute(frame, rows.height)
        context = _last_rows(frame, self.context_rows, rows.height)
        return outputs, State(state.rows + rows.height, context, tuple(levels), self._plan)

    def _check_plan(self, state: State) -> None:
        if state.plan != self._plan:
            msg = message(
                "The state belongs to other expressions, or other versions of them",
                hint="start anew from history.",
            )
            raise HistoryError(msg)

    def _read(self, state: State, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the columns that are read, and the row number where it is."""
        missing = [f"'{name}': missing" for name in self.inputs if name not in rows.columns]
        if missing:
            msg = message(f"{len(missing)} column(s) that the expressions read:", missing)
            raise BarColumnError(msg)
        new = [rows.get_column(name) for name in self.inputs]
        if state.context is not None:
            _check_dtypes(state.context, new)
        if self._counts_rows:
            end = state.rows + rows.height
            new.append(pl.int_range(state.rows, end, eager=True).alias(ROW))
        return pl.DataFrame(new)


def _check_dtypes(context: pl.DataFrame, new: Sequence[pl.Series]) -> None:
    changed = [
        f"'{one.name}': got {one.dtype}, expected {context.schema[one.name]}"
        for one in new
        if one.dtype != context.schema[one.name]
    ]
    if changed:
        msg = message(f"{len(changed)} column(s) changed dtype within the series:", changed)
        raise BarColumnError(msg)


def _join(context: pl.DataFrame | None, new: pl.DataFrame) -> pl.DataFrame:
    """Put the same columns of the context in front of new rows."""
    if context is None or context.is_empty():
        return new
    joined = context[new.columns].vstack(new)
    # NOTE: to Polars, equal rows that come one by one may be a constant, and it divides by a
    # constant in another way than by a column: the last bit differs. A Series is never a constant.
    return pl.DataFrame(joined.get_columns())


def _last_rows(frame: pl.DataFrame, count: int, new: int) -> pl.DataFrame:
    """Return the last rows, in buffers of their own where a slice would keep many rows alive."""
    if not count:
        return frame.clear()
    rows = frame.tail(count)
    return rows[list(range(rows.height))] if new > count else rows.rechunk()


def _schemas(
    levels: Sequence[Sequence[Recursion]], schema: Mapping[str, pl.DataType]
) -> list[Mapping[str, pl.DataType] | None]:
    """Return what is known of the columns below each level, and above the last."""
    known = {ROW: pl.Int64(), **schema}
    made: list[Mapping[str, pl.DataType] | None] = [dict(known)]
    for level in levels:
        frame = pl.LazyFrame(schema=known)
        for one in level:
            try:
                known[one.column] = frame.select(tree.encode(one.node)).collect_schema().dtypes()[0]
            except pl.exceptions.PolarsError:
                continue  # of a column that is not known: what reads it stays Polars' own
        made.append(dict(known))
    return made
