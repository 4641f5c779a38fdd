"""Answers whose bytes are made before they are asked for.

A prepared response keeps nothing of a request, so the same object is the response to many at once.
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
# RFC 9110 section 5.5; aiohttp refuses the same, but is not asked here.
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

SERVER = "authgw"  # how every answer names what sent it (RFC 9110 section 10.2.4)

Headers = tuple[tuple[str, str], ...]


class PreparedResponse(RawResponse):
    """A whole answer to a GET over a kept HTTP/1.1 connection; see `fits`.

    If `own` are given, headers that no other answer has, what is made of the rest is remembered.

    Raises:
        ValueError: a header would end early, or begin another one.
    """

    def __init__(
        self, status: int, headers: Headers, body: bytes = b"", *, own: Headers = ()
    ) -> None:
        super().__init__(status=status, headers=CIMultiDict((*headers, *own)))
        shared = (
            _shared(status, headers, len(body)) if own else _beginning(status, headers, len(body))
        )
        self._head = shared + _lines(own)
        self._block = body

    def block(self) -> bytes:
        """All of it, as it is sent now."""
        return self._head + _DATE.line() + self._block

    def plain(self) -> web.Response:
        """The same answer as aiohttp sends it, for one request only."""
        return web.Response(status=self.status, headers=self.headers, body=self._block)


def fits(request: web.BaseRequest) -> bool:
    """Whether a prepared answer is right as it is for this request."""
    return request.method == "GET" and request.version == HttpVersion11 and request.keep_alive


def answer(
    request: web.BaseRequest, status: int, headers: Headers, own: Headers
) -> web.StreamResponse:
    """An answer without a body, by the shortest way that is right for this request.

    `own` are headers that no other answer has.
    """
    if fits(request):
        return PreparedResponse(status, headers, own=own)
    return web.Response(status=status, headers=CIMultiDict((*headers, *own)))


def _beginning(status: int, headers: Headers, length: int) -> bytes:
    """Status line and headers, and the length of the body."""
    said = _lines((*headers, (hdrs.CONTENT_LENGTH, str(length)), (hdrs.SERVER, SERVER)))
    return _status_line(status) + said


# Of headers that many answers have.
_shared = lru_cache(MAX_PREPARED_HEADS)(_beginning)


@cache
def _status_line(status: int) -> bytes:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()


def _lines(headers: Headers) -> bytes:
    """Headers as they are sent; what is not ASCII is UTF-8.

    Raises:
        ValueError: a name is none, or a value holds a control character.
    """
    for name, value in headers:
        if not _is_name(name) or not (value.isprintable() or _FORBIDDEN.search(value) is None):
            raise ValueError(f"{name!r} cannot be sent as a header")
    return "".join([f"{name}: {value}\r\n" for name, value in headers]).encode("utf-8", "ignore")


@lru_cache(MAX_PREPARED_NAMES)
def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


class _Date:
    """The last line of a head: a server with a clock sends Date (RFC 9110 section 6.6.1)."""

    def __init__(self) -> None:
        self._at = 0
        self._line = b""

    def line(self) -> bytes:
        now = int(time.time())
        if now != self._at:
            self._at, self._line = now, f"Date: {formatdate(now, usegmt=True)}\r\n\r\n".encode()
        return self._line


_DATE = _Date()
