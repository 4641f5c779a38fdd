"""Responses, and their bytes on a connection of HTTP/1.1."""

import re
import time
from email.utils import formatdate
from functools import cache, lru_cache
from http import HTTPStatus
from typing import NamedTuple

from authgw.core.limits import MAX_PREPARED_HEADS, MAX_PREPARED_NAMES

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# RFC 9110 section 5.5.
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

SERVER = "authgw"  # the Server header of every response (RFC 9110 section 10.2.4)
_CLOSE = b"Connection: close\r\n"

Headers = tuple[tuple[str, str], ...]


class Response(NamedTuple):
    """A response to a request; `reason` is the code of a refusal, else empty.

    `own` are headers of this response only: the bytes of all others are cached. `prepared` are
    those bytes, if they are known already.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""
    own: Headers = ()
    reason: str = ""
    prepared: bytes = b""


def head_of(response: Response) -> bytes:
    """Return the head of a response on a persistent connection, without its date.

    Raises:
        ValueError: a header contains a character that would end it.
    """
    head = response.prepared
    if not head:
        common = _cached_head if response.own else _common_head
        head = common(response.status, response.headers, len(response.body))
    return head + header_lines(response.own) if response.own else head


def serialised(response: Response, *, is_head: bool = False, closes: bool = False) -> bytes:
    """Return all bytes of the response, with the present date.

    `is_head`: the request was HEAD, so no body is sent. `closes`: it is the last response on its
    connection (RFC 9112 section 9.6).

    Raises:
        ValueError: a header contains a character that would end it.
    """
    head = head_of(response) + _CLOSE if closes else head_of(response)
    return head + DATE.line() + (b"" if is_head else response.body)


def _common_head(status: int, headers: Headers, length: int) -> bytes:
    """Return the status line and the headers, with the length of the body."""
    lines = header_lines((*headers, ("Content-Length", str(length)), ("Server", SERVER)))
    return _status_line(status) + lines


# For headers that many responses share.
_cached_head = lru_cache(MAX_PREPARED_HEADS)(_common_head)


@cache
def _status_line(status: int) -> bytes:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()


def header_lines(headers: Headers) -> bytes:
    """Return headers as lines; characters outside ASCII become UTF-8.

    Raises:
        ValueError: a name is not valid, or a value contains a control character.
    """
    names, values = zip(*headers, strict=True) if headers else ((), ())
    # Almost all values are printable: they are examined together, and one by one if not.
    if not _are_names(names) or not "".join(values).isprintable():
        for name, value in headers:
            if not _is_name(name) or _FORBIDDEN.search(value):
                raise ValueError(f"{name!r} cannot be sent as a header")
    return "".join([f"{name}: {value}\r\n" for name, value in headers]).encode("utf-8", "ignore")


@lru_cache(MAX_PREPARED_NAMES)
def _are_names(names: tuple[str, ...]) -> bool:
    return all(map(_is_name, names))


@lru_cache(MAX_PREPARED_NAMES)
def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


class _Date:
    """The last line of a head: the Date header (RFC 9110 section 6.6.1), cached for a second."""

    def __init__(self) -> None:
        self._at = 0
        self._line = b""

    def line(self) -> bytes:
        """Return the line and the end of the head."""
        now = int(time.time())
        if now != self._at:
            self._at, self._line = now, f"Date: {formatdate(now, usegmt=True)}\r\n\r\n".encode()
        return self._line


DATE = _Date()
