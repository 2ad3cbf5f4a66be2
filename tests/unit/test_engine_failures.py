from __future__ import annotations

import re
import sys

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import rangebar_enrich as rbe
from rangebar_enrich.errors import CompileError, DeclarationError, ProviderError, RunError

CLOSE = pl.col("close")


class OwnError(Exception):
    """An exception of the provider's own, that only it can make."""

    def __init__(self, code, text):
        super().__init__(code, text)

    def __str__(self):
        return "own text"


class MuteError(Exception):
    """An exception that cannot even be printed."""

    def __str__(self):
        msg = "no text"
        raise RuntimeError(msg)


RAISED = {
    "ValueError": ValueError("bad value\nwith a second line"),
    "IndexError": IndexError("out of range"),
    "AttributeError": AttributeError("no such attribute"),
    "ZeroDivisionError": ZeroDivisionError("division by zero"),
    "KeyError": KeyError("lost"),
    "RuntimeError-empty": RuntimeError(),
    "ComputeError": pl.exceptions.ComputeError("cannot compute"),
    "ColumnNotFoundError": pl.exceptions.ColumnNotFoundError("cannot find"),
    "ShapeError": pl.exceptions.ShapeError("cannot shape"),
    "SchemaError": pl.exceptions.SchemaError("cannot type"),
    "OwnError": OwnError(3, "text"),
    "MuteError": MuteError(),
    "PanicException": pl.exceptions.PanicException("it panicked"),
}


def _raiser(error):
    def explode(*_):
        raise error

    return explode


def _udf(function, **options):
    return CLOSE.map_batches(function, return_dtype=pl.Float64, **options)


COMPILE = {
    "wrong name": [CLOSE.alias("bad_c"), CLOSE.alias("bad_b")],
    "name of another": [CLOSE.alias("momentum_return_20"), CLOSE.alias("bad_b")],
    "no name": [CLOSE, CLOSE.alias("bad_b")],
    "too few": [CLOSE.alias("bad_a")],
    "none at all": [],
    "too many": [CLOSE.alias("bad_a"), CLOSE.alias("bad_b"), CLOSE.alias("bad_c")],
    "one twice": [CLOSE.alias("bad_a"), CLOSE.alias("bad_a"), CLOSE.alias("bad_b")],
    "unknown column": {"bad_a": pl.col("colse"), "bad_b": CLOSE},
    "selector": {"bad_a": pl.selectors.float(), "bad_b": CLOSE},
    "all columns": {"bad_a": pl.all(), "bad_b": CLOSE},
    "several columns": [pl.col("open", "close").name.prefix("bad_"), CLOSE.alias("bad_b")],
    "pattern": {"bad_a": pl.col("^(open|close)$"), "bad_b": CLOSE},
    "sum": {"bad_a": CLOSE.sum(), "bad_b": CLOSE},
    "last": {"bad_a": CLOSE.last(), "bad_b": CLOSE},
    "length": {"bad_a": pl.len(), "bad_b": CLOSE},
    "scalar udf": {"bad_a": _udf(lambda s: s.sum(), returns_scalar=True), "bad_b": CLOSE},
    "head": {"bad_a": CLOSE.head(5), "bad_b": CLOSE},
    "filter": {"bad_a": CLOSE.filter(CLOSE > 0), "bad_b": CLOSE},
    "unique": {"bad_a": CLOSE.unique(), "bad_b": CLOSE},
    "short literal": {"bad_a": pl.lit(pl.Series([1.0, 2.0])), "bad_b": CLOSE},
    "string": {"bad_a": CLOSE.cast(pl.String), "bad_b": CLOSE},
    "string column": {"bad_a": pl.col("data_source"), "bad_b": CLOSE},
    "struct": {"bad_a": pl.struct("open", "close"), "bad_b": CLOSE},
    "list": {"bad_a": pl.concat_list("open", "close"), "bad_b": CLOSE},
    "datetime": {"bad_a": pl.col("close_time").cast(pl.Datetime("us")), "bad_b": CLOSE},
    "type clash": {"bad_a": CLOSE + pl.col("data_source").str.len_chars().cast(pl.Date)},
    "a number": [1.5, CLOSE.alias("bad_b")],
    "a series": {"bad_a": pl.Series([1.0]), "bad_b": CLOSE},
    "a text": "close",
    "one expression": CLOSE.alias("bad_a"),
    "a frame": pl.DataFrame({"bad_a": [1.0]}),
    "None": None,
    "None among": [None, CLOSE.alias("bad_b")],
    **{f"expressions raises {name}": _raiser(error) for name, error in RAISED.items()},
}

RUN = {
    **{f"udf raises {name}": _udf(_raiser(error)) for name, error in RAISED.items()},
    "udf raises in map_elements": CLOSE.map_elements(
        _raiser(ValueError("bad value")), return_dtype=pl.Float64
    ),
    "udf returns short": _udf(lambda s: s.head(7)),
    "udf returns long": _udf(lambda s: pl.concat([s, s])),
    "udf returns one": _udf(lambda s: s.head(1)),
    "udf returns nothing": _udf(lambda s: s.clear()),
    "udf returns text": _udf(lambda s: s.cast(pl.String)),
    "udf returns integers": _udf(lambda s: s.cast(pl.Int64)),
    "udf returns None": _udf(lambda _: None),
    "udf returns a list": _udf(lambda s: s.to_list()),
    "udf returns a frame": _udf(lambda s: s.to_frame()),
    "undeclared text": CLOSE.map_batches(lambda s: s.cast(pl.String) if len(s) > 5 else s),
    "strict cast": (CLOSE * 1e9).cast(pl.Int8),
    "strict parse": CLOSE.cast(pl.String).str.to_integer(),
    "gather beyond": CLOSE.gather(pl.int_range(pl.len()) + 10),
}


def _broken(native, made):
    if isinstance(made, pl.Expr) and made.meta.output_name() != "bad_a":
        made = {"bad_a": made, "bad_b": CLOSE * 2}
    return native("bad", made, columns=["bad_a", "bad_b"], version="9.9", min_bars=3)


def _check_local(broken, healthy, bars, events, caplog):
    """Assert all that a failure must keep: the others, the columns, one event, one line."""
    expected = rbe.Enricher(healthy).run(bars).table
    events.clear()
    caplog.clear()

    enricher = rbe.Enricher([healthy[0], broken, *healthy[1:]])
    result = enricher.run(bars)

    bad = result.outcomes[1]
    others = [name for name in result.table.column_names if name not in bad.columns]
    assert result.table.select(others).equals(expected, check_metadata=True)
    assert (bad.provider, bad.version, bad.status) == ("bad", "9.9", "failed")
    assert [one.status for one in result.outcomes] == ["ok", "failed", *["ok"] * (len(healthy) - 1)]
    for column in broken.columns:
        assert result.table[column].null_count == bars.num_rows
        assert result.table.schema.field(column).type == pa.float64()
        assert result.table.schema.field(column).metadata == {
            b"provider": b"bad",
            b"version": b"9.9",
            b"status": b"failed",
        }
    assert "\n" not in bad.error
    assert bad.error.startswith("Provider 'bad'")
    failures = [one for one in events if one.event is rbe.HookEvent.PLUGIN_ENRICH_FAILED]
    assert [dict(one.details) for one in failures] == [
        {
            "threshold_decimal_bps": 50,
            "provider_name": "bad",
            "provider_version": "9.9",
            "error": bad.error,
        }
    ]
    logged = [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]
    assert logged == [f"provider 'bad' 9.9 failed: {bad.error}"]
    return bad.error


@pytest.fixture
def healthy(momentum, half_range, native):
    function = native("python", {"python_a": _udf(lambda s: s * 2)})
    return [momentum, function, half_range]


@pytest.fixture
def one_series(make_bars):
    return make_bars(90, symbol="XRPETH", threshold_decimal_bps=50)


@pytest.mark.parametrize("case", COMPILE)
def test_failure_at_compile_time_is_local(case, native, healthy, one_series, events, caplog):
    broken = _broken(native, COMPILE[case])

    _check_local(broken, healthy, one_series, events, caplog)

    with pytest.raises(CompileError, match=r"^Provider 'bad'") as caught:
        rbe.enrich_bars(one_series, providers=[*healthy, broken], on_error="raise")
    assert caught.value.provider == "bad"


@pytest.mark.parametrize("case", RUN)
def test_failure_at_run_time_is_local(case, native, healthy, one_series, events, caplog):
    broken = _broken(native, RUN[case])

    _check_local(broken, healthy, one_series, events, caplog)

    with pytest.raises(RunError, match=r"^Provider 'bad'") as caught:
        rbe.enrich_bars(one_series, providers=[*healthy, broken], on_error="raise")
    assert caught.value.provider == "bad"


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (COMPILE["wrong name"], r"- 'bad_a': declared, but no expression makes it - 'bad_c': made"),
        (COMPILE["unknown column"], r"reads unknown column 'colse' \(did you mean 'close'\?\)"),
        (COMPILE["sum"], r"'bad_a': gives one value for the whole table, not one a bar"),
        (COMPILE["scalar udf"], r"'bad_a': gives one value for the whole table"),
        (COMPILE["filter"], r"'bad_a': does not give one value a bar"),
        (COMPILE["string"], r"'bad_a': has dtype String, expected a number or boolean"),
        (COMPILE["all columns"], r"'bad_a': may give several columns"),
        (COMPILE["a number"], r"expression 0: got float, expected pl.Expr"),
        (COMPILE["None"], r"expressions\(\) returned NoneType, expected a list of pl.Expr"),
        (
            COMPILE["expressions raises ValueError"],
            r"expressions\(\) raised ValueError: bad value$",
        ),
        (COMPILE["expressions raises MuteError"], r"raised MuteError: no message$"),
        (RUN["udf raises ValueError"], r"^Provider 'bad': ValueError: bad value$"),
        (RUN["udf raises OwnError"], r"OwnError"),
        (RUN["udf raises PanicException"], r"PanicException: it panicked$"),
        (RUN["udf raises RuntimeError-empty"], r"^Provider 'bad': RuntimeError: no message$"),
        (RUN["udf returns short"], r"ShapeError: .*length 7"),
        (RUN["udf returns text"], r"SchemaError: expected output type 'Float64', got 'String'"),
    ],
)
def test_outcome_tells_the_cause(made, text, native, one_series):
    outcome = rbe.Enricher([_broken(native, made)]).run(one_series).outcomes[0]

    assert re.search(text, outcome.error)


def test_error_keeps_its_cause(native, one_series):
    broken = _broken(native, RUN["udf raises ZeroDivisionError"])

    with pytest.raises(RunError, match=r"ZeroDivisionError: division by zero") as caught:
        rbe.enrich_bars(one_series, providers=[broken], on_error="raise")

    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("where", ["expressions", "udf", "legacy"])
def test_interrupts_are_never_swallowed(where, stop, native, legacy, momentum, one_series):
    providers = {
        "expressions": _broken(native, _raiser(stop())),
        "udf": _broken(native, _udf(_raiser(stop()))),
        "legacy": legacy("bad", ["bad_a"], _raiser(stop())),
    }

    with pytest.raises(stop):
        rbe.enrich_bars(one_series, providers=[momentum, providers[where]])


def test_filter_that_drops_nothing_today_is_refused(native, one_series):
    always = native("bad", {"bad_a": CLOSE.filter(CLOSE > -1)})

    assert rbe.Enricher([always]).run(one_series).outcomes[0].status == "failed"


@pytest.mark.parametrize("rows", [1, 2])
def test_aggregate_is_refused_even_where_it_fits(rows, native, make_bars):
    result = rbe.Enricher([native("bad", {"bad_a": CLOSE.max()})]).run(make_bars(rows))

    assert result.outcomes[0].status == "failed"


@pytest.mark.parametrize("broken", ["udf returns short", "udf returns long"])
def test_wrong_length_of_a_provider_alone_is_local(broken, native, one_series):
    result = rbe.Enricher([native("bad", {"bad_a": RUN[broken]})]).run(one_series)

    assert [one.status for one in result.outcomes] == ["failed"]
    assert result.table["bad_a"].null_count == len(result.table) == one_series.num_rows


def _counted(native, name, calls):
    def double(values):
        calls.append(name)
        return values * 2

    return native(name, {f"{name}_a": _udf(double)})


@pytest.mark.parametrize(
    "broken",
    ["udf raises ValueError", "udf returns short", "udf raises ComputeError", "strict cast"],
)
def test_one_failure_costs_one_extra_pass(broken, native, one_series):
    calls = []
    healthy = [_counted(native, name, calls) for name in ("one", "two", "three")]
    enricher = rbe.Enricher([*healthy, _broken(native, RUN[broken])])

    result = enricher.run(one_series)

    assert [one.status for one in result.outcomes] == ["ok", "ok", "ok", "failed"]
    assert max(calls.count(name) for name in ("one", "two", "three")) <= 2


@pytest.mark.parametrize("broken", RUN)
def test_healthy_plain_expressions_run_twice_at_most(broken, native, one_series, collected):
    plain = [native(name, {f"{name}_a": CLOSE.cum_sum()}) for name in ("one", "two", "three")]
    counted = _counted(native, "four", [])

    rbe.Enricher([*plain, _broken(native, RUN[broken]), counted]).run(one_series)

    seen = [n for plans in collected for plan in plans for n in plan.collect_schema().names()]
    counts = [seen.count(f"{name}_a") for name in ("one", "two", "three")]
    assert min(counts) >= 1
    assert max(counts) <= 2


def test_failure_that_repeats_costs_no_extra_pass(native, one_series):
    calls = []
    healthy = _counted(native, "one", calls)
    enricher = rbe.Enricher([healthy, _broken(native, RUN["udf raises ValueError"])])
    enricher.run(one_series)
    calls.clear()

    result = enricher.run(one_series)

    assert [one.status for one in result.outcomes] == ["ok", "failed"]
    assert calls == ["one"]


def test_failure_that_passes_heals(native, one_series):
    moods = iter([False])

    def sometimes(values):
        if not next(moods, True):
            msg = "not today"
            raise ValueError(msg)
        return values

    enricher = rbe.Enricher([native("moody", {"moody_a": _udf(sometimes)})])
    # The first run fails once together with the others and is tried alone: then it is well.
    outcome = enricher.run(one_series).outcomes[0]

    assert outcome.status == "ok"
    assert enricher.run(one_series).outcomes[0].status == "ok"


def test_every_failure_at_once_leaves_the_healthy(native, healthy, one_series):
    broken = [
        native(f"bad{i}", {f"bad{i}_a": expr})
        for i, expr in enumerate(one for one in RUN.values() if one.meta.output_name() == "close")
    ]

    result = rbe.Enricher([*broken, *healthy]).run(one_series)

    expected = rbe.Enricher(healthy).run(one_series).table
    assert [one.status for one in result.outcomes] == ["failed"] * len(broken) + ["ok"] * 3
    columns = [column for one in healthy for column in one.columns]
    assert result.table.select(columns).equals(expected.select(columns))


def test_failure_in_pandas_gives_nan_columns(native, momentum, one_series):
    broken = _broken(native, RUN["udf raises ValueError"])

    with pytest.warns(rbe.ProviderWarning, match=r"^columns of 1 provider\(s\) are null.*: 'bad';"):
        frame = rbe.enrich_bars(one_series.to_pandas(), providers=[broken, momentum])

    assert frame[["bad_a", "bad_b"]].isna().all(axis=None)
    assert frame["bad_a"].dtype == np.float64


class Base:
    name, version, columns, min_bars = "bad", "9.9", ("bad_a",), 0

    def expressions(self, _):
        return [CLOSE.alias("bad_a")]


def _declared(**changes):
    return type("Changed", (Base,), changes)()


class ConstructorRaises(Base):
    def __init__(self):
        msg = "no configuration"
        raise OSError(msg)


class PropertyRaises(Base):
    @property
    def columns(self):
        msg = "no file"
        raise OSError(msg)


class NoVersion:
    name, columns, min_bars = "bad", ("bad_a",), 0
    expressions = Base.expressions


class NoVerb:
    name, version, columns, min_bars = "bad", "9.9", ("bad_a",), 0


DECLARATION = {
    "constructor": (ConstructorRaises, r"constructor raised OSError: no configuration"),
    "property": (PropertyRaises(), r"'columns': reading it raised OSError: no file"),
    "no version": (NoVersion(), r"'version': missing"),
    "no verb": (NoVerb(), r"'expressions': missing \(a legacy provider has 'enrich' instead\)"),
    "not a provider": (object(), r"'name': missing"),
    "none": (None, r"'name': missing"),
    "name in capitals": (_declared(name="Bad"), r"'name': got 'Bad', expected text like"),
    "name not text": (_declared(name=5), r"'name': got 5"),
    "version not text": (_declared(version=1.0), r"'version': got 1\.0"),
    "version empty": (_declared(version=" "), r"'version': got ' '"),
    "no columns": (_declared(columns=()), r"'columns': got \(\)"),
    "columns are text": (_declared(columns="bad_a"), r"'columns': got 'bad_a'"),
    "columns are a set": (_declared(columns={"bad_a"}), r"'columns': got \{'bad_a'\}"),
    "column not text": (_declared(columns=("bad_a", 3)), r"'columns': 3 does not match"),
    "bad prefix": (_declared(columns=("worse_a",)), r"'worse_a' does not start with 'bad_'"),
    "bad name": (_declared(columns=("bad_A",)), r"'bad_A' does not match \[a-z\]\[a-z0-9_\]\*"),
    "injection": (_declared(columns=("bad_a; DROP",)), r"'bad_a; DROP' does not match"),
    "newline": (_declared(columns=("bad_a\n",)), r"does not match"),
    "twice": (_declared(columns=("bad_a", "bad_a")), r"'bad_a' is declared twice"),
    "reserved": (
        _declared(name="volume", columns=("volume_per_trade",)),
        r"'volume_per_trade' is a reserved bar column",
    ),
    "negative": (_declared(min_bars=-1), r"'min_bars': got -1, expected a whole number"),
    "fraction": (_declared(min_bars=2.5), r"'min_bars': got 2\.5"),
    "nan": (_declared(min_bars=float("nan")), r"'min_bars': got nan"),
    "bool": (_declared(min_bars=True), r"'min_bars': got True"),
    "text": (_declared(min_bars="20"), r"'min_bars': got '20'"),
    "None": (_declared(min_bars=None), r"'min_bars': got None"),
    "huge": (_declared(min_bars=10**30), r"'min_bars': got 10{30}"),
    "unknown key": (_declared(min_bars={"bad_a": 1, "bad_b": 1}), r"'bad_b' is not one of"),
    "absent key": (_declared(min_bars={}), r"'min_bars': 'bad_a' has no entry"),
    "lookback": (_declared(lookback=-3), r"'lookback': got -3"),
    "requires": (_declared(requires="other_a"), r"'requires': got 'other_a'"),
}


@pytest.mark.parametrize("case", DECLARATION)
def test_broken_declaration_is_left_out(case, healthy, one_series, events, caplog):
    broken, text = DECLARATION[case]
    expected = rbe.Enricher(healthy).run(one_series).table
    events.clear()

    result = rbe.Enricher([broken, *healthy]).run(one_series)

    assert result.table.equals(expected, check_metadata=True)
    outcome = result.outcomes[-1]
    assert (outcome.status, outcome.columns, outcome.ok) == ("left_out", (), False)
    assert re.search(text, outcome.error)
    assert "\n" not in outcome.error
    failures = [one for one in events if one.event is rbe.HookEvent.PLUGIN_ENRICH_FAILED]
    assert [one.details["error"] for one in failures] == [outcome.error]
    assert failures[0].details["provider_version"] == outcome.version
    assert f"provider left out: {outcome.error}" in caplog.text
    with pytest.raises(DeclarationError, match=text):
        rbe.Enricher([*healthy, broken], on_error="raise")


def test_every_fault_of_a_declaration_is_told_at_once(one_series):
    broken = _declared(name="Bad", version=1, columns=("x",), min_bars=-1)

    outcome = rbe.Enricher([broken]).run(one_series).outcomes[0]

    assert "in 4 place(s)" in outcome.error
    assert all(f"'{name}'" in outcome.error for name in ("name", "version", "columns", "min_bars"))


def test_only_left_out_providers_give_the_bars_and_the_outcome(one_series):
    result = rbe.Enricher([NoVerb()]).run(one_series)

    assert result.table.equals(one_series)
    assert [one.status for one in result.outcomes] == ["left_out"]


def test_second_provider_of_a_name_is_left_out(native, one_series):
    twins = [native("bad", {f"bad_{letter}": CLOSE}) for letter in "ab"]

    result = rbe.Enricher(twins).run(one_series)

    assert [one.status for one in result.outcomes] == ["ok", "left_out"]
    assert "another provider, version 1.0.0, has the name 'bad'" in result.outcomes[1].error


def test_column_of_another_provider_is_left_out(native, one_series):
    first = native("a", {"a_b_c": CLOSE})
    second = native("a_b", {"a_b_c": CLOSE * 2})

    result = rbe.Enricher([first, second]).run(one_series)

    assert [one.status for one in result.outcomes] == ["ok", "left_out"]
    assert "'a_b_c' is declared by provider 'a' too" in result.outcomes[1].error
    assert result.table["a_b_c"].to_pylist() == one_series["close"].to_pylist()


def test_warm_up_may_be_a_numpy_number(native, one_series):
    provider = native("p", {"p_a": CLOSE}, min_bars=np.int64(4))

    assert rbe.enrich_bars(one_series, providers=[provider])["p_a"].null_count == 4


def test_healthy_providers_warn_of_nothing(healthy, one_series, recwarn):
    rbe.enrich_bars(one_series, providers=healthy)

    assert [one for one in recwarn if issubclass(one.category, rbe.ProviderWarning)] == []


def test_warning_points_at_the_caller(native, one_series):
    with pytest.warns(rbe.ProviderWarning) as warned:
        rbe.enrich_bars(one_series, providers=[_broken(native, RUN["udf raises ValueError"])])

    assert [one.filename for one in warned] == [__file__]


def test_legacy_provider_without_pandas_fails_alone(legacy, momentum, one_series, monkeypatch):
    old = legacy("old", ["old_a"], lambda view: view)
    monkeypatch.setitem(sys.modules, "pandas", None)

    result = rbe.Enricher([old, momentum]).run(one_series)

    assert [one.status for one in result.outcomes] == ["failed", "ok"]
    assert result.outcomes[0].error == (
        "Provider 'old' needs pandas: pip install 'rangebar-enrich[pandas]'"
    )


@pytest.mark.parametrize(
    ("providers", "text"),
    [
        ("momentum", r"^'providers' is str; expected a list of providers\.$"),
        (CLOSE, r"^'providers' is Expr; expected"),
        ({"a": CLOSE}, r"^'providers' is dict; expected"),
        (7, r"^'providers' is int; expected"),
        (
            ["momentum"],
            r"(?s)^'providers' holds 1 thing\(s\).*- 0: got str momentum\nHint: pass objects",
        ),
        ([CLOSE, [CLOSE]], r"(?s)holds 2 thing\(s\).*- 0: got Expr col.*- 1: got list"),
    ],
    ids=["text", "expression", "mapping", "number", "texts", "expressions"],
)
def test_what_can_be_no_provider_is_a_type_error(providers, text, one_series):
    with pytest.raises(TypeError, match=text):
        rbe.enrich_bars(one_series, providers=providers)


def test_providers_may_come_from_a_generator(momentum, half_range):
    assert rbe.Enricher(one for one in (momentum, half_range)).columns[0] == "momentum_return_20"


def test_raising_emits_the_events_first(native, one_series, events):
    with pytest.raises(ProviderError, match=r"^Provider 'bad'"):
        rbe.enrich_bars(one_series, providers=[_broken(native, COMPILE["sum"])], on_error="raise")

    assert [one.event.name for one in events] == ["PLUGIN_ENRICH_FAILED", "PLUGIN_ENRICH_COMPLETE"]
