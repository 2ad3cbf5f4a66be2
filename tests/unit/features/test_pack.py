"""What every pack promises, whatever it computes."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import rangebar_enrich as rbe
from rangebar_enrich.errors import DeclarationError
from rangebar_enrich.features import microstructure, ta
from rangebar_enrich.features._pack import Feature, Pack
from rangebar_enrich.protocol import BarContext
from rangebar_enrich.reach import reach_of

ROOT = Path(__file__).resolve().parents[3]
PACKS = [ta, microstructure]
BUILDER = dict(rbe._bars.columns.BUILDER_COLUMNS)
KEY = {"symbol": "SIM", "threshold_decimal_bps": 250}


@pytest.fixture(params=PACKS, ids=lambda pack: pack.Core.name)
def pack(request):
    return request.param


def _context(bars):
    return BarContext(columns=dict(bars.schema))


def _run(provider, bars):
    result = rbe.Enricher([provider]).run(bars, **KEY)
    assert not result.failed
    return pl.DataFrame(result.table).select(provider.columns)


def test_warm_up_is_exact(pack, series):
    """No bar of the warm-up ever has a value, and the one after it has, at some start or other."""
    provider = pack.Core()
    named = provider.expressions(_context(series))
    starts = [series.slice(begin, 250) for begin in range(0, 1_250, 250)]

    made = [one.lazy().select(**named).collect(engine="in-memory") for one in starts]

    first = {
        name: min(one[name].is_not_null().arg_max() for one in made if one[name].count())
        for name in named
    }
    assert first == dict(provider.min_bars)


def test_every_column_is_causal_and_goes_on(pack):
    provider = pack.Core()
    named = provider.expressions(BarContext(columns=BUILDER))

    assert all(reach_of(expr).is_causal for expr in named.values())
    assert rbe.Enricher([provider]).not_continued() == {}


def test_columns_and_versions_are_declared(pack):
    provider = pack.Core()

    assert tuple(provider.expressions(BarContext(columns=BUILDER))) == provider.columns
    assert all(name.startswith(f"{provider.name}_") for name in provider.columns)
    assert 45 <= len(provider.columns) <= 70


def test_every_block_says_its_formula_source_and_unit(pack):
    bare = [
        feature.stem
        for feature in pack.CATALOGUE
        if not {"formula", "Source", "Unit"}
        <= {key for key, text in feature.document().items() if text}
    ]

    assert bare == []


def test_documentation_is_in_step(pack):
    page = (ROOT / "docs" / f"{pack.Core.name}.md").read_text(encoding="utf-8")

    assert pack.Core().documentation_table(BarContext(columns=BUILDER)) in page


def test_copy_by_pickle_makes_the_same(pack):
    stem, parameters = next((one.stem, one.defaults) for one in pack.CATALOGUE if one.defaults[0])
    provider = pack.Core(only=[stem], **{stem: parameters})

    copy = pickle.loads(pickle.dumps(provider))  # noqa: S301 - our own bytes

    assert (copy.columns, dict(copy.min_bars)) == (provider.columns, dict(provider.min_bars))


@pytest.mark.parametrize("kind", ["still", "silent", "holes"])
def test_undefined_is_null_and_never_infinite(pack, kind, series):
    row = pl.int_range(pl.len())
    numbers = [name for name, dtype in series.schema.items() if dtype.is_float()]
    late = row >= 150
    prices = [
        pl.when(late).then(100.0).otherwise(name).alias(name)
        for name in ("open", "high", "low", "close", "vwap")
    ]
    silence = [
        pl.when(late).then(0.0).otherwise(name).alias(name) for name in numbers if "volume" in name
    ]
    holes = [pl.when(~row.is_in([40, 41, 90])).then(name).alias(name) for name in numbers]
    bars = series.head(300).with_columns({"still": prices, "silent": silence, "holes": holes}[kind])

    made = bars.lazy().select(**pack.Core().expressions(_context(bars))).collect(engine="in-memory")

    made = made.with_columns(pl.all().cast(pl.Float64))
    odd = made.select((pl.all().is_nan() | pl.all().is_infinite()).any()).row(0, named=True)
    assert [name for name, is_odd in odd.items() if is_odd] == []


def test_hole_stays_within_its_windows(pack, series):
    provider, bars = pack.Core(), series.head(500)
    hole = pl.int_range(pl.len()) == 250
    numbers = [name for name, dtype in bars.schema.items() if dtype.is_float()]
    struck = bars.with_columns(pl.when(~hole).then(name).alias(name) for name in numbers)
    enricher = rbe.Enricher([provider])

    whole, holed = (
        pl.DataFrame(enricher.run(one, **KEY).table).select(provider.columns)
        for one in (bars, struck)
    )

    undefined = [name for name in provider.columns if holed[name][250] is None]
    assert len(undefined) > len(provider.columns) // 2
    assert holed[420:].null_count().row(0) == whole[420:].null_count().row(0)


def test_arguments_choose_columns():
    provider = ta.Core(
        only=["rsi", "bollinger_width", "obv"], rsi=[7, 21], bollinger_width=[(20, 2.5)]
    )

    assert provider.columns == ("ta_rsi_7", "ta_rsi_21", "ta_bollinger_width_20_2p5", "ta_obv")
    assert dict(provider.min_bars)["ta_rsi_21"] == 21
    assert ta.Core(rsi=[]).columns == tuple(
        name for name in ta.Core().columns if name[2:] != "_rsi_14"
    )


def test_arguments_that_do_not_fit_are_named():
    text = (
        "3 argument(s) that the pack 'ta' does not have:\n"
        "- 'nothing': no such feature\n"
        "- 'macd': got (12,), expected positive (fast, slow)\n"
        "- 'rsi': got (0,), expected positive (window)\n"
        "Hint: the names are those of rangebar_enrich.features.ta.CATALOGUE."
    )

    with pytest.raises(DeclarationError, match=r"3 argument\(s\)") as caught:
        ta.Core(only=["nothing"], macd=[12], rsi=[0])

    assert str(caught.value) == text
    assert caught.value.provider == "ta"


def test_block_without_documentation_says_nothing():
    def bare(values: pl.Expr) -> pl.Expr:
        return values

    class Bare(Pack):
        name, version, catalogue = "bare", "1", (Feature("x", bare, ("close",), ((),), lambda: 0),)

    assert dict(Bare.catalogue[0].document()) == {"formula": ""}
    with pytest.raises(NotImplementedError):
        Bare().expressions(BarContext())


def test_parameters_reach_the_blocks(series):
    made = _run(ta.Core(only=["sma"], sma=[2, 3]), series.head(5))

    close = series["close"].to_list()
    assert made["ta_sma_2"][1] == pytest.approx(np.mean(close[:2]))
    assert made["ta_sma_3"][4] == pytest.approx(np.mean(close[2:5]))
