from __future__ import annotations

import threading

import polars as pl

from rangebar_enrich._plan.provider import form

CLOSE = pl.col("close")


def test_form_is_that_of_equal_expressions():
    assert form(CLOSE.rolling_mean(5)) == form(CLOSE.rolling_mean(5)) != form(CLOSE)


def test_form_holds_python_functions():
    def one(series):
        return series + 1

    def other(series):
        return series + 2

    assert form(CLOSE.map_batches(one)) == form(CLOSE.map_batches(one)) != b""
    assert form(CLOSE.map_batches(one)) != form(CLOSE.map_batches(other))


def test_form_of_what_cannot_be_serialised_is_none():
    lock = threading.Lock()

    assert form(CLOSE.map_batches(lambda series: series if lock else None)) == b""
