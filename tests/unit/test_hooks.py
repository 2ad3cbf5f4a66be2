from __future__ import annotations

import dataclasses
import json
import pickle
from datetime import UTC, datetime

import pytest

import rangebar_enrich as rbe
from rangebar_enrich.hooks import emit_hook

FAILED, COMPLETE = rbe.HookEvent.PLUGIN_ENRICH_FAILED, rbe.HookEvent.PLUGIN_ENRICH_COMPLETE


def test_payload_has_the_fields_of_the_older_pipeline():
    fields = [field.name for field in dataclasses.fields(rbe.HookPayload)]

    assert fields == ["event", "symbol", "timestamp", "details", "is_failure", "trace_id"]


def test_payload_cannot_be_changed(events):
    details = {"a": 1}
    emit_hook(COMPLETE, "XRPETH", **details)

    payload = events[0]
    with pytest.raises(dataclasses.FrozenInstanceError, match=r"cannot assign to field"):
        payload.symbol = "other"
    with pytest.raises(TypeError, match=r"does not support item assignment"):
        payload.details["a"] = 2


def test_payload_tells_what_happened(events):
    before = datetime.now(UTC)
    emit_hook(FAILED, None, trace_id="t", error="why")

    payload = events[0]
    assert (payload.event, payload.symbol, payload.trace_id) == (FAILED, "", "t")
    assert payload.is_failure
    assert dict(payload.details) == {"error": "why"}
    assert before <= payload.timestamp <= datetime.now(UTC)


def test_payload_to_dict_and_json(events):
    emit_hook(COMPLETE, "XRPETH", trace_id="t", bar_count=3, when=datetime(2024, 1, 1, tzinfo=UTC))

    made = events[0].to_dict()
    assert made == {
        "event": "plugin_enrich_complete",
        "symbol": "XRPETH",
        "timestamp": events[0].timestamp.isoformat(),
        "details": {"bar_count": 3, "when": datetime(2024, 1, 1, tzinfo=UTC)},
        "is_failure": False,
        "trace_id": "t",
    }
    made["details"]["bar_count"] = 9
    assert events[0].details["bar_count"] == 3
    expected = {
        **events[0].to_dict(),
        "details": {"bar_count": 3, "when": "2024-01-01 00:00:00+00:00"},
    }
    assert json.loads(events[0].to_json()) == expected


def test_payload_pickles(events):
    emit_hook(COMPLETE, "XRPETH", bar_count=3)

    assert pickle.loads(pickle.dumps(events[0])) == events[0]  # noqa: S301 - our own bytes


def test_callbacks_run_in_order_of_registration():
    calls = []
    rbe.register_hook(COMPLETE, lambda _: calls.append("first"))
    rbe.register_hook(FAILED, lambda _: calls.append("other event"))
    rbe.register_hook(COMPLETE, lambda _: calls.append("second"))

    emit_hook(COMPLETE, "A")

    assert calls == ["first", "second"]


def test_callback_that_raises_stops_nothing(bars, momentum, caplog):
    calls = []

    def explode(_):
        msg = "callback is broken"
        raise ValueError(msg)

    rbe.register_hook(COMPLETE, explode)
    rbe.register_hook(COMPLETE, calls.append)

    enriched = rbe.enrich_bars(bars, providers=[momentum])

    assert enriched.num_columns == bars.num_columns + 2
    assert len(calls) == 1
    assert "failed at plugin_enrich_complete" in caplog.text
    assert "callback is broken" in caplog.text


def test_unregistered_callback_is_not_called():
    calls = []
    rbe.register_hook(COMPLETE, calls.append)

    assert rbe.unregister_hook(COMPLETE, calls.append) is True
    assert rbe.unregister_hook(COMPLETE, calls.append) is False
    emit_hook(COMPLETE, "A")

    assert calls == []


def test_clear_forgets_one_event_or_all():
    calls = []
    for event in rbe.HookEvent:
        rbe.register_hook(event, lambda payload: calls.append(payload.event))

    rbe.clear_hooks(COMPLETE)
    emit_hook(COMPLETE, "A")
    emit_hook(FAILED, "A")
    rbe.clear_hooks()
    emit_hook(FAILED, "A")

    assert calls == [FAILED]


def test_register_for_failures_hears_every_failure_and_nothing_else():
    calls = []
    rbe.register_for_failures(lambda payload: calls.append(payload.event))

    for event in rbe.HookEvent:
        emit_hook(event, "A")

    assert calls == [FAILED, rbe.HookEvent.CACHE_WRITE_FAILED]


def test_callback_may_unregister_itself():
    calls = []

    def once(payload):
        calls.append(payload)
        rbe.unregister_hook(COMPLETE, once)

    rbe.register_hook(COMPLETE, once)
    rbe.register_hook(COMPLETE, calls.append)
    emit_hook(COMPLETE, "A")
    emit_hook(COMPLETE, "A")

    assert len(calls) == 3


def test_interrupt_in_a_callback_is_not_swallowed():
    def stop(_):
        raise KeyboardInterrupt

    rbe.register_hook(COMPLETE, stop)

    with pytest.raises(KeyboardInterrupt):
        emit_hook(COMPLETE, "A")
