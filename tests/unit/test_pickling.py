"""What callers hold crosses from process to process, and copies go ways of their own."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import subprocess
import sys

import cloudpickle
import polars as pl
import pytest

import rangebar_enrich as rbe
from rangebar_enrich.conformance.report import CheckResult, ConformanceReport

KEY = {"symbol": "SIM", "threshold_decimal_bps": 250}


class Flow:
    """A provider that pickles by its name."""

    name, version, columns, min_bars = "flow", "1.0.0", ("flow_total", "flow_lag"), 2

    def expressions(self, _context):
        yield pl.col("volume").cum_sum().alias("flow_total")
        yield pl.col("close").shift(2).alias("flow_lag")


COPIES = {
    "pickle": lambda one: pickle.loads(pickle.dumps(one)),  # noqa: S301 - our own bytes
    "cloudpickle": lambda one: cloudpickle.loads(cloudpickle.dumps(one)),
    "deepcopy": copy.deepcopy,
}


@pytest.fixture(params=COPIES)
def copied(request):
    return COPIES[request.param]


def test_enricher_copies_whole(copied, bars):
    enricher = rbe.Enricher([Flow(), object()], engine="streaming")
    expected = enricher.run(bars, **KEY)

    actual = copied(enricher).run(bars, **KEY)

    assert actual.table.equals(expected.table, check_metadata=True)
    assert actual.outcomes == expected.outcomes
    assert "Engine: streaming (asked for)" in copied(enricher).explain(bars)


def test_live_goes_on_in_a_copy_and_apart(copied, bars):
    live = rbe.Enricher([Flow()]).live(history=bars.slice(0, 1), on_gap="raise", **KEY)
    live.push(bars.slice(1, 2))

    twin = copied(live)

    assert (twin.outcomes, twin.series) == (live.outcomes, live.series)
    assert twin.push(bars.slice(3, 5)).equals(live.push(bars.slice(3, 5)))
    twin.push(bars.slice(8, 1))
    assert (twin.bars_seen, live.bars_seen) == (9, 8)
    with pytest.raises(rbe.RangebarEnrichError, match=r"^1 bar\(s\) begin later"):
        twin.push(bars.slice(12, 1))


@pytest.mark.parametrize("kind", ["arrow", "polars", "pandas"])
def test_results_copy_in_every_container(copied, kind, bars):
    given = {"arrow": bars, "polars": pl.DataFrame(bars), "pandas": bars.to_pandas()}[kind]
    result = rbe.Enricher([Flow()]).run(given, **KEY)

    actual = copied(result)

    assert actual.table.equals(result.table)
    assert (actual.outcomes, actual.series, actual.gaps) == (
        result.outcomes,
        result.series,
        result.gaps,
    )


def test_reports_copy(copied):
    report = ConformanceReport("flow", "1.0.0", "native", (CheckResult("columns", "passed"),))

    assert copied(report) == report


def test_cloudpickle_takes_providers_of_a_notebook(bars, momentum):
    enricher = rbe.Enricher([momentum])

    actual = COPIES["cloudpickle"](enricher).run(bars, **KEY)

    assert actual.table.equals(enricher.run(bars, **KEY).table)


def _total(enricher, bars):
    return enricher.run(bars, **KEY).table.column("flow_total")[-1].as_py()


def test_enricher_runs_in_a_spawned_process(bars):
    enricher = rbe.Enricher([Flow()])

    with multiprocessing.get_context("spawn").Pool(1) as pool:
        actual = pool.apply(_total, (enricher, bars))

    assert actual == _total(enricher, bars)


FORKED = """
import os, sys
import polars as pl
import rangebar_enrich as rbe

class P:
    name, version, columns, min_bars = "p", "1", ("p_a",), 0
    def expressions(self, context): return [pl.col("close").alias("p_a")]

bars = pl.DataFrame({"close": [1.0], "close_time": [10**15]})
enricher = rbe.Enricher([P()])
live = enricher.live()
if "run" in sys.argv:
    enricher.run(bars)
child = os.fork()
if not child:
    made = 0
    for call in (enricher.run, live.push, lambda bars: next(enricher.iter_batches(bars))):
        try:
            call(bars)
        except rbe.RangebarEnrichError as error:
            made += "was forked" in str(error) and "spawn" in str(error)
    os._exit(made)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork on this system")
@pytest.mark.parametrize(("has_run", "refused"), [(["run"], 3), ([], 0)], ids=["run", "fresh"])
def test_a_forked_child_says_so_instead_of_hanging(has_run, refused):
    command = [sys.executable, "-W", "ignore", "-c", FORKED, *has_run]

    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    assert int(done.stdout) == refused
