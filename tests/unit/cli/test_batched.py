from __future__ import annotations

import sys

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rangebar_enrich.cli import batched
from rangebar_enrich.cli.bar_files import read_bars
from rangebar_enrich.cli.bar_writer import write_bars

MORE = """
import polars as pl

class Sums:
    name, version, columns, min_bars = "sums", "1.0", ("sums_a", "sums_b"), 2
    def expressions(self, context):
        return [pl.col("volume").cum_sum().alias("sums_a"), pl.col("close").ewm_mean(span=5).alias("sums_b")]

class Lost:
    name, version, columns, min_bars = "lost", "1.0", ("lost_a",), 0
    def expressions(self, context):
        return [pl.col("close").ewm_std(span=5).alias("lost_a")]

class Late:
    name, version, columns, min_bars, lookback = "late", "1.0", ("late_a",), 0, 0
    def expressions(self, context):
        def fail(series):
            if (series > 1_704_672_045_000_000).any():
                raise ValueError("too late")
            return series
        return [pl.col("open_time").map_batches(fail, return_dtype=pl.Int64).alias("late_a")]
"""


@pytest.fixture
def work(work):
    (work / "more_providers.py").write_text(MORE)
    yield work
    sys.modules.pop("more_providers", None)


def provider(name):
    module = "cli_providers" if name in {"Good", "Failing"} else "more_providers"
    return ("--provider", f"{module}:{name}")


BATCHED = ("--batch-rows", "13")


@pytest.mark.parametrize("out", ["pq", "arrow", "arrows", "csv", "csv.gz"])
@pytest.mark.parametrize("source", ["parquet", "ipc", "arrows", "csv.zst"])
def test_batches_write_what_one_run_writes(source, out, work, bars, run):
    write_bars(bars, work / f"bars.{source}")
    args = (*provider("Good"), *provider("Sums"))
    run("enrich", f"bars.{source}", f"whole.{out}", *args)

    code, told, err = run("enrich", f"bars.{source}", f"out.{out}", *args, *BATCHED)

    actual, expected = read_bars(work / f"out.{out}"), read_bars(work / f"whole.{out}")
    assert (code, err) == (0, "")
    assert f"60 bars written to out.{out}" in told
    assert actual.schema.equals(expected.schema, check_metadata=True)
    assert actual.num_rows == 60
    for name in expected.column_names:
        got, want = pl.Series(actual.column(name)), pl.Series(expected.column(name))
        assert got.equals(want) or (got - want).abs().max() <= 1e-12


@pytest.mark.parametrize("out", ["parquet", "arrow", "arrows", "csv"])
def test_a_failure_in_a_later_batch_stands_in_the_schema(out, work, run):
    code, told, err = run("enrich", "bars.parquet", f"out.{out}", *provider("Late"), *BATCHED)

    table = read_bars(work / f"out.{out}")
    assert code == 1
    assert "partial" in told
    assert "in 2 of 5 batches, the first from row 39 on" in err
    assert table.num_rows == 60
    assert table.column("late_a").null_count == 21
    if out != "csv":
        assert table.field("late_a").metadata[b"status"] == b"partial"
        assert table.schema.metadata[b"mine"] == b"kept"
    assert not [one for one in work.iterdir() if "tmp" in one.name]


def test_on_error_raise_keeps_the_older_file(work, run):
    (work / "out.parquet").write_text("older")
    args = (*provider("Late"), "--on-error", "raise", *BATCHED)

    code, _, err = run("enrich", "bars.parquet", "out.parquet", *args)

    assert (code, "too late" in err) == (1, True)
    assert (work / "out.parquet").read_text() == "older"
    assert not [one for one in work.iterdir() if "tmp" in one.name]


def test_what_cannot_go_on_is_refused_where_batches_were_asked_for(work, run):
    args = (*provider("Lost"), *provider("Good"), *BATCHED)

    code, _, err = run("enrich", "bars.parquet", "out.parquet", *args)

    assert code == 1
    assert "1 provider(s) cannot go on from batch to batch:" in err
    assert "`ewm_std` is not held" in err
    assert not (work / "out.parquet").exists()


def test_a_large_file_goes_in_batches(work, run_json, monkeypatch):
    monkeypatch.setattr(batched, "LARGE", 1)
    monkeypatch.setattr(batched, "BATCH_ROWS", 7)

    code, told = run_json("enrich", "bars.parquet", "out.parquet", *provider("Late"))

    assert (code, told["rows"]) == (1, 60)
    assert "of 9 batches" in told["outcomes"][0]["error"]


def test_a_large_file_that_cannot_goes_in_one_run(work, run, monkeypatch):
    monkeypatch.setattr(batched, "LARGE", 1)

    code, _, err = run("enrich", "bars.parquet", "out.parquet", *provider("Lost"))

    assert code == 0
    assert "- 'lost': 'lost_a': " in err
    assert "bars.parquet is enriched in one run, all of it in memory." in err
    assert read_bars(work / "out.parquet").column("lost_a").null_count == 1


def test_a_large_csv_goes_in_one_run_unless_asked(work, bars, run, monkeypatch):
    monkeypatch.setattr(batched, "LARGE", 1)
    write_bars(bars, work / "bars.csv")

    code, _, err = run("enrich", "bars.csv", "out.parquet", *provider("Lost"))

    assert (code, err) == (0, "")


def test_bars_out_of_order_in_a_later_batch_write_nothing(work, bars, run):
    pq.write_table(pa.concat_tables([bars.slice(30), bars.slice(0, 30)]), "bars.parquet")

    code, _, err = run("enrich", "bars.parquet", "out.parquet", *provider("Good"), *BATCHED)

    assert code == 1
    assert err.startswith("error: In the batch from row 26 on:")
    assert not (work / "out.parquet").exists()


@pytest.mark.parametrize("ending", ["parquet", "arrow", "arrows", "csv"])
def test_what_cannot_be_read_is_said(ending, work, run):
    (work / f"bars.{ending}").write_bytes(b"no bars")

    code, _, err = run("enrich", f"bars.{ending}", "out.parquet", *provider("Good"), *BATCHED)

    assert code == 1
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert not (work / "out.parquet").exists()


def test_the_bar_is_only_for_terminals(work, run, monkeypatch):
    args = ("enrich", "bars.parquet", "out.parquet", *provider("Good"), *BATCHED)
    _, _, plain = run(*args)
    monkeypatch.setenv("FORCE_COLOR", "1")
    _, out, drawn = run(*args)

    assert plain == ""
    assert "60 bars" in drawn
    assert "━" in drawn
    assert "━" not in out
