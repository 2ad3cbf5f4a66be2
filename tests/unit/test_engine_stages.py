from __future__ import annotations

import polars as pl
import pytest

import rangebar_enrich as rbe

BREAKS = {
    "compile": pl.col("nowhere"),
    "run": pl.col("close").cast(pl.String).str.to_integer(),
}


def _values(table, column):
    return table[column].to_pylist()


def test_order_is_found_from_the_expressions(bars, native):
    chain = [
        native("c", {"c_a": pl.col("b_a") * 10}),
        native("b", {"b_a": pl.col("a_a") + 1}),
        native("a", {"a_a": pl.col("close")}),
    ]

    table = rbe.enrich_bars(bars, providers=chain)

    assert table.column_names[-3:] == ["c_a", "b_a", "a_a"]
    assert _values(table, "c_a") == [(close + 1) * 10 for close in _values(bars, "close")]


def test_reader_sees_warm_up_and_nan_as_null(bars, native):
    nan_on_up = pl.when(pl.col("close") > pl.col("open")).then(float("nan")).otherwise(1.0)
    maker = native("maker", {"maker_a": nan_on_up}, min_bars=4)
    reader = native("reader", {"reader_a": pl.col("maker_a").is_null()})

    table = rbe.enrich_bars(bars, providers=[reader, maker])

    assert _values(table, "reader_a") == [
        float(value is None) for value in _values(table, "maker_a")
    ]
    assert sum(_values(table, "reader_a")) > 4


def test_boolean_is_float_to_its_reader(bars, native):
    maker = native("maker", {"maker_up": pl.col("close") > pl.col("open")})
    reader = native("reader", {"reader_sum": pl.col("maker_up").rolling_sum(3) / 2})

    table = rbe.enrich_bars(bars, providers=[reader, maker])

    up = _values(table, "maker_up")
    assert _values(table, "reader_sum")[2:] == [sum(up[i : i + 3]) / 2 for i in range(len(up) - 2)]


def test_legacy_and_native_read_each_other(bars, native, legacy):
    first = native("first", {"first_a": pl.col("close") * 2}, min_bars=1)

    def add(view):
        view["old_a"] = view["first_a"] + 1
        return view

    last = native("last", {"last_a": pl.col("old_a") + 1})

    table = rbe.enrich_bars(bars, providers=[last, legacy("old", ["old_a"], add), first])

    close = _values(bars, "close")
    assert _values(table, "last_a") == [None] + [value * 2 + 1 + 1 for value in close[1:]]


def test_legacy_sees_native_columns_and_earlier_legacy_ones(bars, native, legacy):
    seen = {}

    def look(name):
        def add(view):
            seen[name] = [column for column in view.columns if column.endswith("_a")]
            view[f"{name}_a"] = 1.0
            return view

        return legacy(name, [f"{name}_a"], add)

    providers = [look("one"), look("two"), native("made", {"made_a": pl.col("close")})]
    providers[1].requires = None

    rbe.enrich_bars(bars, providers=providers)

    assert seen == {"one": ["made_a"], "two": ["one_a", "made_a"]}


def test_legacy_with_requires_sees_only_those(bars, native, legacy):
    seen = []

    def add(view):
        seen.extend(column for column in view.columns if column.startswith(("x_", "y_")))
        view["old_a"] = view["x_a"]
        return view

    providers = [
        legacy("old", ["old_a"], add, requires=("x_a",)),
        native("x", {"x_a": pl.col("close"), "x_b": pl.col("close")}),
        native("y", {"y_a": pl.col("close")}),
    ]

    table = rbe.enrich_bars(bars, providers=providers)

    assert seen == ["x_a"]
    assert _values(table, "old_a") == _values(bars, "close")


def test_requires_that_nobody_makes_fails(bars, native):
    provider = native("p", {"p_a": pl.col("close")}, requires=("nowhere_a",))

    outcome = rbe.Enricher([provider]).run(bars).outcomes[0]

    assert outcome.status == "failed"
    assert "'requires': column 'nowhere_a' is not there and nobody makes it" in outcome.error


def test_circle_fails_its_members_and_names_them(bars, native, momentum):
    circle = [
        native("a", {"a_a": pl.col("c_a") + 1}),
        native("b", {"b_a": pl.col("a_a") + 1}),
        native("c", {"c_a": pl.col("b_a") + 1}),
    ]
    reader = native("reader", {"reader_a": pl.col("b_a")})

    result = rbe.Enricher([*circle, momentum, reader]).run(bars)

    assert [one.status for one in result.outcomes] == ["failed"] * 3 + ["ok", "failed"]
    for outcome in result.outcomes[:3]:
        assert "in a circle: - 'a' reads 'c' - 'b' reads 'a' - 'c' reads 'b'" in outcome.error
    assert result.outcomes[4].error == "Provider 'reader' reads columns of 'b', which failed."
    healthy = rbe.enrich_bars(bars, providers=[momentum]).select(momentum.columns)
    assert result.table.select(momentum.columns).equals(healthy)


def test_provider_cannot_read_its_own_column(bars, native):
    provider = native("p", {"p_a": pl.col("close"), "p_b": pl.col("p_a") + 1})

    outcome = rbe.Enricher([provider]).run(bars).outcomes[0]

    assert "'p_b': reads unknown column 'p_a' (a provider cannot read its own" in outcome.error


@pytest.mark.parametrize("when", BREAKS)
def test_failed_dependency_fails_its_dependants_naming_it(when, bars, native, momentum):
    providers = [
        native("far", {"far_a": pl.col("near_a") + 1}),
        native("near", {"near_a": pl.col("broken_a") + 1}),
        momentum,
        native("broken", {"broken_a": BREAKS[when]}),
    ]

    result = rbe.Enricher(providers).run(bars)

    assert [one.status for one in result.outcomes] == ["failed", "failed", "ok", "failed"]
    assert result.outcomes[0].error == "Provider 'far' reads columns of 'near', which failed."
    assert result.outcomes[1].error == "Provider 'near' reads columns of 'broken', which failed."
    assert result.table["far_a"].null_count == bars.num_rows


def test_failed_legacy_dependency_fails_its_dependants(bars, native, legacy):
    def fail(_):
        msg = "Close2"
        raise KeyError(msg)

    reader = native("reader", {"reader_a": pl.col("old_a")})

    result = rbe.Enricher([reader, legacy("old", ["old_a"], fail)]).run(bars)

    assert [one.error for one in result.outcomes] == [
        "Provider 'reader' reads columns of 'old', which failed.",
        "Provider 'old': enrich() raised KeyError: 'Close2'",
    ]
