from __future__ import annotations

import polars as pl
import pytest

from rangebar_enrich._bars.columns import BUILDER_COLUMNS
from rangebar_enrich._plan.inline import standalone
from rangebar_enrich._plan.passes import make_plan
from rangebar_enrich._provider.declaration import declare_all
from rangebar_enrich.protocol import BarContext

close, volume = pl.col("close"), pl.col("volume")


def _plan(*providers):
    return make_plan(declare_all(providers)[0], BarContext("SIM", 250, dict(BUILDER_COLUMNS)))


def _computed(exprs, bars):
    return pl.DataFrame(bars).lazy().select(**exprs).collect(engine="in-memory")


def test_an_expression_over_bars_stays_as_it_is(bars, native):
    plan = _plan(native("a", {"a_a": close.ewm_mean(span=3)}))

    exprs = standalone(plan, "a")

    assert exprs["a_a"].meta.root_names() == ["close"]
    assert _computed(exprs, bars).equals(_computed({"a_a": close.ewm_mean(span=3)}, bars))


def test_what_is_read_of_others_is_put_in_as_they_show_it(bars, native):
    undefined = native("b", {"b_a": (close - close) / 0 + volume}, min_bars=2)
    middle = native(
        "m", {"m_a": close > close.shift(1), "m_b": close.diff()}, min_bars={"m_a": 0, "m_b": 7}
    )
    top = native(
        "t",
        {
            "t_a": pl.col("m_b").cum_sum() + pl.col("m_a").cum_sum(),
            "t_b": pl.col("b_a").fill_null(-1.0).cum_sum(),
        },
    )
    plan = _plan(top, middle, undefined)

    made = _computed(standalone(plan, "t"), bars)

    from rangebar_enrich import Enricher

    whole = pl.DataFrame(Enricher([top, middle, undefined]).run(bars).table)
    assert made.equals(whole.select(made.columns))
    assert made["t_a"].null_count() == 7
    assert made["t_b"][-1] == -bars.num_rows


def test_chains_are_followed_to_their_end(bars, native):
    links = [native("p0", {"p0_a": close.diff()}, min_bars=3)]
    links += [
        native(f"p{i}", {f"p{i}_a": pl.col(f"p{i - 1}_a").shift(1)}, min_bars=i)
        for i in range(1, 5)
    ]

    exprs = standalone(_plan(*links), "p4")

    assert exprs["p4_a"].meta.root_names() == ["close"]
    expected = close.diff().shift(4)
    made = _computed(exprs, bars)["p4_a"]
    assert made[7:].equals(_computed({"p4_a": expected}, bars)["p4_a"][7:])
    assert made.null_count() == 7


def test_what_grows_without_end_is_refused(native):
    links = [native("p0", {"p0_a": close.cum_sum()})]
    for i in range(1, 40):
        before = pl.col(f"p{i - 1}_a")
        links.append(native(f"p{i}", {f"p{i}_a": (before - before.shift(1)) / before}))

    with pytest.raises(
        ValueError, match=r"^'p\d+_a', with all that it reads of other providers put in"
    ):
        standalone(_plan(*links), "p39")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("reader", r"^it reads columns of 'old', which is a legacy provider$"),
        ("function", r"^'function' calls a Python function or a plugin$"),
        ("over", r"^'function' calls a Python function or a plugin$"),
    ],
)
def test_what_cannot_be_seen_into_is_refused(name, told, native, legacy):
    old = legacy("old", ["old_a"], lambda view: view)
    reader = native("reader", {"reader_a": pl.col("old_a").cum_sum()})
    function = native("function", {"function_a": close.map_batches(abs, return_dtype=pl.Float64)})
    over = native("over", {"over_a": pl.col("function_a").cum_sum()})

    with pytest.raises(ValueError, match=told):
        standalone(_plan(old, reader, function, over), name)
