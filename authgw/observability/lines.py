"""Forms of a log line: text or JSON, always a single line."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _quote
from time import time_ns

# Arguments: time, level, message, fields.
Render = Callable[[str, str, str, Mapping[str, object]], str]
_MILLISECOND = 1_000_000  # nanoseconds


def text_line(time: str, level: str, message: str, fields: Mapping[str, object]) -> str:
    """Return a line of text: time, level, message, then `name=value` of each field."""
    # A line break or an escape sequence from a client must not forge a line. The tests are inline,
    # since a function for each value takes as long as the rest.
    texts = [
        f"{name}={text}"
        if (text := value if type(value) is str else str(value)).isprintable()
        and " " not in text
        and '"' not in text
        and "=" not in text
        else f"{name}={_quote(text)}"
        for name, value in fields.items()
    ]
    sentence = message if message.isprintable() else _quote(message)
    return " ".join([time, f"{level:<7}", sentence, *texts])


def json_line(time: str, level: str, message: str, fields: Mapping[str, object]) -> str:
    """Return a JSON object of ASCII characters.

    Names of fields are our own and need no escapes. Quoting value by value takes half the time of
    an encoder for any object.
    """
    texts = [
        f', "{name}": {_quote(value) if type(value) is str else _value(value)}'
        for name, value in fields.items()
    ]
    head = f'{{"time": "{time}", "level": "{level.lower()}", "message": {_quote(message)}'
    return f"{head}{''.join(texts)}}}"


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


def _value(value: object) -> str:
    return str(value) if type(value) is int else json.dumps(value)
