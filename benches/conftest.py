"""Options and the session's run: which sizes, what was measured, the report at the end."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from benches import charts, results, table
from benches.agreement import Accuracy, accuracies
from benches.contest import OURS, Profile, Workload
from benches.memory import measure_peak
from benches.race import Lane, race
from benches.stages import stage_seconds
from benches.workloads import ALL

_SHARE_OF_TIME = {"full": 1.0, "quick": 0.2}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--bench-profile",
        choices=["full", "quick"],
        default="full",
        help="sizes and time: full takes under 20 minutes, quick under 3",
    )


def _profile(config: pytest.Config) -> Profile:
    if config.getoption("benchmark_disable", default=False):
        return "ci"
    profile: Profile = config.getoption("--bench-profile")
    return profile


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a module the contests of its `STAGES`, or those that are weighed."""
    profile = _profile(metafunc.config)
    if {"case", "contender"} <= set(metafunc.fixturenames):
        cases = [
            pytest.param((workload, rows), name, id=f"{workload.group}-rows={rows}-{name}")
            for workload in ALL
            if workload.group.split("-")[0] in metafunc.module.STAGES
            for rows in workload.sizes[profile]
            for name in workload.contenders
        ]
        metafunc.parametrize(("case", "contender"), cases)
    elif "weighed" in metafunc.fixturenames:
        cases = [
            pytest.param(workload, name, id=f"{workload.group}-rows={rows}-{name}")
            for workload in ALL
            for rows in [workload.memory.get(profile)]
            if rows is not None
            for name in workload.contenders
            if name not in workload.unmeasured
        ]
        if not cases:  # bodies are weighed in measured runs only; the harness's own test covers it
            cases = [pytest.param(None, None, marks=pytest.mark.skip(reason="not weighed in CI"))]
        metafunc.parametrize(("weighed", "contender"), cases)


class Session:
    """What this session measured, and the lanes of the contest whose turn it is."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.run = results.new_run(profile, shlex.join(["pytest", *sys.argv[1:]]))
        self._held: tuple[str, int] | None = None
        self._lanes: dict[str, Lane] | None = {}
        self._accuracy: dict[str, Accuracy] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing was measured: bodies that ran once are no measurement."""
        return self.profile == "ci" or not (self.run["cases"] or self.run["memory"])

    def lanes(self, workload: Workload, rows: int) -> dict[str, Lane]:
        """Return the times of all contenders, taken in turns when the first of them asks."""
        if self._held != (workload.key, rows):
            self._held, self._lanes = (workload.key, rows), None
            self._lanes = self._hold(workload, rows)
        if self._lanes is None:
            pytest.fail("the contest failed with its first contender", pytrace=False)
        return self._lanes

    def _hold(self, workload: Workload, rows: int) -> dict[str, Lane]:
        """Run the bodies, see how exact each is, and time them."""
        contest = workload.make(rows)
        try:
            self._accuracy = accuracies(contest)
            if self.profile == "ci":
                return {one.name: Lane(one.name, 1, 0.0) for one in contest.contenders}
            seconds = workload.seconds * _SHARE_OF_TIME[self.profile]
            lanes = race(contest.contenders, seconds=seconds)
            ours = contest.of(OURS)
            stages = stage_seconds(ours) if ours else {}
            case = results.case_of(
                workload, contest, lanes, rows=rows, accuracy=self._accuracy, stages=stages
            )
            self.run["cases"].append(case)
            return lanes
        finally:
            if contest.close:
                contest.close()

    def check(self, name: str) -> None:
        """Fail where this engine is off; what others get wrong stands in the report alone."""
        accuracy = self._accuracy.get(name)
        if name.startswith(OURS) and accuracy is not None and not accuracy.is_right:
            found = [*map(str, accuracy.wrong), *(f"column {one}" for one in accuracy.missing)]
            pytest.fail(f"{name} is off: {'; '.join(found[:5])}", pytrace=False)

    def weigh(self, workload: Workload, name: str) -> None:
        """Measure a contender's peak memory in a process of its own."""
        rows = workload.memory[self.profile]
        peak = measure_peak(workload, rows, name)
        if peak is None:
            pytest.skip(f"{name} takes no part here")
        entry = self.run["memory"].setdefault(workload.key, results.peaks_of(workload, rows, {}))
        entry["contenders"] |= results.peaks_of(workload, rows, {name: peak})["contenders"]


_SESSION = pytest.StashKey[Session]()


@pytest.fixture(scope="session")
def bench_session(request: pytest.FixtureRequest) -> Iterator[Session]:
    session = Session(_profile(request.config))
    request.config.stash[_SESSION] = session
    yield session
    if not session.is_empty:
        results.save(session.run)
        charts.save(session.run, results.LATEST.with_suffix(".html"))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """End with one table that a person reads in a minute."""
    session = config.stash.get(_SESSION, None)
    if session is None or session.is_empty:
        return
    write: Callable[[str], Any] = terminalreporter.write_line
    terminalreporter.section("side by side")
    write(table.as_text(session.run))
    write(f"stored: {results.LATEST.relative_to(results.ROOT)}, with charts in .html beside it")
