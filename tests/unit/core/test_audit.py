"""Audit events."""

from authgw.core.audit import AuditRecorder, Event, Target, account_fields


def test_a_recorder_receives_events() -> None:
    events: list[Event] = []
    record: AuditRecorder = events.append
    record(Event("logout", "r1", "192.0.2.1", sub="alice", sid="s"))
    assert events == [Event("logout", "r1", "192.0.2.1", "alice", "s")]
    assert (events[0].reason, events[0].detail, events[0].authorization) == ("", "", "")


def test_a_repeated_event_differs_in_the_id_of_its_request() -> None:
    event = Event("deny", "r1", "192.0.2.1", reason="token_missing", cause="c", more=(("a", 1),))
    assert event.repeated("r2") == event._replace(request_id="r2")


def test_the_deprecated_detail_of_a_check_begins_with_status_and_target() -> None:
    target, sentence = Target("GET", "a.test", "/x"), "no rule"
    for event, detail in [
        (Event("allow", sentence="", target=target, status=200), "GET a.test/x"),
        (Event("deny", sentence=sentence, target=target, status=403), "403 GET a.test/x: no rule"),
        (Event("deny", sentence=sentence, status=403), "no rule"),
        (Event("deny", sentence=sentence, target=target), "no rule"),
    ]:
        assert event.detail == detail


def test_an_account_is_named_without_empty_values() -> None:
    assert account_fields("company", "7") == (
        ("authgw.provider", "company"),
        ("authgw.account", "7"),
    )
    assert account_fields("company") == (("authgw.provider", "company"),)
    assert account_fields("") == ()
