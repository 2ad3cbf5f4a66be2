from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from rangebar_enrich._windows import Job, Layout, Window, rolling

SINGLE = ("sum", "mean", "var", "std", "min", "max", "skew", "kurtosis")
DOUBLE = ("cov", "corr")


def compute(inputs, *windows, starts=None, skips=()):
    """Return the results of windows over one input."""
    inputs = (inputs,) if isinstance(inputs, pl.Series) else tuple(inputs)
    layout = Layout.of([0, len(inputs[0])] if starts is None else starts, skips)
    return rolling([Job(inputs, windows)], layout)[0]


def with_polars(inputs, window):
    """Return what Polars makes of the same window."""
    frame = pl.DataFrame({f"x{place}": one for place, one in enumerate(inputs)})
    options = {"min_samples": window.min_samples}
    if window.kind in DOUBLE:
        options |= {"ddof": window.ddof} if window.kind == "cov" else {}
        function = getattr(pl, f"rolling_{window.kind}")
        expr = function("x0", "x1", window_size=window.size, **options)
    else:
        if window.kind in {"var", "std"}:
            options |= {"ddof": window.ddof}
        if window.kind in {"skew", "kurtosis"}:
            options |= {"bias": window.bias}
        if window.kind == "kurtosis":
            options |= {"fisher": window.fisher}
        expr = getattr(pl.col("x0"), f"rolling_{window.kind}")(window.size, **options)
    return frame.lazy().select(expr).collect(engine="in-memory").to_series()


def bits(series):
    """Return the exact content of a column: which rows are null, and every number's bits."""
    values = series.cast(pl.Float64).fill_null(0.0).to_numpy()
    return series.is_null().to_list(), np.where(np.isnan(values), np.nan, values).view(
        "i8"
    ).tolist()


@pytest.fixture(scope="session")
def walk():
    """A price walk with flat stretches, ties and a burst."""
    rng = np.random.default_rng(7)
    steps = rng.normal(size=4_000) * np.where(np.arange(4_000) % 500 < 60, 0.0, 1.0)
    steps[2_000:2_010] *= 1e6
    return pl.Series(40_000.0 + np.cumsum(steps.round(2)))


def any_window(kind, size, **options):
    return Window(kind, size, options.pop("min_samples", size), **options)
