"""The main job, end to end, with the rows and seconds of each stage.

1. Trades are simulated or read (`simulator`, `trade_file`).
2. The Rust builder makes bars of them (`builder`), kept as `bars.parquet`.
3. The engine adds the features of two native providers and a legacy one (`providers`).
4. The store writes them to an embedded ClickHouse on disk, and reads them back.
5. What came back is compared with what was enriched (`roundtrip`), and drawn (`chart`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from rangebar_enrich._run.result import ProviderOutcome
from rangebar_enrich.demo.builder import build_bars
from rangebar_enrich.demo.chart import write_chart
from rangebar_enrich.demo.providers import demo_providers
from rangebar_enrich.demo.roundtrip import find_differences
from rangebar_enrich.demo.simulator import simulate_trades
from rangebar_enrich.demo.trade_file import guess_symbol, iter_trade_file
from rangebar_enrich.errors import BarsError, TradesError, message

if TYPE_CHECKING:
    from rangebar_enrich.clickhouse import BarStore

_MODE = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRequest:
    """What the demo is to run on.

    Attributes:
        trades: File of trades; `None` simulates them.
        symbol: Trading symbol; `None` takes the file's first word, or `SIM<seed>`, so that two
            simulated markets are two series.
        threshold_decimal_bps: Width of a bar.
        seed: Seed of the simulation.
        output: Directory for bars, database and chart; made where it is absent.
    """

    trades: Path | None = None
    symbol: str | None = None
    threshold_decimal_bps: int = 250
    seed: int = 7
    output: Path = Path("demo")


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the job: its name, rows that it gave, seconds that it took."""

    name: str
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """What the demo did.

    Attributes:
        symbol: Symbol of the series.
        stages: Rows and seconds of each step, in order.
        outcomes: What became of each provider.
        features: Names of the feature columns.
        stored: What came back from the database.
        differences: Where that is not what was enriched; empty when all is well.
        rows_before: Rows of the series in the database before this run.
        rows_after: The same after it.
        bars_file: The bars without features.
        chart_file: The chart.
        database_url: Address of the database.
    """

    symbol: str
    stages: tuple[Stage, ...]
    outcomes: tuple[ProviderOutcome, ...]
    features: tuple[str, ...]
    stored: pa.Table
    differences: tuple[str, ...]
    rows_before: int
    rows_after: int
    bars_file: Path
    chart_file: Path
    database_url: str


class _Clock:
    """Collects stages."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[list[pa.Table]]:
        """Time a block, which puts the table that it made into the list it is given."""
        made: list[pa.Table] = []
        start = time.perf_counter()
        yield made
        self.add(name, made[0].num_rows, time.perf_counter() - start)

    def add(self, name: str, rows: int, seconds: float) -> None:
        self.stages.append(Stage(name, rows, seconds))


def run_demo(request: DemoRequest) -> DemoReport:
    """Run the main job.

    Raises:
        TradesError: The file of trades cannot be used, or no symbol is known for it.
        BarsError: The trades close no bar.
        StoreError: The database cannot be opened or written.
    """
    from rangebar_enrich.clickhouse import BarStore
    from rangebar_enrich.engine import Enricher

    symbol, clock = _symbol(request), _Clock()
    request.output.mkdir(parents=True, exist_ok=True)
    bars = _bars(request, symbol, clock)
    bars_file = _write_parquet(bars, request.output / "bars.parquet")
    enricher = Enricher(demo_providers())
    with clock.stage("enrich") as made:
        result = enricher.run(bars)
        made.append(result.table)
    url = f"chdb://{(request.output / 'clickhouse').resolve()}"
    with BarStore.connect(url) as store:
        store.ensure_table()
        before = _count(store, symbol, request)
        with clock.stage("write") as made:
            store.write(result, ouroboros_mode=_MODE)
            made.append(result.table)
        with clock.stage("read back") as made:
            made.append(_read_back(store, symbol, request, bars, enricher.columns))
        stored = made[0]
        after = _count(store, symbol, request)
    title = f"{symbol} at {request.threshold_decimal_bps} dbps"
    with clock.stage("chart") as made:
        chart_file = write_chart(result.table, request.output / "chart.html", title=title)
        made.append(result.table)
    return DemoReport(
        symbol=symbol,
        stages=tuple(clock.stages),
        outcomes=tuple(result.outcomes),
        features=enricher.columns,
        stored=stored,
        differences=tuple(find_differences(result.table, stored)),
        rows_before=before,
        rows_after=after,
        bars_file=bars_file,
        chart_file=chart_file,
        database_url=url,
    )


def _symbol(request: DemoRequest) -> str:
    if request.symbol:
        return request.symbol
    if request.trades is None:
        return f"SIM{request.seed}"
    guess = guess_symbol(request.trades)
    if guess is None:
        head = f"The name of {request.trades.name!r} does not tell the symbol."
        raise TradesError(message(head, hint="say --symbol BTCUSDT, or what it is."))
    return guess


def _bars(request: DemoRequest, symbol: str, clock: _Clock) -> pa.Table:
    trades = _TradeMeter(request)
    start = time.perf_counter()
    bars = build_bars(
        trades.batches(), symbol=symbol, threshold_decimal_bps=request.threshold_decimal_bps
    )
    clock.add(trades.name, trades.rows, trades.seconds)
    clock.add("build bars", bars.num_rows, time.perf_counter() - start - trades.seconds)
    if bars.num_rows == 0:
        head = f"No bar closed: {trades.rows:,} trades never moved the price so far."
        raise BarsError(message(head, hint="choose a smaller --threshold, or more trades."))
    return bars


class _TradeMeter:
    """Trades, and how many were taken and how long they took to come."""

    def __init__(self, request: DemoRequest) -> None:
        self.name = "simulate trades" if request.trades is None else "read trades"
        self.rows, self.seconds = 0, 0.0
        self._request = request

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the trades batch by batch."""
        start = time.perf_counter()
        for batch in self._source():
            self.rows += batch.num_rows
            self.seconds += time.perf_counter() - start
            yield batch
            start = time.perf_counter()
        self.seconds += time.perf_counter() - start

    def _source(self) -> Iterator[pa.RecordBatch]:
        if self._request.trades is not None:
            return iter_trade_file(self._request.trades)
        trades = simulate_trades(seed=self._request.seed)
        return iter(trades.to_batches(max_chunksize=50_000))


def _count(store: BarStore, symbol: str, request: DemoRequest) -> int:
    columns = ["close_time_ms"]
    rows = store.read(symbol, request.threshold_decimal_bps, columns=columns)
    return int(rows.num_rows)


def _read_back(
    store: BarStore, symbol: str, request: DemoRequest, bars: pa.Table, features: Sequence[str]
) -> pa.Table:
    first, last = (bars.column("close_time")[row].as_py() // 1_000 for row in (0, -1))
    return store.read(
        symbol,
        request.threshold_decimal_bps,
        start_ms=first,
        end_ms=last,
        ouroboros_mode=_MODE,
        plugin_features=features,
    )


def _write_parquet(bars: pa.Table, path: Path) -> Path:
    import pyarrow.parquet as pq

    pq.write_table(bars, path)
    return path
