"""What a run does, counted: the part of performance that does not depend on the machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from benches.bars import make_bars, many_series
from benches.indicators import Indicators
from rangebar_enrich import Enricher, enrich_bars
from rangebar_enrich.features import Alpha158

LARGE = 20_000


class Counts:
    """How often public functions of Polars were called, and the stages of what was collected."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.calls: Counter[str] = Counter()
        self.stages = 0
        self._watch(patch, pl.LazyFrame, "collect", self._plan)
        self._watch(patch, pl, "collect_all", lambda plans, **_: [self._plan(p) for p in plans])
        self._watch(patch, pl.LazyFrame, "collect_schema")
        for name in ("from_arrow", "from_pandas"):
            self._watch(patch, pl, name)
        self._watch(patch, pl.Expr, "deserialize")

    def _plan(self, plan: pl.LazyFrame, **_: Any) -> None:
        self.stages = max(self.stages, plan.explain(optimized=False).count("WITH_COLUMNS"))

    def _watch(
        self,
        patch: pytest.MonkeyPatch,
        owner: Any,
        name: str,
        look: Callable[..., Any] | None = None,
    ) -> None:
        function = getattr(owner, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            if look is not None:
                look(*args, **kwargs)
            self.calls[name] += 1
            return function(*args, **kwargs)

        patch.setattr(owner, name, counted)

    @property
    def collects(self) -> int:
        """Times that anything was computed."""
        return self.calls["collect"] + self.calls["collect_all"]


@pytest.fixture
def counting() -> Iterator[Callable[[], Counts]]:
    patch = pytest.MonkeyPatch()
    yield lambda: Counts(patch)
    patch.undo()


def addresses(column: pa.ChunkedArray) -> list[int]:
    buffers = [buffer for chunk in column.chunks for buffer in chunk.buffers()]
    return [buffer.address for buffer in buffers if buffer is not None]


@pytest.mark.parametrize("rows", [100, LARGE], ids="rows={}".format)
@pytest.mark.parametrize("count", [1, 20], ids="providers={}".format)
def test_run_collects_once(counting, rows, count):
    providers = [Indicators(f"p{n}") for n in range(count)]
    enricher = Enricher(providers)
    bars = make_bars(rows)
    enricher.run(bars)
    counts = counting()
    enricher.run(bars)
    assert counts.collects == 1
    # The times, to see their order; the trade ids, to see gaps; and what is read.
    assert counts.calls["from_arrow"] <= 3
    assert counts.calls["from_pandas"] == 0


def test_many_series_collect_once(counting):
    enricher = Enricher([Indicators()])
    bars = many_series(50, 40, interleaved=True)
    counts = counting()
    enricher.run(bars)
    assert counts.collects == 1
    assert counts.calls["from_arrow"] <= 4  # the keys of the series as well


def test_shared_parts_take_one_more_stage(counting):
    enricher = Enricher([Indicators("a"), Indicators("b"), Alpha158()])
    counts = counting()
    enricher.run(make_bars(LARGE))
    assert 1 <= counts.stages <= 4


def test_second_run_declares_nothing_anew(counting):
    provider = Indicators()
    enricher = Enricher([provider])
    enricher.run(make_bars(LARGE))
    assert provider.calls == 1
    counts = counting()
    enricher.run(make_bars(LARGE - 1))
    assert provider.calls == 1
    assert counts.calls["collect_schema"] == 0
    assert counts.calls["deserialize"] == 0


def test_run_copies_no_original_column():
    bars = many_series(3, 2_000)
    made = Enricher([Indicators()]).run(bars).table
    for name in bars.column_names:
        assert addresses(made.column(name)) == addresses(bars.column(name)), name


def test_no_provider_calls_nothing(counting):
    bars = make_bars(100)
    counts = counting()
    assert enrich_bars(bars, providers=[]) is bars
    assert not counts.calls
