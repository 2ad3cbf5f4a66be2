"""Time contenders in turns, so that whatever else the machine does falls on all of them.

pytest-benchmark times one test after another: minutes may lie between two contenders, and on a
shared machine that is the difference. Here a round runs each contender once, each round begins
with another one, and a ratio is the median of the ratios within rounds.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from benches.contest import Contender

_SHORTEST = 200e-6
"""A faster call is repeated within a turn until it takes this long, in seconds."""
_LONG = 0.5
"""One untimed call is warm-up enough for a call that takes this long."""
_FEWEST = 5
_FEWEST_SLOW = 3
_MOST = 300


@dataclass(slots=True)
class Lane:
    """A contender's times.

    Attributes:
        name: The contender.
        loops: Calls in a turn.
        seconds: Round to seconds per call.
    """

    name: str
    loops: int
    estimate: float
    seconds: dict[int, float] = field(default_factory=dict)

    @property
    def times(self) -> np.ndarray:
        """Seconds per call, round after round."""
        return np.array(list(self.seconds.values()))


def race(contenders: Sequence[Contender], *, seconds: float) -> dict[str, Lane]:
    """Time every contender in turns for about `seconds`.

    One that would eat up the time takes part in a few rounds only, evenly spaced.
    """
    gc.collect()
    gc.freeze()
    try:
        return _race(contenders, seconds)
    finally:
        gc.unfreeze()


def _race(contenders: Sequence[Contender], seconds: float) -> dict[str, Lane]:
    lanes = {one.name: _warm(one) for one in contenders}
    turn = {name: lane.estimate * lane.loops for name, lane in lanes.items()}
    slow = {name for name, cost in turn.items() if cost > seconds / (2 * _FEWEST * len(turn))}
    fast_cost = sum(cost for name, cost in turn.items() if name not in slow) or 1e-9
    slow_cost = sum(turn[name] for name in slow) or 1e-9
    slow_rounds = int(np.clip(seconds / 2 / slow_cost, _FEWEST_SLOW, _MOST)) if slow else 0
    rounds = int(np.clip(seconds / 2 / fast_cost, _FEWEST, _MOST)) if len(slow) < len(turn) else 0
    rounds = max(rounds, slow_rounds)
    slow_at = set(np.linspace(0, rounds - 1, slow_rounds).round().astype(int).tolist())
    order = list(contenders)
    for number in range(rounds):
        for contender in order:
            if contender.name not in slow or number in slow_at:
                lane = lanes[contender.name]
                lane.seconds[number] = _turn(contender, lane.loops)
        order = order[1:] + order[:1]
    return lanes


def _warm(contender: Contender) -> Lane:
    first = _turn(contender, 1)
    if first > _LONG:
        return Lane(contender.name, 1, first)
    first = _turn(contender, 1)
    loops = 1 if contender.prepare else max(1, int(_SHORTEST / max(first, 1e-9)))
    return Lane(contender.name, loops, _turn(contender, loops))


def _turn(contender: Contender, loops: int) -> float:
    argument = contender.prepare() if contender.prepare else None
    run = contender.run
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        for _ in range(loops):
            result = run(argument)
        elapsed = time.perf_counter() - start
    finally:
        gc.enable()
    del result
    return elapsed / loops


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with its quartiles."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: np.ndarray) -> Spread:
        """Return the median and quartiles of `values`."""
        low, median, high = (float(x) for x in np.quantile(values, [0.25, 0.5, 0.75]))
        return cls(median, low, high, len(values))


def ratio(top: Lane, bottom: Lane) -> Spread:
    """Return the ratio of two lanes over the rounds in which both ran."""
    both = top.seconds.keys() & bottom.seconds.keys()
    return Spread.of(np.array([top.seconds[n] / bottom.seconds[n] for n in both]))
