from __future__ import annotations

import math

import msgpack
import polars as pl
import pytest

from rangebar_enrich._recursion import State, hold
from rangebar_enrich.errors import HistoryError

close, time = pl.col("close"), pl.col("time")
CONTINUATION = hold(
    {"ema": close.ewm_mean(span=3), "sum": close.cum_sum().shift(2), "latest": time.cum_max()}
)
BARS = pl.DataFrame(
    {
        "close": [1.5, None, math.nan, 1e300, math.inf],
        "time": pl.Series(range(5)).cast(pl.Datetime("ns", "UTC")),
    }
)


@pytest.mark.parametrize("rows", [None, 0, 1, 2, 5])
def test_state_bytes_round_trip(rows: int | None) -> None:
    state = CONTINUATION.start()
    if rows is not None:
        state = CONTINUATION.advance(state, BARS.head(rows))[1]
    actual = CONTINUATION.state_from_bytes(state.to_bytes())
    assert actual.to_bytes() == state.to_bytes()
    expected, _ = CONTINUATION.advance(state, BARS)
    assert CONTINUATION.advance(actual, BARS)[0].equals(expected)


def test_state_owns_its_rows() -> None:
    """A state of few rows keeps no large increment alive."""
    many = pl.DataFrame({"close": pl.repeat(2.5, 50_000, eager=True)})
    many = many.with_columns(time=pl.int_range(50_000).cast(pl.Datetime("ns", "UTC")))
    state = CONTINUATION.advance(CONTINUATION.start(), many)[1]
    assert state.context is not None
    first, held = many["close"].to_numpy(), state.context["close"].to_numpy()
    assert not first.ctypes.data <= held.ctypes.data < first.ctypes.data + first.nbytes


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "The bytes are not the state"),
        (b"\x80\x04", "The bytes are not the state"),
        (msgpack.packb({"rows": 1}), r"in format 1: got None"),
        (msgpack.packb([2, b"", 0, None, []]), r"in format 1: got 2"),
        (msgpack.packb([1, b""]), "The bytes are not the state"),
        (msgpack.packb([1, b"", 0, None, [[None, []]]]), "The bytes are not the state"),
        (msgpack.packb([1, b"", 0, b"no frame", []]), "The bytes are not the state"),
    ],
    ids=["empty", "cut", "other", "newer", "short", "level", "frame"],
)
def test_state_from_foreign_bytes(raw: bytes, reason: str) -> None:
    with pytest.raises(HistoryError, match=reason):
        State.from_bytes(raw)
