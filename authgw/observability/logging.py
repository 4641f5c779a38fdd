"""Log output as text or JSON: an event per line, without secrets.

Events of requests are rendered here and written once in a turn of the event loop; all other lines
pass through loguru. The order of lines is that of the events.
"""

import atexit
import logging
import sys
from operator import attrgetter
from typing import TYPE_CHECKING, TextIO

from loguru import logger

from authgw.core.audit import Event
from authgw.core.reasons import REASONS
from authgw.observability.line_buffer import LineBuffer
from authgw.observability.lines import (
    json_line,
    json_now,
    json_time,
    text_line,
    text_now,
    text_time,
)

if TYPE_CHECKING:
    from loguru import Message

_LEVELS = {
    "allow": "INFO",
    "login": "INFO",
    "login_failure": "WARNING",
    "logout": "INFO",
    "loop": "WARNING",
    "revoke": "INFO",
    "refresh_reuse": "WARNING",
}
_NUMBERS = logging.getLevelNamesMapping()
_FIELDS = tuple(name for name in Event.__dataclass_fields__ if name != "name")
_values = attrgetter(*_FIELDS)


class _Output:
    """Form, lowest level and stream of the log."""

    def __init__(self) -> None:
        self.configure("text", "info", sys.stderr)
        atexit.register(lambda: self.lines.flush())

    def configure(self, mode: str, level: str, stream: TextIO) -> None:
        is_json = mode == "json"
        self._render = json_line if is_json else text_line
        self._now = json_now if is_json else text_now
        self._time = json_time if is_json else text_time
        self._lowest = _NUMBERS[level.upper()]
        self.lines = LineBuffer(stream)

    def record(self, event: Event) -> None:
        level = _level(event)
        if _NUMBERS[level] < self._lowest:
            return
        fields = {"event": event.name}
        for name, value in zip(_FIELDS, _values(event), strict=True):
            if value:
                fields[name] = value
        # An error may be the last line of this process.
        write = self.lines.write if level == "ERROR" else self.lines.add
        write(self._render(self._now(), level, event.name, fields))

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


def _level(event: Event) -> str:
    if event.name == "failure":
        return "ERROR"
    if event.name == "deny":
        return "WARNING" if event.reason and REASONS[event.reason].misconfiguration else "INFO"
    return _LEVELS[event.name]


class _Intercept(logging.Handler):
    """Forwards log records of libraries; of an exception only the type: it may quote a client."""

    def emit(self, entry: logging.LogRecord) -> None:
        kind = entry.exc_info[0] if entry.exc_info else None
        text = entry.msg if isinstance(entry.msg, str) else type(entry.msg).__name__
        name = f" ({kind.__name__})" if kind else ""
        # Without the arguments: they may contain input from a client.
        logger.bind(library=entry.name).log(entry.levelname, f"{text}{name}")
