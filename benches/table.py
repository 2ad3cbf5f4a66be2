"""A run as a table: for the terminal, and as Markdown for the README."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benches.contest import OURS, size_name
from benches.targets import Verdict, verdicts

_WIDTH = 126
_README_PEERS = {
    "A": ("flat", "pandas", "TA-Lib"),
    "B": ("flat", "pandas"),
    "L": ("flat select", "pandas"),
    "S": ("one series",),
    "W": ("insert_arrow", "pandas Nullable", "pandas Float64"),
    "E": ("flat", "pandas Nullable", "pandas Float64"),
    "P": ("one of 150",),
    "G": ("by hand",),
}
_SECONDS = ((1.0, 1.0, "s"), (1e-3, 1e3, "ms"), (0.0, 1e6, "µs"))


def duration(seconds: float) -> str:
    """Return a time with three digits and a unit."""
    factor, unit = next((f, u) for least, f, u in _SECONDS if seconds >= least)
    return f"{_digits(seconds * factor)} {unit}"


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _ratio(spread: Mapping[str, Any] | None) -> str:
    if spread is None:
        return ""
    median, low, high = (_digits(spread[name]) for name in ("median", "low", "high"))
    return f"{median} ({low}-{high})"


def as_text(run: Mapping[str, Any]) -> str:
    """Return the side-by-side table, then the figures to reach."""
    console = Console(width=_WIDTH, no_color=True, highlight=False, file=None)
    with console.capture() as capture:
        console.print(_side_by_side(run))
        console.print(_findings(run))
        console.print(_targets(verdicts(run)))
        console.print(circumstances(run))
    return capture.get()


def _side_by_side(run: Mapping[str, Any]) -> Table:
    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    made.add_column("what")
    for heading in ("size", "contender", "median", "quartiles", "ours ÷ it", "off by", "peak MB"):
        made.add_column(heading, justify="left" if heading == "contender" else "right")
    for case in run["cases"]:
        for index, (name, entry) in enumerate(_ours_first(case["contenders"])):
            spread = entry["seconds"]
            made.add_row(
                f"{case['workload']}  {case['title']}" if index == 0 else "",
                size_name(case["rows"]) if index == 0 else "",
                name,
                duration(spread["median"]),
                f"{duration(spread['low'])} - {duration(spread['high'])}",
                _ratio(case["ratios"].get(f"{OURS} ÷ {name}")),
                _error(case["accuracy"].get(name)),
                _peak(run, case, name),
            )
    for key, entry in _only_weighed(run):
        for index, (name, peak) in enumerate(_ours_first(entry["contenders"])):
            made.add_row(
                f"{key}  {entry['title']}" if index == 0 else "",
                size_name(entry["rows"]) if index == 0 else "",
                name,
                duration(peak["seconds"]),
                "once, cold",
                "",
                "",
                f"{peak['peak_mb']:,.0f}",
            )
    return made


def _error(accuracy: Mapping[str, Any] | None) -> str:
    """Return how far a contender is off at most, as a share of the scale of its inputs."""
    if accuracy is None:
        return ""
    if accuracy["missing"] or accuracy["error"] is None:
        return "differs"
    return f"{accuracy['error']:.0e}"


def _findings(run: Mapping[str, Any]) -> Table | str:
    """Return who is off: the worst of each contender in each contest."""
    made = Table(
        box=SIMPLE_HEAD, pad_edge=False, title="off by more than 1e-9 of the inputs' scale"
    )
    for heading in ("who", "column", "row", "value", "exact", "columns off"):
        made.add_column(heading, justify="left" if heading in {"who", "column"} else "right")
    for case in run["cases"]:
        for name, found in case["accuracy"].items():
            for column in found["missing"]:
                made.add_row(
                    f"{case['workload']} {size_name(case['rows'])}: {name}", column, "", "", "", ""
                )
            worst = max(found["wrong"], key=lambda one: one["error"] or inf, default=None)
            if worst is not None:
                made.add_row(
                    f"{case['workload']} {size_name(case['rows'])}: {name}",
                    worst["column"],
                    str(worst["row"]),
                    repr(worst["value"]),
                    repr(worst["exact"]),
                    str(len(found["wrong"])),
                )
    return made if made.row_count else "every contender is within 1e-9 of the inputs' scale"


def _only_weighed(run: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return what has a peak at a size that was not timed in turns."""
    timed = {(case["workload"], case["rows"]) for case in run["cases"]}
    return [
        (key, entry) for key, entry in run["memory"].items() if (key, entry["rows"]) not in timed
    ]


def _ours_first(contenders: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted(contenders.items(), key=lambda item: item[0] != OURS)


def _peak(run: Mapping[str, Any], case: Mapping[str, Any], name: str) -> str:
    entry = run["memory"].get(case["workload"])
    if entry is None or entry["rows"] != case["rows"] or name not in entry["contenders"]:
        return ""
    return f"{entry['contenders'][name]['peak_mb']:,.0f}"


def _targets(found: Iterable[Verdict]) -> Table:
    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("figure to reach", "at most", "measured", "quartiles", ""):
        made.add_column(heading, justify="left" if heading == "figure to reach" else "right")
    for verdict in found:
        made.add_row(verdict.target.label, *_figures(verdict), verdict.word)
    return made


def _figures(verdict: Verdict) -> tuple[str, str, str]:
    is_time = verdict.target.measure == "seconds"

    def shown(value: float | None) -> str:
        if value is None:
            return ""
        return duration(value) if is_time else f"{value:.2f}"

    spread = f"{shown(verdict.low)} - {shown(verdict.high)}" if verdict.low is not None else ""
    return shown(verdict.target.most), shown(verdict.value), spread


def _both_errors(case: Mapping[str, Any], peer: str) -> str:
    ours, theirs = (_error(case["accuracy"].get(name)) for name in (OURS, peer))
    return f"{ours} / {theirs}" if theirs else ours


def circumstances(run: Mapping[str, Any]) -> str:
    """Return where and with what a run was made, in one line."""
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    return (
        f"`{run['command']}` at {run['commit']}, {run['at'][:10]}, {run['processor']},"
        f" {run['cores']} cores; {versions}"
    )


def as_markdown(run: Mapping[str, Any]) -> str:
    """Return the README's table: ours beside the peers that a reader asks for."""
    lines = [
        "| what | bars | this engine | beside it | | ratio (quartiles) | off by |",
        "|---|---:|---:|---|---:|---:|---|",
    ]
    for case in run["cases"]:
        ours = case["contenders"].get(OURS)
        for name in _README_PEERS.get(case["workload"], ()):
            peer = case["contenders"].get(name)
            if ours is None or peer is None:
                continue
            lines.append(
                f"| {case['title']} | {size_name(case['rows'])}"
                f" | {duration(ours['seconds']['median'])}"
                f" | {name} | {duration(peer['seconds']['median'])}"
                f" | {_ratio(case['ratios'].get(f'{OURS} ÷ {name}'))}"
                f" | {_both_errors(case, name)} |"
            )
    lines += [
        "",
        f"Medians; ratios within rounds of one interleaved run. *Off by*: the largest distance from exact arithmetic, ours / theirs, as a share of the inputs' scale. {circumstances(run)}.",
    ]
    return "\n".join(lines)
