"""Each check has a provider that breaks its promise, and no other promise."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterator

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from corpus.tried import thinned

from rangebar_enrich.conformance import CHECKS, check_provider
from rangebar_enrich.conformance.examination import Examination
from rangebar_enrich.errors import BarOrderError
from rangebar_enrich.protocol import BarContext

close, volume = pl.col("close"), pl.col("volume")


class Sound:
    """A native provider that keeps every promise; the broken ones change one thing."""

    name = "feature"
    version = "1.0.0"
    columns: tuple[str, ...] = ("feature_x",)
    min_bars = 4

    def expressions(self, _context):
        yield close.rolling_mean(5).alias("feature_x")


class SoundLegacy:
    name = "feature"
    version = "1.0.0"
    columns: tuple[str, ...] = ("feature_x",)
    min_bars = 4

    def enrich(self, bars, _symbol, _threshold):
        bars["feature_x"] = bars["Close"].rolling(5).mean()
        return bars


class NoVersion(Sound):
    version = ""


class Undeclared(Sound):
    def expressions(self, context):
        yield from super().expressions(context)
        yield volume.alias("feature_y")


class UndeclaredLegacy(SoundLegacy):
    def enrich(self, bars, symbol, threshold):
        bars["scratch"] = 1.0
        return super().enrich(bars, symbol, threshold)


class Text(Sound):
    def expressions(self, _context):
        yield close.cast(pl.String).alias("feature_x")


class TextLegacy(SoundLegacy):
    def enrich(self, bars, _symbol, _threshold):
        bars["feature_x"] = "much"
        return bars


class Nameless(Sound):
    columns = ("mean_x",)

    def expressions(self, _context):
        yield close.rolling_mean(5).alias("mean_x")


class Short(Sound):
    def expressions(self, _context):
        yield close.filter(close > close.shift(1)).alias("feature_x")


class Aggregate(Sound):
    def expressions(self, _context):
        yield close.mean().alias("feature_x")


class Reordering(SoundLegacy):
    def enrich(self, bars, symbol, threshold):
        return super().enrich(bars, symbol, threshold).iloc[::-1]


class Rounding(SoundLegacy):
    def enrich(self, bars, symbol, threshold):
        bars["close"] = bars["close"].round(1)
        return super().enrich(bars, symbol, threshold)


class Impatient(Sound):
    def expressions(self, _context):
        yield close.rolling_mean(20).alias("feature_x")


class Silent(Sound):
    def expressions(self, _context):
        yield close.rolling_mean(100_000).alias("feature_x")


class Laundering(Sound):
    def expressions(self, _context):
        score = (close - close.rolling_mean(5)) / close.rolling_std(5)
        yield (score > 2).alias("feature_x")


class Accumulating(SoundLegacy):
    def enrich(self, bars, symbol, threshold):
        before = bars["feature_x"] if "feature_x" in bars.columns else 0.0
        bars = super().enrich(bars, symbol, threshold)
        bars["feature_x"] = bars["feature_x"] + before
        return bars


def _dice(series: pl.Series) -> pl.Series:
    return pl.Series(np.random.default_rng().random(len(series)))


class Dice(Sound):
    def expressions(self, _context):
        yield (close.rolling_mean(5) * close.map_batches(_dice)).alias("feature_x")


class Remembering(SoundLegacy):
    """Goes on from the last value of the series that it saw before."""

    def __init__(self):
        self.last = 0.0

    def enrich(self, bars, symbol, threshold):
        bars = super().enrich(bars, symbol, threshold)
        bars["feature_x"] = bars["feature_x"] + self.last
        self.last = float(bars["Close"].iloc[-1])
        return bars


def _later(series: pl.Series) -> pl.Series:
    return series.rolling_mean(5).backward_fill()


class Peeking(Sound):
    """Fills its warm-up with what comes later, where the engine's mask would hide it."""

    min_bars = 5

    def expressions(self, _context):
        yield close.map_batches(_later, return_dtype=pl.Float64).alias("feature_x")


class PeekingLegacy(SoundLegacy):
    def enrich(self, bars, _symbol, _threshold):
        bars["feature_x"] = bars["Close"].rolling(5, center=True).mean()
        return bars


class Forgetful(Sound):
    lookback = 3


class Chunked(Sound):
    def expressions(self, _context):
        yield close.map_batches(_over_chunks, return_dtype=pl.Float64).alias("feature_x")


def _over_chunks(series: pl.Series) -> pl.Series:
    return series.rolling_mean(5) / series.n_chunks()


def _brittle(series: pl.Series) -> pl.Series:
    if series.null_count():
        msg = "a price is missing"
        raise ValueError(msg)
    return series.rolling_mean(5)


class Brittle(Sound):
    def expressions(self, _context):
        yield close.map_batches(_brittle, return_dtype=pl.Float64).alias("feature_x")


class Demanding(SoundLegacy):
    def enrich(self, bars, symbol, threshold):
        if len(bars) <= self.min_bars:
            msg = "not enough bars"
            raise ValueError(msg)
        return super().enrich(bars, symbol, threshold)


class Locked(Sound):
    def __init__(self):
        self.lock = threading.Lock()


class Shared(SoundLegacy):
    """Keeps what it works on in an attribute that all threads share."""

    def enrich(self, bars, symbol, threshold):
        self.close = bars["Close"]
        time.sleep(0.001)
        bars["feature_x"] = self.close.to_numpy()[: len(bars)]
        bars["feature_x"] = bars["feature_x"].rolling(5).mean()
        return bars


BROKEN = {
    NoVersion: "declaration",
    Undeclared: "columns",
    UndeclaredLegacy: "columns",
    Text: "dtypes",
    TextLegacy: "dtypes",
    Nameless: "prefix",
    Short: "row_preserving",
    Aggregate: "row_preserving",
    Reordering: "row_preserving",
    Rounding: "existing_columns_read_only",
    Impatient: "warm_up",
    Silent: "warm_up",
    Laundering: "undefined_is_null",
    Accumulating: "idempotent",
    Dice: "deterministic",
    Remembering: "deterministic",
    Peeking: "no_look_ahead",
    PeekingLegacy: "no_look_ahead",
    Forgetful: "lookback",
    Chunked: "batching",
    Brittle: "edge_inputs",
    Demanding: "edge_inputs",
    Locked: "pickling",
    Shared: "thread_safe",
}


@pytest.mark.parametrize(
    ("provider", "check"),
    thinned(BROKEN.items(), keep=2),
    ids=lambda value: getattr(value, "__name__", value),
)
def test_broken_provider_fails_its_check_alone(provider, check):
    report = check_provider(provider())

    assert [one.check for one in report.failures] == [check]
    assert not report.passed


def test_every_check_has_a_broken_provider():
    assert set(BROKEN.values()) == set(CHECKS)


@pytest.mark.parametrize("provider", [Sound, SoundLegacy])
def test_sound_provider_passes(provider):
    report = check_provider(provider)

    assert [one.check for one in report.results] == list(CHECKS)
    assert {one.status for one in report.results} == {"passed"}, str(report)
    assert report.passed


@pytest.mark.parametrize(
    "provider", [None, 7, "momentum", object(), {}, type("Raising", (), {"__init__": _dice})]
)
def test_what_is_no_provider_is_a_failed_declaration(provider):
    report = check_provider(provider)

    assert report.result("declaration").status == "failed"
    assert {one.status for one in report.results[1:]} == {"skipped"}


class RaisingProperty(Sound):
    @property
    def columns(self):
        msg = "no columns today"
        raise KeyError(msg)


class RaisingExpressions(Sound):
    def expressions(self, _context):
        msg = "no idea"
        raise LookupError(msg)


class PanickingExpressions(Sound):
    def expressions(self, _context):
        msg = "the sky falls"
        raise pl.exceptions.PanicException(msg)


class RaisingEnrich(SoundLegacy):
    def enrich(self, bars, symbol, threshold):
        msg = "no idea"
        raise LookupError(msg)


@pytest.mark.parametrize(
    ("provider", "check", "text"),
    [
        (RaisingProperty, "declaration", "no columns today"),
        (RaisingExpressions, "columns", "LookupError: no idea"),
        (PanickingExpressions, "columns", "the sky falls"),
        (RaisingEnrich, "columns", "LookupError: no idea"),
    ],
)
def test_what_a_provider_raises_is_told(provider, check, text):
    result = check_provider(provider()).result(check)

    assert result.status == "failed"
    assert text in " ".join(result.detail.split())


def test_provider_of_a_wrong_name_names_the_right_one():
    class Typo(Sound):
        def expressions(self, _context):
            yield pl.col("colse").rolling_mean(5).alias("feature_x")

    detail = check_provider(Typo()).result("columns").detail

    assert "reads unknown column 'colse' (did you mean 'close'?)" in detail


def test_columns_of_another_provider_are_made_up():
    class Dependent(Sound):
        def expressions(self, _context):
            yield pl.col("momentum_return_20").rolling_mean(5).alias("feature_x")

    report = check_provider(Dependent())

    assert "made up, as another provider's: 'momentum_return_20'" in report.result("columns").detail
    assert [one.check for one in report.failures] == ["pickling"]  # a class of a function


def test_required_columns_are_there_for_a_legacy_provider():
    class Dependent(SoundLegacy):
        requires = ("momentum_return_20",)

        def enrich(self, bars, _symbol, _threshold):
            bars["feature_x"] = bars["momentum_return_20"].rolling(5).mean()
            return bars

    assert [one.check for one in check_provider(Dependent()).failures] == ["pickling"]


def test_context_reaches_the_provider():
    seen = set()

    class Curious(Sound):
        def expressions(self, context):
            seen.add((context.symbol, context.threshold_decimal_bps, tuple(context.columns)))
            return super().expressions(context)

    columns = {"close": pl.Float64(), "close_time": pl.Int64()}
    Examination(Curious(), context=BarContext("XRPETH", 50, columns)).result("no_look_ahead")

    assert seen == {("XRPETH", 50, ("close", "close_time"))}


def test_given_bars_add_their_columns_and_their_context(make_bars):
    given = make_bars(80, symbol="ETHUSDT", threshold_decimal_bps=100, mood=2.0)

    class Moody(Sound):
        seen: Iterator[str] | None = None

        def expressions(self, context):
            type(self).seen = context.symbol
            yield pl.col("mood").rolling_mean(5).alias("feature_x")

    examination = Examination(Moody(), bars=given)

    assert examination.result("no_look_ahead").status == "passed"
    assert Moody.seen == "ETHUSDT"


def test_given_bars_of_several_series_are_tried_by_the_longest(make_bars):
    longer = make_bars(90, symbol="ETHUSDT", threshold_decimal_bps=100)
    given = pa.concat_tables([make_bars(50, symbol="BTCUSDT", threshold_decimal_bps=250), longer])

    report = check_provider(Sound(), bars=given)

    assert report.passed, str(report)


class Caching(SoundLegacy):
    """Computes once for a symbol, and gives that to whoever asks next."""

    def __init__(self):
        self.known = {}

    def enrich(self, bars, symbol, threshold):
        if symbol not in self.known:
            self.known[symbol] = bars["Close"].rolling(5).mean().to_numpy()
        bars["feature_x"] = self.known[symbol]
        return bars


def test_cache_that_forgets_to_look_at_the_bars_is_not_deterministic():
    report = check_provider(Caching())

    assert [one.check for one in report.failures] == ["deterministic"]


@pytest.mark.filterwarnings("error")
def test_warnings_of_a_provider_are_no_failures():
    class Noisy(SoundLegacy):
        def enrich(self, bars, _symbol, _threshold):
            warnings.warn("old", DeprecationWarning, stacklevel=1)
            bars["feature_x"] = bars["Close"].rolling(5).mean()
            return bars

    report = check_provider(Noisy())

    assert [one.check for one in report.failures] == ["pickling"]  # a class of a function


def test_look_ahead_where_given_bars_are(make_bars):
    """Generated prices pass 10,000 in a bar or two: at the level of the author's own they stay."""
    given = make_bars(200).drop_columns(["close"])
    given = given.append_column("close", [np.linspace(9e3, 11e3, 200)])

    class Rare(Sound):
        def expressions(self, _context):
            leak = close.map_batches(lambda s: s.shift(-1), return_dtype=pl.Float64)
            is_rare = (close.rolling_min(8) > 10_000) & (close.rolling_max(8) < 10_500)
            rare = pl.when(is_rare).then(leak).otherwise(close)
            yield rare.rolling_mean(5).alias("feature_x")

    result = Examination(Rare(), bars=given).result("no_look_ahead")

    assert Examination(Rare()).result("no_look_ahead").status == "passed"
    assert result.status == "failed"


def test_bars_that_break_a_rule_are_refused(make_bars):
    with pytest.raises(BarOrderError, match="out of time order"):
        check_provider(Sound(), bars=make_bars(50).take(list(range(49, -1, -1))))


def test_expected_failure_is_reported_as_such():
    report = check_provider(Impatient(), expected_failures={"warm_up": "issue 12"})

    assert report.result("warm_up").status == "expected"
    assert report.result("warm_up").detail.startswith("issue 12\n")
    assert report.passed


def test_expected_failure_that_passes_is_a_failure():
    report = check_provider(Sound(), expected_failures={"warm_up": "issue 12"})

    assert report.result("warm_up").status == "failed"
    assert "take it off expected_failures" in report.result("warm_up").detail
    assert not report.passed


def test_skipped_checks_never_make_a_report_pass():
    report = check_provider(NoVersion(), expected_failures={"declaration": "later"})

    assert report.result("declaration").status == "expected"
    assert not report.passed


def test_one_check_alone():
    report = check_provider(Impatient(), only="no_look_ahead")

    assert [one.check for one in report.results] == ["no_look_ahead"]
    assert report.passed
    assert not check_provider(Impatient(), only=["no_look_ahead", "warm_up"]).passed


@pytest.mark.parametrize(("only", "text"), [("warmup", "unknown check"), ([], "names no check")])
def test_only_names_checks(only, text):
    with pytest.raises(ValueError, match=rf"'only'.*{text}"):
        check_provider(Sound(), only=only)


def test_checks_are_announced():
    seen = []

    check_provider(Sound(), only=["prefix", "declaration"], on_check=seen.append)

    assert seen == ["declaration", "prefix"]


def test_broken_declaration_is_told_once():
    lines = str(check_provider(NoVersion())).splitlines()

    assert "'version': got ''" in lines[2]
    assert [line for line in lines if "skipped" in line] == [
        "  skipped   15 checks                   not run: the declaration is broken",
        "does not conform: 1 of 16 checks ran; 1 failed, 15 skipped",
    ]


def test_unknown_check_is_refused():
    with pytest.raises(ValueError, match=r"1 unknown check.*\n- 'warmup'"):
        check_provider(Sound(), expected_failures={"warmup": "a typo"})


@pytest.mark.slow
def test_report_repeats_for_a_seed():
    assert check_provider(PeekingLegacy(), seed=3) == check_provider(PeekingLegacy(), seed=3)
