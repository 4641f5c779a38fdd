"""Lines of events, compared with those that loguru and the json module render."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from authgw.core.audit import Event, Target
from authgw.core.limits import MAX_LOGGED_LENGTH
from authgw.core.log_events import AUDIT_EVENTS, FIELDS
from authgw.core.reasons import REASONS
from authgw.observability import lines
from authgw.observability import logging as observability_logging

if TYPE_CHECKING:
    from loguru import Message

_MICROSECOND = timedelta(microseconds=1)
LEVELS = ("debug", "info", "warning", "error")
_TIME_LENGTHS = {"text": len("2026-01-01 00:00:00.000"), "json": len('{"time": "') + 29}
# Short, so that a special character is often the only reason to quote a value.
_SPECIAL = ' "=\\\n\r\x1b\u2028\x7f{}<>\xe9\ud800\U0001f600a'
_TEXTS = st.one_of(st.text(_SPECIAL, max_size=2), st.text())
_EVENTS = st.builds(
    Event,
    st.sampled_from(sorted(AUDIT_EVENTS)),
    *[_TEXTS] * 4,
    st.sampled_from(("", *REASONS)),
    *[_TEXTS] * 2,
    st.builds(Target, _TEXTS, _TEXTS, _TEXTS),
    st.sampled_from((0, 200, 403)),
    *[_TEXTS] * 3,
    st.sampled_from(((), (("authgw.code_age", 90), ("authgw.command", "key add")))),
)


def fields_of(event: Event) -> dict[str, object]:
    """Return the fields of an event by the manual, in their order."""
    status = event.status or (REASONS[event.reason].status if event.reason else 0)
    fields = {
        "event": event.name,
        "http.request.id": event.request_id,
        "client.address": event.address,
        "http.request.method": event.target.method,
        "server.address": event.target.host,
        "url.path": event.target.path,
        "http.response.status_code": status,
        "user.name": event.sub,
        "authgw.sid": event.sid,
        "authgw.reason": event.reason,
        "authgw.cause": event.cause,
        "authgw.rule": event.rule,
        "authgw.credential": event.credential,
        "authgw.authorization": event.authorization,
        **dict(event.more),
        "detail": event.detail,
    }
    return {name: value for name, value in fields.items() if value}


def message_of(event: Event) -> str:
    kind = AUDIT_EVENTS[event.name].message
    return f"{kind}: {event.sentence}" if event.sentence else kind


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    handlers = logging.root.handlers[:]
    yield
    logger.remove()
    logging.root.handlers[:] = handlers


def by_loguru(event: Event, mode: str, level: str) -> str:
    """Return the line of an event that passes through loguru, field by field."""
    rendered: list[str] = []
    logger.remove()
    logger.add(lambda message: rendered.append(_rendered(message, mode)), level=level.upper())
    fields, number = fields_of(event), logger.level(observability_logging._level(event)).no
    logger.bind(**fields).log(logging.getLevelName(number), message_of(event))
    return "".join(f"{line}\n" for line in rendered)


def _rendered(message: "Message", mode: str) -> str:
    entry = message.record
    if mode == "json":
        time = entry["time"].astimezone(UTC).isoformat(timespec="milliseconds")
        head = {"time": time, "level": entry["level"].name.lower(), "message": entry["message"]}
        return json.dumps({**head, **entry["extra"]})
    time = entry["time"].strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    pairs = [(name, str(value)) for name, value in entry["extra"].items()]
    fields = [
        f"{name}={value}"
        if value.isprintable() and not set(value) & set(' "=')
        else f"{name}={json.dumps(value)}"
        for name, value in pairs
    ]
    sentence = entry["message"]
    text = sentence if sentence.isprintable() else json.dumps(sentence)
    return " ".join([time, f"{entry['level'].name:<7}", text, *fields])


def directly(event: Event, mode: str, level: str) -> str:
    stream = io.StringIO()
    observability_logging.set_up(mode, level, stream)
    observability_logging.record(event)
    return stream.getvalue()


@given(_EVENTS, st.sampled_from(("text", "json")), st.sampled_from(LEVELS))
def test_lines_of_events_are_those_of_loguru(event: Event, mode: str, level: str) -> None:
    line, expected = directly(event, mode, level), by_loguru(event, mode, level)
    time = _TIME_LENGTHS[mode]
    assert (line[time:], len(line)) == (expected[time:], len(expected))


@given(st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)))
def test_the_present_time_is_written_as_a_given_time(time: datetime) -> None:
    local = time.astimezone()
    if local.fold:
        return
    # Exact: a float of this size has no microseconds.
    nanoseconds = (local - datetime(1970, 1, 1, tzinfo=UTC)) // _MICROSECOND * 1000 + 999
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "time_ns", lambda: nanoseconds)
        assert lines.text_now() == lines.text_time(local)
        assert lines.json_now() == lines.json_time(local)


def test_an_event_without_fields_has_its_name_only() -> None:
    assert directly(Event("logout"), "text", "info").endswith(" INFO    Logged out event=logout\n")


@given(_EVENTS)
def test_a_json_line_holds_exactly_the_values(event: Event) -> None:
    line = directly(event, "json", "debug")
    assert line.endswith("\n")
    assert line[:-1].isascii()
    assert line[:-1].isprintable()
    entry = json.loads(line, object_pairs_hook=_distinct)
    fields = fields_of(event)
    assert entry == {
        "time": entry["time"],
        "level": observability_logging._level(event).lower(),
        "message": message_of(event),
        **fields,
    }
    assert set(entry) <= set(FIELDS)
    assert entry["message"] != entry["event"]


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


@pytest.mark.parametrize("mode", ["text", "json"])
@pytest.mark.parametrize("char", ["a", "\x00", "\U0001f600"])
def test_a_long_line_has_each_value_cut(mode: str, char: str) -> None:
    text = char * 30_000
    target = Target(text, "a.test", text)
    event = Event("deny", "r", "::1", text, "", "no_rule", text, "", target, 403, text)
    line = directly(event, mode, "info")
    # Six values, each character escaped in at most 12.
    assert len(line) < 7 * MAX_LOGGED_LENGTH * 12
    if mode == "json":
        entry = json.loads(line)
        assert entry["url.path"] == char * (MAX_LOGGED_LENGTH - 3) + "..."
        assert max(len(value) for value in entry.values() if isinstance(value, str)) == (
            MAX_LOGGED_LENGTH
        )
        assert entry["server.address"] == "a.test"


def test_a_line_within_a_pipes_limit_is_whole() -> None:
    path = "/" + "a" * 1500
    target = Target("GET", "a.test", path)
    event = Event("deny", reason="no_rule", sentence="x", target=target, status=403)
    assert json.loads(directly(event, "json", "info"))["url.path"] == path
