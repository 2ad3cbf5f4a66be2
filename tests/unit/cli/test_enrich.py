from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from rangebar_enrich import enrich_bars
from rangebar_enrich.cli.bar_files import read_bars


def plain(text):
    """Return a message without the box that typer draws around it."""
    return " ".join(text.replace("│", " ").split())


def provider(name):
    return ("--provider", f"cli_providers:{name}")


@pytest.mark.parametrize("ending", ["parquet", "arrow", "feather", "arrows", "csv"])
def test_enrich_writes_what_enrich_bars_returns(work, bars, run, ending):
    from cli_providers import Good

    code, out, err = run("enrich", "bars.parquet", f"out.{ending}", *provider("Good"))
    actual, expected = read_bars(work / f"out.{ending}"), enrich_bars(bars, providers=[Good()])
    assert (code, err) == (0, "")
    assert "60 bars written to out." in out
    assert actual.to_pydict() == expected.to_pydict()


def test_enrich_keeps_metadata_of_schema_and_fields(work, bars, run):
    run("enrich", "bars.parquet", "out.parquet", *provider("Good"))
    schema = pq.read_schema("out.parquet")
    assert schema.metadata == bars.schema.metadata
    assert schema.field("good_return").metadata[b"provider"] == b"good"


def test_enrich_twice_gives_the_same(work, run):
    run("enrich", "bars.parquet", "once.parquet", *provider("Good"))
    run("enrich", "once.parquet", "twice.parquet", *provider("Good"))
    assert read_bars(work / "once.parquet").equals(read_bars(work / "twice.parquet"))


def test_enrich_with_a_failed_provider_writes_and_exits_with_1(work, run):
    args = (*provider("Failing"), *provider("Good"))
    code, out, err = run("enrich", "bars.parquet", "out.parquet", *args)
    table = read_bars(work / "out.parquet")
    assert code == 1
    assert "failed" in out
    assert "RuntimeError: no licence" in err
    assert "Traceback" not in err
    assert table.column("failing_a").null_count == 60
    assert table.column("good_return").null_count == 1


def test_enrich_with_a_broken_declaration_exits_with_1(work, run):
    args = (*provider("Unprefixed"), *provider("Good"))
    code, out, err = run("enrich", "bars.parquet", "out.parquet", *args)
    assert code == 1
    assert "left_out" in out
    assert "'a' does not start with" in err
    assert read_bars(work / "out.parquet").column_names[-1] == "good_return"


def test_enrich_on_error_raise_keeps_the_older_file(work, run):
    (work / "out.parquet").write_text("older")
    args = (*provider("Failing"), "--on-error", "raise")
    code, out, err = run("enrich", "bars.parquet", "out.parquet", *args)
    assert (code, out) == (1, "")
    assert "no licence" in err
    assert (work / "out.parquet").read_text() == "older"


def test_enrich_json_is_one_document(work, run_json):
    args = (*provider("Failing"), *provider("Good"))
    code, actual = run_json("enrich", "bars.parquet", "out.parquet", *args)
    assert code == 1
    assert (actual["out"], actual["rows"]) == ("out.parquet", 60)
    assert [one["status"] for one in actual["outcomes"]] == ["failed", "ok"]
    assert actual["outcomes"][1] == {
        "provider": "good",
        "version": "1.0",
        "columns": ["good_return"],
        "status": "ok",
        "error": None,
    }


def test_enrich_json_tells_an_error(work, run_json):
    (work / "bars.parquet").write_text("not parquet")
    code, actual = run_json("enrich", "bars.parquet", "out.parquet", *provider("Good"))
    assert code == 1
    assert "Cannot read bars from 'bars.parquet'" in actual["error"]


def test_enrich_without_any_provider_is_a_failure(work, run, no_plugins):
    code, _, err = run("enrich", "bars.parquet", "out.parquet")
    assert code == 1
    assert "There is no provider to run" in err
    assert not (work / "out.parquet").exists()


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("absent.parquet", "out.parquet"), "does not exist"),
        (("bars.parquet", "bars.parquet"), "same file"),
        (("bars.parquet", "link.parquet"), "same file"),
        (("bars.parquet", "out.xlsx"), "ending"),
        (("cli_providers.py", "out.parquet"), "ending"),
        (("bars.parquet", "absent/out.parquet"), "does not exist"),
        (("bars.parquet", "out.parquet", "--provider", "cli_providers"), "module:Class"),
        (("bars.parquet", "out.parquet", "--provider", "cli_providers:No"), "has no 'No'"),
        (("bars.parquet", "out.parquet", "--threshold", "0"), "--threshold"),
        (("bars.parquet",), "OUT"),
    ],
    ids=[
        "no-file", "in-place", "linked", "out-ending", "in-ending", "no-folder", "spec", "class",
        "threshold", "no-out",
    ],
)  # fmt: skip
def test_enrich_called_wrongly_exits_with_2(work, run, args, told):
    (work / "link.parquet").symlink_to("bars.parquet")
    before = (work / "bars.parquet").read_bytes()
    code, out, err = run("enrich", *args)
    assert (code, out) == (2, "")
    assert told in plain(err)
    assert (work / "bars.parquet").read_bytes() == before
    assert not (work / "out.parquet").exists()


def test_enrich_refuses_bars_out_of_order(work, bars, run):
    pq.write_table(bars.take(list(range(59, -1, -1))), "bars.parquet")
    code, _, err = run("enrich", "bars.parquet", "out.parquet", *provider("Good"))
    assert code == 1
    assert err.startswith("error: ")
    assert "order" in err


@pytest.mark.parametrize("batch", [(), ("--batch-rows", "13")], ids=["whole", "batches"])
def test_enrich_holds_options_against_the_file(work, bars, run, batch):
    said = bars.drop_columns([name for name in ("symbol",) if name in bars.column_names])
    said = said.replace_schema_metadata({"symbol": "BTCUSDT", "threshold_decimal_bps": "250"})
    pq.write_table(said, work / "said.parquet")
    args = ("said.parquet", "out.parquet", *provider("Good"), "--symbol", "ETHUSDT", *batch)

    code, _, err = run("enrich", *args)
    relabelled, _, _ = run("enrich", *args, "--relabel")

    assert (code, relabelled) == (1, 0)
    assert "Argument 'symbol' is 'ETHUSDT', but the metadata says 'BTCUSDT'." in err
    metadata = pq.read_schema(work / "out.parquet").metadata
    assert (metadata[b"symbol"], metadata[b"threshold_decimal_bps"]) == (b"ETHUSDT", b"250")


def test_enrich_reads_a_folder(work, bars, run):
    (work / "parts").mkdir()
    for part in range(3):
        pq.write_table(bars.slice(part * 20, 20), work / "parts" / f"{part}.parquet")
    code, _, err = run("enrich", "parts", "out.csv.gz", *provider("Good"))
    run("enrich", "bars.parquet", "whole.csv.gz", *provider("Good"))
    assert (code, err) == (0, "")
    assert read_bars(work / "out.csv.gz").equals(read_bars(work / "whole.csv.gz"))
