from __future__ import annotations

import pyarrow as pa
import pytest

from rangebar_enrich.demo.trades import TRADE_SCHEMA, iter_checked_trades, name_trade_columns
from rangebar_enrich.errors import TradesError


def trades(**changes):
    columns = {
        "agg_trade_id": [1, 2, 3],
        "price": [10.0, 10.1, 10.2],
        "quantity": [1.0, 2.0, 3.0],
        "first_trade_id": [1, 2, 3],
        "last_trade_id": [1, 2, 3],
        "timestamp": [1_570_752_011_620, 1_570_752_011_620, 1_570_752_017_964],
        "is_buyer_maker": [True, False, True],
    }
    columns |= changes
    return pa.record_batch({name: values for name, values in columns.items() if values})


def check(*batches):
    return pa.Table.from_batches(iter_checked_trades(batches), schema=TRADE_SCHEMA)


def test_checked_trades_pass_ours_through_untouched():
    batch = trades().cast(TRADE_SCHEMA)
    (actual,) = iter_checked_trades([batch])
    assert actual is batch


@pytest.mark.parametrize(
    "names",
    [
        list("apqflTmM"),
        [
            "aggTradeId",
            "Price",
            "Qty",
            "firstTradeId",
            "lastTradeId",
            "transact_time",
            "isBuyerMaker",
        ],
        [
            "Aggregate tradeId",
            "Price",
            "Quantity",
            "First tradeId",
            "Last tradeId",
            "Timestamp",
            "Was the buyer the maker",
            "Was the trade the best price match",
        ],
    ],
    ids=["api", "camel", "documentation"],
)
def test_trade_columns_understand_binance_spellings(names):
    ours = name_trade_columns(names)
    assert ours == dict(zip(names[:7], TRADE_SCHEMA.names, strict=True))


def test_trade_columns_name_what_is_absent():
    with pytest.raises(
        TradesError, match=r"Trades lack 2 needed column\(s\): quantity, is_buyer_maker"
    ):
        name_trade_columns(["price", "timestamp", "volume"])


def test_trade_columns_refuse_two_of_one_meaning():
    names = ["price", "qty", "quantity", "time", "is_buyer_maker"]
    with pytest.raises(TradesError, match="'quantity': qty, quantity"):
        name_trade_columns(names)


@pytest.mark.parametrize("factor", [1_000, 1_000_000], ids=["us", "ns"])
def test_checked_trades_cut_finer_times_to_ms(factor):
    times = [ms * factor + 7 for ms in (1_570_752_011_620, 1_570_752_011_621, 1_570_752_017_964)]
    actual = check(trades(timestamp=times)).column("timestamp").to_pylist()
    assert actual == [1_570_752_011_620, 1_570_752_011_621, 1_570_752_017_964]


def test_checked_trades_read_timestamp_types():
    times = pa.array([1_570_752_011_620_999] * 3, pa.timestamp("us", "UTC"))
    actual = check(trades(timestamp=times)).column("timestamp").to_pylist()
    assert actual == [1_570_752_011_620] * 3


def test_checked_trades_read_texts_and_numbers():
    batch = trades(price=["10.0", "10.1", "10.2"], is_buyer_maker=[1, 0, 1])
    assert check(batch) == check(trades())


def test_checked_trades_number_absent_ids_across_batches():
    batch = trades(agg_trade_id=None, first_trade_id=None, last_trade_id=None)
    later = trades(
        agg_trade_id=None,
        first_trade_id=None,
        last_trade_id=None,
        timestamp=[1_570_752_017_964] * 3,
    )
    actual = check(batch, later)
    assert actual.column("agg_trade_id").to_pylist() == [1, 2, 3, 4, 5, 6]
    assert actual.column("last_trade_id") == actual.column("agg_trade_id")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"price": [10.0, float("nan"), 1.0]}, r"row 1 .*'price' must be a number above 0"),
        ({"price": [10.0, 10.0, -1.0]}, r"row 2 .*'price'"),
        ({"price": [10.0, None, 10.0]}, r"row 1 .*'price' is null"),
        ({"quantity": [0.0, 1.0, 1.0]}, r"row 0 .*'quantity'"),
        ({"quantity": [1.0, float("inf"), 1.0]}, r"row 1 .*'quantity'"),
        ({"price": [1e12, 1.0, 1.0]}, r"row 0 .*below 9.2e\+10"),
        ({"timestamp": [1_570_752_011] * 3}, r"row 0 .*seconds are not understood"),
        ({"timestamp": [-5, 1_570_752_011_620, 1_570_752_011_621]}, r"row 0 .*'timestamp'"),
        ({"is_buyer_maker": [True, None, True]}, r"row 1 .*'is_buyer_maker' is null"),
        ({"price": ["10", "ten", "1"]}, r"'price' of type string is no double"),
    ],
    ids=[
        "nan", "negative", "null", "zero", "infinite", "overflow", "seconds", "before-1970",
        "no-side", "text",
    ],
)  # fmt: skip
def test_checked_trades_refuse_the_first_bad_row(change, match):
    with pytest.raises(TradesError, match=match):
        check(trades(**change))


def test_checked_trades_refuse_disorder_between_batches():
    with pytest.raises(TradesError, match=r"row 3 .*out of time order"):
        check(trades(), trades())


def test_checked_trades_skip_empty_batches():
    assert check(trades()[:0], trades()).num_rows == 3
