"""Audit events."""

from authgw.core.audit import AuditRecorder, Event


def test_a_recorder_receives_events() -> None:
    events: list[Event] = []
    record: AuditRecorder = events.append
    record(Event("logout", "r1", "192.0.2.1", sub="alice", sid="s"))
    assert events == [Event("logout", "r1", "192.0.2.1", "alice", "s")]
    assert (events[0].reason, events[0].detail, events[0].authorization) == ("", "", "")
