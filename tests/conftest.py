from __future__ import annotations

import math
import random
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

import rangebar_enrich as rbe
from rangebar_enrich._run import execution

# NOTE: hypothesis also draws constants out of the sources of whatever local modules are loaded, so
# what a test is given would depend on what ran before it in the same process. Not with us.
providers._get_local_constants = lambda: providers._local_constants

# Machines that run tests are shared: an example that takes long says nothing of the code.
_ALWAYS = {"deadline": None, "database": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("house", derandomize=True, max_examples=40, **_ALWAYS)
settings.register_profile("full", derandomize=True, max_examples=200, **_ALWAYS)
settings.register_profile("fuzz", print_blob=True, max_examples=200, **_ALWAYS)
settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make fuzz` ends on time: what has not begun by then is skipped."""
    parser.addoption("--fuzz-until", type=float, default=math.inf, help="seconds since 1970")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Fuzz in an order of the seed's own, so that a short time reaches every property some day."""
    if math.isfinite(config.getoption("--fuzz-until")):
        random.Random(config.getoption("--hypothesis-seed")).shuffle(items)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if time.time() > item.config.getoption("--fuzz-until"):
        pytest.skip("time is up")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Skip what needs pandas where it is not installed, if pandas' own rooms or the test ask for it.

    Should any other room import it, the test fails: `make test-wheel` runs the core without extras.
    """
    try:
        return (yield)
    except ModuleNotFoundError as error:
        asks = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
        if error.name == "pandas" and (asks.name in PANDAS_ROOMS or asks == item.path):
            pytest.skip("needs pandas")
        raise


PANDAS_ROOMS = {"pandas_view.py", "pandas-shim.pxi"}
REAL_TRADES = "xrpeth-aggtrades-2019-10-11.parquet"


@pytest.fixture(autouse=True)
def _clean_state() -> Iterator[None]:
    rbe.clear_hooks()
    rbe.reset_provider_cache()
    yield
    rbe.clear_hooks()
    rbe.reset_provider_cache()


@pytest.fixture
def collected(monkeypatch) -> list[list[pl.LazyFrame]]:
    """Return the plans of every collect of the engine, as it makes them."""
    given: list[list[pl.LazyFrame]] = []
    original = execution._collect

    def note(plans, *options):
        given.append(list(plans))
        return original(plans, *options)

    monkeypatch.setattr(execution, "_collect", note)
    return given


def _prices(rows: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    volatility = np.where(np.arange(rows) < rows // 2, 0.001, 0.004)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 1.0, rows) * volatility))
    opened = np.concatenate([[100.0], close[:-1]])[:rows]
    wick = np.abs(rng.normal(0.0, 0.05, (2, rows)))
    high, low = np.maximum(opened, close) + wick[0], np.minimum(opened, close) - wick[1]
    return {"open": opened, "high": high, "low": low, "close": close}


def _builder_columns(rows: int, seed: int) -> dict[str, pa.Array]:
    rng = np.random.default_rng(seed)
    duration = rng.integers(0, 60_000_000, rows)
    duration[rng.random(rows) < 0.1] = 0  # bars of a burst share their close time
    close_time = 1_700_000_000_000_000 + np.cumsum(duration)
    price = _prices(rows, rng)
    bought, sold = rng.lognormal(2.0, 1.5, rows), rng.lognormal(2.0, 1.5, rows)
    volume, trades = bought + sold, rng.integers(1, 500, rows).astype(np.uint32)
    last_id = np.cumsum(trades.astype(np.int64))
    imbalance = (bought - sold) / volume
    values = {
        "open_time": close_time - duration,
        "close_time": close_time,
        **price,
        "volume": volume,
        "turnover": volume * price["close"] * 1e16,
        "individual_trade_count": trades,
        "agg_record_count": trades,
        "first_trade_id": last_id - trades,
        "last_trade_id": last_id,
        "data_source": pa.array(["BinanceFuturesUM"] * rows, pa.string()),
        "buy_volume": bought,
        "sell_volume": sold,
        "buy_trade_count": trades // 2,
        "sell_trade_count": trades - trades // 2,
        "vwap": (price["high"] + price["low"] + price["close"]) / 3,
        "buy_turnover": bought * price["close"] * 1e16,
        "sell_turnover": sold * price["close"] * 1e16,
        "duration_us": duration,
        "ofi": imbalance,
        "vwap_close_deviation": rng.normal(0.0, 0.3, rows),
        "price_impact": np.abs(price["close"] - price["open"]) / volume,
        "kyle_lambda_proxy": rng.normal(0.0, 1e-3, rows),
        "trade_intensity": trades / (duration / 1e6 + 1e-3),
        "volume_per_trade": volume / trades,
        "aggression_ratio": rng.random(rows),
        "aggregation_density_f64": np.ones(rows),
        "turnover_imbalance": imbalance,
    }
    return {name: pa.array(value) for name, value in values.items()}


@pytest.fixture(scope="session")
def make_bars() -> Callable[..., pa.Table]:
    """Return bars like the Rust builder's: its 30 columns, non-null, seeded."""

    def make(
        rows: int = 120,
        *,
        seed: int = 7,
        metadata: Mapping[str, str] | None = None,
        **more: Any,
    ) -> pa.Table:
        columns = _builder_columns(rows, seed)
        fields = [pa.field(name, array.type, nullable=False) for name, array in columns.items()]
        for name, value in more.items():
            columns[name] = value if isinstance(value, pa.Array) else pa.array([value] * rows)
            fields.append(pa.field(name, columns[name].type))
        schema = pa.schema(fields, metadata=metadata)
        return pa.Table.from_arrays(list(columns.values()), schema=schema)

    return make


@pytest.fixture(scope="session")
def bars(make_bars: Callable[..., pa.Table]) -> pa.Table:
    return make_bars(metadata={"made_by": "the tests"})


class Native:
    """A native provider out of its parts; `made` is what `expressions` returns or makes."""

    def __init__(
        self,
        name: str,
        made: Mapping[str, Any] | Callable[[rbe.BarContext], Any],
        *,
        columns: Sequence[str] | None = None,
        min_bars: Any = 0,
        version: str = "1.0.0",
        **more: Any,
    ) -> None:
        self.name, self.version, self.min_bars = name, version, min_bars
        self.columns = tuple(made if columns is None else columns)  # type: ignore[arg-type]
        self.made = made
        self.contexts: list[rbe.BarContext] = []
        for attribute, value in more.items():
            setattr(self, attribute, value)

    def expressions(self, context: rbe.BarContext) -> Any:
        self.contexts.append(context)
        return self.made(context) if callable(self.made) else self.made


class Legacy:
    """A legacy provider out of its parts; `enrich_with` gets the view and returns the result."""

    def __init__(
        self,
        name: str,
        columns: Sequence[str],
        enrich_with: Callable[[Any], Any],
        *,
        min_bars: int = 0,
        **more: Any,
    ) -> None:
        self.name, self.version = name, "2.0.0"
        self.columns, self.min_bars = tuple(columns), min_bars
        self.enrich_with = enrich_with
        self.calls: list[tuple[str, int]] = []
        for attribute, value in more.items():
            setattr(self, attribute, value)

    def enrich(self, bars: Any, symbol: str, threshold_decimal_bps: int) -> Any:
        self.calls.append((symbol, threshold_decimal_bps))
        return self.enrich_with(bars)


class Momentum:
    """The provider of the documentation: two features over 20 bars."""

    name = "momentum"
    version = "1.2.0"
    columns = ("momentum_return_20", "momentum_zscore_20")
    min_bars = 20

    def expressions(self, _context: rbe.BarContext) -> Iterator[pl.Expr]:
        close = pl.col("close")
        yield (close / close.shift(20) - 1).alias("momentum_return_20")
        yield ((close - close.rolling_mean(20)) / close.rolling_std(20)).alias("momentum_zscore_20")


@pytest.fixture(scope="session")
def native() -> type[Native]:
    return Native


@pytest.fixture(scope="session")
def legacy() -> type[Legacy]:
    return Legacy


@pytest.fixture
def momentum() -> Momentum:
    return Momentum()


@pytest.fixture
def half_range() -> Native:
    """Return a second healthy provider, of four dtypes, that runs no Python function."""
    middle = (pl.col("high") + pl.col("low")) / 2
    return Native(
        "range",
        {
            "range_middle": middle,
            "range_trades": pl.col("individual_trade_count").cast(pl.Int64).cum_sum(),
            "range_is_up": pl.col("close") > pl.col("open"),
        },
        min_bars={"range_middle": 0, "range_trades": 3, "range_is_up": 7},
    )


@pytest.fixture
def events() -> list[rbe.HookPayload]:
    """Return the list that every event of the test is appended to."""
    seen: list[rbe.HookPayload] = []
    for event in rbe.HookEvent:
        rbe.register_hook(event, seen.append)
    return seen


@pytest.fixture(scope="session")
def real_trades_file() -> Path:
    root = next(
        (one for one in Path(__file__).resolve().parents if (one / "pyproject.toml").is_file()),
        Path(),
    )
    path = root.parent / "shared" / "data" / REAL_TRADES
    if not path.is_file():
        pytest.skip("the exchange trades of ../shared/data are absent")
    return path


@pytest.fixture(scope="session")
def real_batch(real_trades_file: Path) -> Callable[[int], Any]:
    """Return the Rust builder's own arro3 batch of the real trades, for a threshold."""
    core = pytest.importorskip("rangebar._core")
    trades = pl.read_parquet(real_trades_file).to_dicts()

    def build(threshold_decimal_bps: int) -> Any:
        processor = core.PyRangeBarProcessor(threshold_decimal_bps, symbol="XRPETH")
        return processor.process_trades_streaming_arrow(trades)

    return build
