from __future__ import annotations

from corpus import brute
from corpus.soundness import claims_too_little_past, is_called_causal_and_leaks, some_tables
from corpus.trees import expressions
from corpus.tried import tried
from hypothesis import given

from rangebar_enrich.reach import keeps_rows, reach_of

TABLES = brute.tables(16)


@tried(40, 300)
@given(expressions(), some_tables())
def test_a_causal_verdict_stands_when_later_rows_come(expr, tables):
    assert not is_called_causal_and_leaks(expr, reach_of(expr), tables)


@tried(40, 300)
@given(expressions(), some_tables())
def test_past_stands_when_earlier_rows_go(expr, tables):
    assert not claims_too_little_past(expr, reach_of(expr), tables)


@tried(40, 300)
@given(expressions())
def test_a_witness_can_be_seen_by_anyone(expr):
    witness = reach_of(expr).witness
    if witness is None:
        return
    frames = (witness.other, witness.frame)
    before, after = (brute.column(frame, expr) for frame in frames)
    assert witness.row < witness.cut
    assert witness.frame.head(witness.cut).equals(witness.other.head(witness.cut))
    assert before is not None
    assert after is not None
    assert before[witness.row] != after[witness.row]


@tried(40, 300)
@given(expressions())
def test_keeps_rows_agrees_with_the_length(expr):
    height = brute.height(TABLES[0], expr)
    if keeps_rows(expr) is False and height is not None:
        assert height != TABLES[0].height
