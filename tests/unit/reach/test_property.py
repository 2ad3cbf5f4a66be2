from __future__ import annotations

from corpus import brute
from corpus.trees import expressions
from corpus.tried import tried
from hypothesis import given

from rangebar_enrich.reach import keeps_rows, reach_of

TABLES = brute.tables(16)


@tried(40, 300)
@given(expressions())
def test_a_causal_verdict_stands_when_later_rows_come(expr):
    if reach_of(expr).is_causal:
        assert not brute.leaks(expr, TABLES)


@tried(40, 300)
@given(expressions())
def test_past_stands_when_earlier_rows_go(expr):
    past = reach_of(expr).past
    if past < TABLES[0].height:
        assert not brute.needs_more_past(expr, int(past), TABLES)


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
    assert not brute.same([before[witness.row]], [after[witness.row]])


@tried(40, 300)
@given(expressions())
def test_keeps_rows_agrees_with_the_length(expr):
    height = brute.height(TABLES[0], expr)
    if keeps_rows(expr) is False and height is not None:
        assert height != TABLES[0].height
