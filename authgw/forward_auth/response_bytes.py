"""Responses that are serialised in advance.

A prepared response is independent of a request, so the same object serves many requests at once.
"""

import re
import time
from email.utils import formatdate
from functools import cache, lru_cache
from http import HTTPStatus

from aiohttp import HttpVersion11, hdrs, web
from multidict import CIMultiDict

from authgw.core.limits import MAX_PREPARED_HEADS, MAX_PREPARED_NAMES
from authgw.web.aiohttp_internals import RawResponse

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# RFC 9110 section 5.5; aiohttp refuses the same, but is not used here.
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

SERVER = "authgw"  # the Server header of every response (RFC 9110 section 10.2.4)

Headers = tuple[tuple[str, str], ...]


class PreparedResponse(RawResponse):
    """A complete response to a GET on a persistent HTTP/1.1 connection; see `is_preparable`.

    `own` are headers of this response only; with them, the rest of the head is cached.

    Raises:
        ValueError: a header contains a character that would end it.
    """

    def __init__(
        self, status: int, headers: Headers, body: bytes = b"", *, own: Headers = ()
    ) -> None:
        super().__init__(status=status, headers=CIMultiDict((*headers, *own)))
        head = _cached_head if own else _common_head
        self._head = head(status, headers, len(body)) + _lines(own)
        self._content = body

    def block(self) -> bytes:
        """Return all bytes of the response, with the present date."""
        return self._head + _DATE.line() + self._content

    def plain(self) -> web.Response:
        """Return the same response as an object of aiohttp's, for a single request."""
        return web.Response(status=self.status, headers=self.headers, body=self._content)


def is_preparable(request: web.BaseRequest) -> bool:
    """Return True if a prepared response is suitable for this request."""
    return request.method == "GET" and request.version == HttpVersion11 and request.keep_alive


def empty_response(
    request: web.BaseRequest, status: int, headers: Headers, own: Headers
) -> web.StreamResponse:
    """Return a response without a body, prepared if that is suitable for this request.

    `own` are headers of this response only.
    """
    if is_preparable(request):
        return PreparedResponse(status, headers, own=own)
    return web.Response(status=status, headers=CIMultiDict((*headers, *own)))


def _common_head(status: int, headers: Headers, length: int) -> bytes:
    """Return the status line and the headers, with the length of the body."""
    lines = _lines((*headers, (hdrs.CONTENT_LENGTH, str(length)), (hdrs.SERVER, SERVER)))
    return _status_line(status) + lines


# For headers that many responses share.
_cached_head = lru_cache(MAX_PREPARED_HEADS)(_common_head)


@cache
def _status_line(status: int) -> bytes:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()


def _lines(headers: Headers) -> bytes:
    """Serialise headers; characters outside ASCII become UTF-8.

    Raises:
        ValueError: a name is not valid, or a value contains a control character.
    """
    for name, value in headers:
        if not _is_name(name) or not (value.isprintable() or _FORBIDDEN.search(value) is None):
            raise ValueError(f"{name!r} cannot be sent as a header")
    return "".join([f"{name}: {value}\r\n" for name, value in headers]).encode("utf-8", "ignore")


@lru_cache(MAX_PREPARED_NAMES)
def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


class _Date:
    """The last line of a head: the Date header (RFC 9110 section 6.6.1), cached for a second."""

    def __init__(self) -> None:
        self._at = 0
        self._line = b""

    def line(self) -> bytes:
        now = int(time.time())
        if now != self._at:
            self._at, self._line = now, f"Date: {formatdate(now, usegmt=True)}\r\n\r\n".encode()
        return self._line


_DATE = _Date()
