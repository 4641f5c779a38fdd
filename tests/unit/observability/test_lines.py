"""Lines of events, compared with those that loguru and the json module render."""

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from authgw.core.audit import Event
from authgw.core.reasons import REASONS
from authgw.observability import lines
from authgw.observability import logging as observability_logging

if TYPE_CHECKING:
    from loguru import Message

NAMES = ("allow", "deny", "failure", "login", "login_failure", "logout", "loop", "refresh_reuse")
_MICROSECOND = timedelta(microseconds=1)
LEVELS = ("debug", "info", "warning", "error")
_TIME_LENGTHS = {"text": len("2026-01-01 00:00:00.000"), "json": len('{"time": "') + 29}
# Short, so that a special character is often the only reason to quote a value.
_SPECIAL = ' "=\\\n\r\x1b\u2028\x7f{}<>\xe9\ud800\U0001f600a'
_TEXTS = st.one_of(st.text(_SPECIAL, max_size=2), st.text())
_EVENTS = st.builds(
    Event,
    st.sampled_from((*NAMES, "revoke")),
    *[_TEXTS] * 4,
    st.sampled_from(("", *REASONS)),
    *[_TEXTS] * 2,
)


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
    fields = {name: getattr(event, name) for name in Event.__dataclass_fields__}
    present = {name: value for name, value in fields.items() if value and name != "name"}
    logger.bind(event=event.name, **present).log(observability_logging._level(event), event.name)
    return "".join(f"{line}\n" for line in rendered)


def _rendered(message: "Message", mode: str) -> str:
    entry = message.record
    if mode == "json":
        time = entry["time"].astimezone(UTC).isoformat(timespec="milliseconds")
        head = {"time": time, "level": entry["level"].name.lower(), "message": entry["message"]}
        return json.dumps({**head, **entry["extra"]})
    time = entry["time"].strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    pairs = [(name, str(value)) for name, value in entry["extra"].items() if name != "event"]
    fields = [
        f"{name}={value}"
        if value.isprintable() and not set(value) & set(' "=')
        else f"{name}={json.dumps(value)}"
        for name, value in pairs
    ]
    return " ".join([time, f"{entry['level'].name:<7}", entry["message"], *fields])


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


def test_an_event_without_fields_has_none() -> None:
    assert astuple(Event("logout", "", ""))[1:] == ("",) * 7
    assert directly(Event("logout", "", ""), "text", "info").endswith(" INFO    logout\n")
