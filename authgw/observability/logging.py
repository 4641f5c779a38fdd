"""Log output as text or JSON: an event per line, without secrets.

Events of requests are rendered here and written once in a turn of the event loop; all other lines
pass through loguru. The order of lines is that of the events.
"""

import atexit
import logging
import sys
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, TextIO

from loguru import logger

from authgw.core.audit import Event
from authgw.core.limits import MAX_LOG_WRITE_LENGTH, MAX_LOGGED_LENGTH
from authgw.core.log_events import AUDIT_EVENTS
from authgw.core.reasons import REASONS
from authgw.observability.line_buffer import LineBuffer
from authgw.observability.lines import (
    Render,
    json_line,
    json_now,
    json_time,
    text_line,
    text_now,
    text_time,
)
from authgw.observability.repeated_lines import RepeatedLines

if TYPE_CHECKING:
    from loguru import Message

_NUMBERS = logging.getLevelNamesMapping()
_LEVELS = {name: event.level.upper() for name, event in AUDIT_EVENTS.items()}
_STATUSES = {code: reason.status for code, reason in REASONS.items()}


# Renders a line, the present time and a given time.
_FORMS: dict[str, tuple[Render, Callable[[], str], Callable[[datetime], str]]] = {
    "text": (text_line, text_now, text_time),
    "json": (json_line, json_now, json_time),
}


class _Output:
    """Form, lowest level and stream of the log."""

    def __init__(self) -> None:
        self.configure("text", "info", sys.stderr)
        atexit.register(lambda: self.lines.flush())

    def configure(self, mode: str, level: str, stream: TextIO) -> None:
        self._render, self._now, self._time = _FORMS[mode]
        self._lowest = _NUMBERS[level.upper()]
        self._events = RepeatedLines(lambda event, time: event_line(self._render, event, time))
        self.lines = LineBuffer(stream)

    def record(self, event: Event) -> None:
        level = _level(event)
        if _NUMBERS[level] < self._lowest:
            return
        # An error may be the last line of this process.
        write = self.lines.write if level == "ERROR" else self.lines.add
        write(self._events.line(event, self._now()))

    def write(self, message: "Message") -> None:
        """Write a line of loguru's."""
        entry = message.record
        time, level = self._time(entry["time"]), entry["level"].name
        self.lines.write(self._render(time, level, entry["message"], entry["extra"]))


_OUTPUT = _Output()


def set_up(mode: str, level: str, stream: TextIO = sys.stderr) -> None:
    """Write log lines of at least `level` to `stream`; `mode` is `text` or `json`."""
    _OUTPUT.configure(mode, level, stream)
    logger.remove()
    logger.add(
        _OUTPUT.write, level=level.upper(), format="{message}", backtrace=False, diagnose=False
    )
    logging.basicConfig(handlers=[_Intercept()], level=logging.WARNING, force=True)


def record(event: Event) -> None:
    """Log an audit event with its fields that are not empty."""
    _OUTPUT.record(event)


def command_line(event: Event, mode: str) -> str:
    """Return the present line of an event outside of the service, as the service would log it."""
    render, now, _ = _FORMS[mode]
    return event_line(render, event, now())


def event_line(render: Render, event: Event, time: str) -> str:
    """Return the line of an event; the values of a long line are cut to MAX_LOGGED_LENGTH."""
    level, message, fields = _level(event), message_of(event), fields_of(event)
    line = render(time, level, message, fields)
    if len(line) <= MAX_LOG_WRITE_LENGTH:
        return line
    cut = {name: _cut(text) if isinstance(text, str) else text for name, text in fields.items()}
    return render(time, level, _cut(message), cut)


def message_of(event: Event) -> str:
    """Return the sentence of an event for people."""
    kind = AUDIT_EVENTS[event.name].message
    return f"{kind}: {event.sentence}" if event.sentence else kind


def fields_of(event: Event) -> dict[str, str | int]:
    """Return the fields of an event that are not empty."""
    # Not formatted: a line for each field would be longer than the statements below.
    # fmt: off
    (name, number, address, sub, sid, reason, _, authorization, (method, host, path), status,
     rule, credential, cause, more) = event
    # fmt: on
    fields: dict[str, str | int] = {"event": name}
    # Statements instead of a table, which takes twice the time: each line passes here.
    if number:
        fields["http.request.id"] = number
    if address:
        fields["client.address"] = address
    if method:
        fields["http.request.method"] = method
    if host:
        fields["server.address"] = host
    if path:
        fields["url.path"] = path
    if status or reason:
        fields["http.response.status_code"] = status or _STATUSES[reason]
    if sub:
        fields["user.name"] = sub
    if sid:
        fields["authgw.sid"] = sid
    if reason:
        fields["authgw.reason"] = reason
    if cause:
        fields["authgw.cause"] = cause
    if rule:
        fields["authgw.rule"] = rule
    if credential:
        fields["authgw.credential"] = credential
    if authorization:
        fields["authgw.authorization"] = authorization
    if more:
        fields.update(more)
    if detail := event.detail:
        fields["detail"] = detail
    return fields


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LOGGED_LENGTH else f"{text[: MAX_LOGGED_LENGTH - 3]}..."


def _level(event: Event) -> str:
    if event.name == "deny" and event.reason and REASONS[event.reason].misconfiguration:
        return "WARNING"
    return _LEVELS[event.name]


class _Intercept(logging.Handler):
    """Forwards log records of libraries; of an exception only the type: it may quote a client."""

    def emit(self, entry: logging.LogRecord) -> None:
        kind = entry.exc_info[0] if entry.exc_info else None
        text = entry.msg if isinstance(entry.msg, str) else type(entry.msg).__name__
        name = f" ({kind.__name__})" if kind else ""
        # Without the arguments: they may contain input from a client.
        logger.bind(event="library", library=entry.name).log(entry.levelname, f"{text}{name}")
