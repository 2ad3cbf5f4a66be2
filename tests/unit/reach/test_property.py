from __future__ import annotations

from corpus import brute
from corpus.trees import expressions
from hypothesis import HealthCheck, given, settings

from rangebar_enrich.reach import keeps_rows, reach_of

TABLES = brute.tables(16)
SLOW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SLOW
@given(expressions())
def test_a_causal_verdict_stands_when_later_rows_come(expr):
    if reach_of(expr).is_causal:
        assert not brute.leaks(expr, TABLES)


@SLOW
@given(expressions())
def test_past_stands_when_earlier_rows_go(expr):
    past = reach_of(expr).past
    if past < TABLES[0].height:
        assert not brute.needs_more_past(expr, int(past), TABLES)


@SLOW
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


@SLOW
@given(expressions())
def test_keeps_rows_agrees_with_the_length(expr):
    made = brute.column(TABLES[0], expr)
    if keeps_rows(expr) is False and made is not None:
        assert TABLES[0].select(expr).height != TABLES[0].height
