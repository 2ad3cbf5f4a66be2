from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rangebar_enrich.clickhouse.dedup import content_token
from rangebar_enrich.clickhouse.stamps import with_constants

VALUES = st.lists(st.one_of(st.none(), st.floats(width=64)), min_size=1, max_size=20)


def table(values, name="x") -> pa.Table:
    return pa.table({name: pa.array(values, pa.float64())})


@given(VALUES, st.data())
def test_token_ignores_chunks_and_slices(values, data):
    whole = table(values)
    cut = data.draw(st.integers(0, len(values)))
    parts = pa.concat_tables([whole.slice(0, cut), whole.slice(cut)])
    padded = table([1.5, None, *values, 2.5]).slice(2, len(values))
    expected = content_token(whole, "t")
    assert content_token(parts, "t") == expected
    assert content_token(padded, "t") == expected


@given(VALUES, st.data())
def test_token_knows_every_value(values, data):
    row = data.draw(st.integers(0, len(values) - 1))
    other = data.draw(st.one_of(st.none(), st.floats(width=64)))
    changed = [*values[:row], other, *values[row + 1 :]]
    same = _bits(values) == _bits(changed)
    assert (content_token(table(values), "t") == content_token(table(changed), "t")) == same


def _bits(values) -> list[bytes | None]:
    return [None if value is None else np.float64(value).tobytes() for value in values]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(table([1.0, None], name="y"), id="name"),
        pytest.param(pa.table({"x": pa.array([1.0, None], pa.float32())}), id="type"),
        pytest.param(table([1.0, 0.0]), id="null-is-not-zero"),
        pytest.param(table([1.0, float("nan")]), id="null-is-not-nan"),
        pytest.param(table([1.0]), id="length"),
        pytest.param(table([None, 1.0]), id="order"),
    ],
)
def test_token_knows_names_types_and_nulls(other):
    assert content_token(table([1.0, None]), "t") != content_token(other, "t")


def test_token_knows_its_table():
    assert content_token(table([1.0]), "a") != content_token(table([1.0]), "b")


def test_token_knows_zero_signs():
    assert content_token(table([0.0]), "t") != content_token(table([-0.0]), "t")


def test_token_decodes_dictionaries():
    plain = pa.table({"s": ["a", "b", "a", None]})
    encoded = pa.table({"s": pa.array(["a", "b", "a", None]).dictionary_encode()})
    assert content_token(plain, "t") == content_token(encoded, "t")


@pytest.mark.parametrize("first", ["a", "b"])
def test_token_of_text_knows_where_values_end(first):
    one, two = pa.table({"s": ["ab", "c"]}), pa.table({"s": [first, "bc"]})
    assert content_token(one, "t") != content_token(two, "t")


def test_token_knows_constants():
    tokens = {
        content_token(with_constants(table([1.0, 2.0]), {"c": pa.scalar(value)}), "t")
        for value in ("a", "b", 1, 2)
    }
    assert len(tokens) == 4
