"""The harness keeps its promises: turns, agreement, ratios, verdicts, the README's table."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from benches import comparison
from benches.__main__ import BEGIN, END, with_table
from benches.agreement import accuracies
from benches.bars import interleaving, make_bars, many_series
from benches.contest import Contender, Contest, size_name
from benches.memory import measure_peak
from benches.race import Lane, race, ratio
from benches.table import as_markdown, as_text, duration
from benches.targets import TARGETS, verdicts
from benches.workloads import ALL, BY_KEY


def contender(name: str, values: list[float | None]) -> Contender:
    frame = pl.DataFrame({"x": pl.Series(values, dtype=pl.Float64)})
    return Contender(name, lambda _: frame, values=lambda made: made)


def case(rows: int, ratio_to_flat: float, half: float = 0.01) -> dict:
    spread = {"median": 1.0, "low": 0.9, "high": 1.1, "count": 5}
    found = {"median": ratio_to_flat, "low": ratio_to_flat - half, "high": ratio_to_flat + half}
    return {
        "workload": "A",
        "title": "30 features",
        "rows": rows,
        "contenders": {"ours": {"seconds": spread}, "flat": {"seconds": spread}},
        "ratios": {"ours ÷ flat": found | {"count": 5}},
        "accuracy": {"ours": {"error": 2e-16, "values": 9, "wrong": [], "missing": []}},
        "stages": {},
    }


def run_of(*cases: dict) -> dict:
    circumstances = {"command": "c", "commit": "abc", "at": "2026-01-01T00:00:00", "versions": {}}
    machine = {"processor": "p", "cores": 2}
    return circumstances | machine | {"cases": list(cases), "memory": {}}


def test_race_takes_turns():
    order: list[str] = []
    contenders = [Contender(n, lambda _, n=n: order.append(n), lambda: None) for n in "abc"]
    lanes = race(contenders, seconds=0.01)
    warm_ups = 3 * 3
    rounds = [order[i : i + 3] for i in range(warm_ups, len(order), 3)]
    assert all(sorted(turn) == ["a", "b", "c"] for turn in rounds)
    assert {turn[0] for turn in rounds} == {"a", "b", "c"}
    assert {len(lane.seconds) for lane in lanes.values()} == {len(rounds)}


def test_peak_is_of_own_process():
    ballast = np.ones(60_000_000)
    workload = BY_KEY["P"]
    peak = measure_peak(workload, 200, "flat")
    assert peak is not None
    assert 0 < peak.before_mb <= peak.peak_mb < ballast.nbytes / 2**20


def test_ratio_is_of_common_rounds():
    top = Lane("a", 1, 0.0, {0: 2.0, 1: 30.0, 2: 4.0})
    bottom = Lane("b", 1, 0.0, {0: 1.0, 2: 2.0, 3: 100.0})
    assert ratio(top, bottom).median == 2.0
    assert ratio(top, bottom).count == 2


def contest_of(values: list[float | None], **options) -> Contest:
    exact = [1.0, None, 3.0]
    contenders = [contender("theirs", exact), contender("ours", values)]
    return Contest(3, contenders, lambda _, row: exact[row], **options)


@pytest.mark.parametrize(
    ("values", "row"),
    [
        ([1.0, None, 3.0 + 1e-8], 2),
        ([1.0, 2.0, 3.0], 1),
        ([1.0, None, float("nan")], 2),
        ([1.0, None], 2),
    ],
)
def test_accuracy_names_value_and_row(values, row):
    found = accuracies(contest_of(values))
    assert found["theirs"].is_right
    assert [one.row for one in found["ours"].wrong] == [row]
    assert found["ours"].wrong[0].exact == [1.0, None, 3.0][row]


def test_accuracy_blames_no_one_for_the_first():
    found = accuracies(
        Contest(
            2,
            [contender("theirs", [1.0, 2.5]), contender("ours", [1.0, 2.0])],
            lambda _, row: [1.0, 2.0][row],
        )
    )
    assert str(found["theirs"].wrong[0]) == "x in row 1: 2.5, exactly 2.0"
    assert found["ours"].is_right


def test_accuracy_is_relative_to_scale():
    scales = {"x": pl.Series([1e4, 1.0, 1.0])}
    found = accuracies(contest_of([1.0 + 1e-6, float("nan"), 3.0], scales=scales))
    assert found["ours"].is_right
    assert found["ours"].error == pytest.approx(1e-10)


def test_accuracy_finds_one_row_of_many():
    values = np.ones(100_000)
    made = values.copy()
    made[77_777] += 1e-6
    pair = [contender("theirs", values.tolist()), contender("ours", made.tolist())]
    found = accuracies(Contest(100_000, pair, lambda *_: 1.0))
    assert [one.row for one in found["ours"].wrong] == [77_777]


def test_finding_of_another_stops_nothing():
    found = case(100, 0.5)
    found["accuracy"] = {
        "flat": {
            "error": 1e-3,
            "values": 9,
            "missing": [],
            "wrong": [{"column": "c", "row": 7, "value": 1.5, "exact": 1.0, "error": 1e-3}],
        }
    }
    text = as_text(run_of(found))
    assert "A 100: flat" in text
    assert "off by more than" in text


def test_bars_are_seeded_and_ordered():
    bars = pl.DataFrame(make_bars(5_000))
    assert bars.equals(pl.DataFrame(make_bars.__wrapped__(5_000)))
    assert bars["close_time"].is_sorted()
    assert bars.select((pl.col("high") >= pl.max_horizontal("open", "close")).all()).item()
    assert bars.select((pl.col("low") <= pl.min_horizontal("open", "close")).all()).item()


def test_interleaving_keeps_series_in_order():
    mixed = pl.DataFrame(many_series(3, 4, interleaved=True))
    assert mixed["symbol"].head(3).to_list() == ["S00000", "S00001", "S00002"]
    back = mixed[np.argsort(interleaving(3, 4))]
    assert back["close_time"].is_sorted()


def test_verdicts_tell_met_and_missed():
    words = {v.target.label: v.word for v in verdicts(run_of(case(100, 1.2), case(10_000, 0.8)))}
    assert words["A 100: ours ÷ flat"] == "met"
    assert words["A 10k: ours ÷ flat"] == "missed"
    assert words["A 1M: ours ÷ flat"] == "not measured"


def test_targets_name_real_contenders():
    for target in TARGETS:
        workload = BY_KEY[target.workload]
        assert {target.top, target.bottom or target.top} <= set(workload.contenders)
        sizes = set(workload.sizes["full"]) | {workload.memory.get("full")}
        assert target.rows in sizes, target.label


def test_workloads_have_readable_names():
    assert all(workload.group.count("-") >= 1 for workload in ALL)
    assert [size_name(rows) for rows in (100, 10_000, 2_000_000, 1_500)] == [
        "100",
        "10k",
        "2M",
        "1500",
    ]


def test_comparison_states_noise():
    before, after = (
        run_of(case(100, 1.0), case(10_000, 1.0)),
        run_of(case(100, 1.03), case(10_000, 1.5)),
    )
    changes = comparison.compare(before, after)
    assert [change.word for change in changes] == ["within noise", "slower"]
    assert changes[1].noise == pytest.approx(0.01 + 0.01 / 1.5)
    assert "2 ratios, 1 changed" in comparison.as_text(before, after)


def test_readme_table_stands_between_markers():
    text = f"# T\n{BEGIN}\nold\n{END}\ntail\n"
    made = with_table(text, as_markdown(run_of(case(100, 0.5))))
    assert made.startswith(f"# T\n{BEGIN}\n| what | bars |")
    assert "| 30 features | 100 | 1.00 s | flat | 1.00 s | 0.50 (0.49-0.51) | 2e-16 |" in made
    assert "old" not in made
    assert made.endswith(f"{END}\ntail\n")
    with pytest.raises(ValueError, match="needs one line"):
        with_table("no markers", "table")


def test_table_shows_ratio_and_verdict():
    text = as_text(run_of(case(100, 1.2)))
    assert "1.20 (1.19-1.21)" in text
    assert [duration(s) for s in (2.5, 0.0415, 3e-6)] == ["2.50 s", "41.5 ms", "3.00 µs"]
