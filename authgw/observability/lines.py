"""Forms of a log line: text or JSON, always a single line."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from time import time_ns

# Arguments: time, level, message, fields.
Render = Callable[[str, str, str, Mapping[str, object]], str]
_QUOTED = re.compile(r'[ "=]')
_encode = json.JSONEncoder().encode
_MILLISECOND = 1_000_000  # nanoseconds


def text_line(time: str, level: str, message: str, fields: Mapping[str, object]) -> str:
    """Return a line of text; the field `event` is omitted, as it equals the message."""
    texts = [f"{name}={_quoted(str(value))}" for name, value in fields.items() if name != "event"]
    text = message if message.isprintable() else _encode(message)
    return " ".join([time, f"{level:<7}", text, *texts])


def json_line(time: str, level: str, message: str, fields: Mapping[str, object]) -> str:
    """Return a JSON object of ASCII characters."""
    return _encode({"time": time, "level": level.lower(), "message": message, **fields})


def text_time(time: datetime) -> str:
    """Return a time to the millisecond, without its zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def json_time(time: datetime) -> str:
    """Return a time to the millisecond, in UTC."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds")


def text_now() -> str:
    """Return the present local time as `text_time` does."""
    second, millisecond = divmod(time_ns() // _MILLISECOND, 1000)
    return f"{_local_second(second)}.{millisecond:03}"


def json_now() -> str:
    """Return the present time as `json_time` does."""
    second, millisecond = divmod(time_ns() // _MILLISECOND, 1000)
    return f"{_utc_second(second)}.{millisecond:03}+00:00"


@lru_cache(1)
def _local_second(second: int) -> str:
    return f"{datetime.fromtimestamp(second):%Y-%m-%d %H:%M:%S}"


@lru_cache(1)
def _utc_second(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"


def _quoted(value: str) -> str:
    # A line break or an escape sequence from a client must not forge a line.
    return value if value.isprintable() and not _QUOTED.search(value) else _encode(value)
