"""Log output by loguru, as text or JSON: an event per line, without secrets."""

import json
import logging
import sys
from datetime import UTC
from typing import TYPE_CHECKING, TextIO

from loguru import logger

from authgw.core.audit import Event
from authgw.core.reasons import REASONS

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


def set_up(mode: str, level: str, stream: TextIO = sys.stderr) -> None:
    """Write log lines of at least `level` to `stream`; `mode` is `text` or `json`."""
    logger.remove()
    render = _json if mode == "json" else _text
    logger.add(
        lambda message: _write(stream, render(message)),
        level=level.upper(),
        format="{message}",
        backtrace=False,
        diagnose=False,
    )
    logging.basicConfig(handlers=[_Intercept()], level=logging.WARNING, force=True)


def record(event: Event) -> None:
    """Log an audit event with its fields that are not empty."""
    fields = {name: getattr(event, name) for name in Event.__dataclass_fields__}
    present = {name: value for name, value in fields.items() if value and name != "name"}
    logger.bind(event=event.name, **present).log(_level(event), event.name)


def _level(event: Event) -> str:
    if event.name == "failure":
        return "ERROR"
    if event.name == "deny":
        return "WARNING" if event.reason and REASONS[event.reason].misconfiguration else "INFO"
    return _LEVELS[event.name]


def _write(stream: TextIO, line: str) -> None:
    stream.write(line + "\n")
    stream.flush()


def _json(message: "Message") -> str:
    entry = message.record
    fields = {
        "time": entry["time"].astimezone(UTC).isoformat(timespec="milliseconds"),
        "level": entry["level"].name.lower(),
        "message": entry["message"],
        **entry["extra"],
    }
    return json.dumps(fields)


def _text(message: "Message") -> str:
    entry = message.record
    time = entry["time"].strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    fields = [
        f"{name}={_quoted(str(value))}" for name, value in entry["extra"].items() if name != "event"
    ]
    text = entry["message"] if entry["message"].isprintable() else _quoted(entry["message"])
    return " ".join([time, f"{entry['level'].name:<7}", text, *fields])


def _quoted(value: str) -> str:
    # A line break or an escape sequence from a client must not forge a line.
    plain = value.isprintable() and not any(char in value for char in ' "=')
    return value if plain else json.dumps(value)


class _Intercept(logging.Handler):
    """Forwards log records of libraries; of an exception only the type: it may quote a client."""

    def emit(self, entry: logging.LogRecord) -> None:
        kind = entry.exc_info[0] if entry.exc_info else None
        text = entry.msg if isinstance(entry.msg, str) else type(entry.msg).__name__
        name = f" ({kind.__name__})" if kind else ""
        # Without the arguments: they may contain input from a client.
        logger.bind(library=entry.name).log(entry.levelname, f"{text}{name}")
