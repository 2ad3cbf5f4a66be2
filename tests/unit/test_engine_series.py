from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import rangebar_enrich as rbe
from rangebar_enrich.errors import BarOrderError, SeriesConflictError

SERIES = [("A", 50), ("B", 50), ("A", 250), ("C", 5)]
LENGTHS = [60, 25, 45, 3]


@pytest.fixture
def series(make_bars):
    return [
        make_bars(rows, seed=seed, symbol=symbol, threshold_decimal_bps=threshold)
        for seed, ((symbol, threshold), rows) in enumerate(zip(SERIES, LENGTHS, strict=True))
    ]


@pytest.fixture
def providers(momentum, half_range, native, legacy):
    def add(view):
        view["old_mean"] = view["Close"].rolling(4).mean()
        return view

    reader = native("reader", {"reader_sum": pl.col("old_mean").cum_sum()}, min_bars=6)
    return [momentum, half_range, legacy("old", ["old_mean"], add, min_bars=5), reader]


def _interleaved(series, seed):
    rng = np.random.default_rng(seed)
    owner = rng.permutation(np.repeat(np.arange(len(series)), [one.num_rows for one in series]))
    table = pa.concat_tables(series)
    starts = np.concatenate([[0], np.cumsum([one.num_rows for one in series])])
    rows = np.empty(len(owner), dtype=np.int64)
    for place, start in enumerate(starts[:-1]):
        rows[owner == place] = start + np.arange((owner == place).sum())
    return table.take(pa.array(rows)), owner


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_interleaved_series_equal_each_alone(seed, series, providers):
    table, owner = _interleaved(series, seed)
    enricher = rbe.Enricher(providers)

    actual = enricher.run(table).table.select(enricher.columns)

    for place, one in enumerate(series):
        alone = enricher.run(one).table.select(enricher.columns)
        mine = actual.filter(pa.array(owner == place)).combine_chunks()
        assert mine.equals(alone.combine_chunks())


def test_series_one_after_another_equal_each_alone(series, providers):
    enricher = rbe.Enricher(providers)

    actual = enricher.run(pa.concat_tables(series)).table.select(enricher.columns)

    alone = [enricher.run(one).table.select(enricher.columns) for one in series]
    assert actual.combine_chunks().equals(pa.concat_tables(alone).combine_chunks())


def test_interleaved_rows_keep_the_callers_columns(series, momentum):
    table, _ = _interleaved(series, 4)

    assert rbe.enrich_bars(table, providers=[momentum]).select(table.column_names).equals(table)


def test_pandas_interleaved_equals_arrow(series, providers):
    table, _ = _interleaved(series, 5)
    enricher = rbe.Enricher(providers)

    frame = enricher.run(table.to_pandas()).to_caller()

    expected = enricher.run(table).table
    for column in enricher.columns:
        np.testing.assert_array_equal(frame[column].to_numpy(), expected[column].to_numpy())


def test_modes_are_series_of_one_context(make_bars, momentum, native):
    asked = native("asked", {"asked_row": pl.int_range(pl.len())})
    tables = [make_bars(30, symbol="A", ouroboros_mode=mode) for mode in ("month", "year")]

    enriched = rbe.enrich_bars(pa.concat_tables(tables), providers=[asked, momentum])

    assert enriched["asked_row"].to_pylist() == [*range(30), *range(30)]
    assert len(asked.contexts) == 1


def test_expressions_are_asked_once_per_context(series, native):
    asked = native(
        "asked",
        lambda context: {"asked_a": pl.lit(context.threshold_decimal_bps)},
        columns=["asked_a"],
    )
    enricher = rbe.Enricher([asked])

    for seed in (1, 2):
        table, owner = _interleaved(series, seed)
        actual = enricher.run(table).table["asked_a"].to_numpy()
        np.testing.assert_array_equal(actual, np.array([bps for _, bps in SERIES])[owner])

    contexts = [(one.symbol, one.threshold_decimal_bps) for one in asked.contexts]
    assert sorted(contexts) == sorted(SERIES)


def test_legacy_provider_is_told_each_series(series, legacy):
    old = legacy("old", ["old_a"], lambda view: view.assign(old_a=1.0))

    rbe.enrich_bars(_interleaved(series, 3)[0], providers=[old])

    assert sorted(old.calls) == sorted(SERIES)


def test_failure_in_one_series_is_partial(series, native, momentum, events):
    def fail_on_short(values):
        if len(values) < 10:
            msg = "too few bars"
            raise ValueError(msg)
        return values

    flaky = native(
        "flaky", {"flaky_a": pl.col("close").map_batches(fail_on_short, return_dtype=pl.Float64)}
    )
    table, owner = _interleaved(series, 6)

    result = rbe.Enricher([flaky, momentum]).run(table)

    assert [one.status for one in result.outcomes] == ["partial", "ok"]
    assert result.outcomes[0].failed_series == (("C", 5, None),)
    assert result.outcomes[0].error == (
        "in 1 of 4 series, the first C@5: Provider 'flaky': ValueError: too few bars"
    )
    np.testing.assert_array_equal(
        result.table["flaky_a"].is_null().to_numpy(), owner == SERIES.index(("C", 5))
    )
    healthy = rbe.enrich_bars(table, providers=[momentum]).select(momentum.columns)
    assert result.table.select(momentum.columns).equals(healthy)
    failures = [one for one in events if one.event is rbe.HookEvent.PLUGIN_ENRICH_FAILED]
    assert [(one.symbol, one.details["threshold_decimal_bps"]) for one in failures] == [("C", 5)]
    field = result.table.schema.field("flaky_a")
    assert field.metadata[b"status"] == b"partial"
    assert field.metadata[b"failed_series"] == b'[["C", 5, null]]'


def test_symbol_from_metadata_reaches_the_provider(make_bars, native, legacy):
    seen = native("seen", {"seen_a": pl.col("close")})
    old = legacy("old", ["old_a"], lambda view: view.assign(old_a=1.0))
    bars = make_bars(30, metadata={"symbol": "XRPETH", "threshold_decimal_bps": "50"})

    rbe.enrich_bars(bars, providers=[seen, old])

    assert (seen.contexts[0].symbol, seen.contexts[0].threshold_decimal_bps) == ("XRPETH", 50)
    assert old.calls == [("XRPETH", 50)]


def test_unknown_series_is_empty_to_legacy_providers_with_one_warning(bars, legacy, caplog):
    olds = [
        legacy(name, [f"{name}_a"], lambda view, name=name: view.assign(**{f"{name}_a": 1.0}))
        for name in ("one", "two")
    ]
    caplog.set_level("WARNING")

    rbe.enrich_bars(bars, providers=olds)

    assert olds[0].calls == olds[1].calls == [("", 0)]
    warnings = [one.getMessage() for one in caplog.records if "not known" in one.getMessage()]
    assert len(warnings) == 1
    assert warnings[0].startswith("symbol and threshold_decimal_bps not known")


def test_argument_that_contradicts_a_column_is_refused(make_bars, momentum):
    with pytest.raises(SeriesConflictError, match=r"Argument 'symbol' is 'B', but .* 'A'"):
        rbe.enrich_bars(make_bars(30, symbol="A"), "B", providers=[momentum])


def test_bars_out_of_order_reach_no_provider(make_bars, native, events):
    asked = native("asked", {"asked_a": pl.col("close")})
    bars = make_bars(30)
    swapped = bars.take(pa.array([*range(10), 20, *range(10, 20), *range(21, 30)]))

    with pytest.raises(BarOrderError, match=r"1 row\(s\) of 'close_time' .* first in row 11 "):
        rbe.enrich_bars(swapped, providers=[asked])

    assert (asked.contexts, events) == ([], [])
