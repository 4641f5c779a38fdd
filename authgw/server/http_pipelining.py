"""A connection that passes its bytes to aiohttp one request at a time.

aiohttp 3.14 parses ahead of the request that it handles, which loses requests: it never reads on
after 32 requests whose bodies arrived late, drops requests in the same packet as a malformed
request, and discards the bytes after an upgrade request in its packet. So it receives the head of
one request and then exactly its body; all further bytes wait here until the response is written.
They are not parsed, and no more than the bytes of one read are kept: reading is paused.

A request for an upgrade, or with a chunked body, is the last request on its connection.
"""

import asyncio
import math
from typing import Any

from aiohttp import HttpVersion10, HttpVersion11, StreamReader, hdrs, web

from authgw.web.aiohttp_internals import NO_BODY, HttpConnection, RequestHead, fail_body, on_end

_END_OF_HEAD = b"\r\n\r\n"  # no other is read by llhttp
_LINGER = 2.0  # seconds
_VERSIONS = (HttpVersion10, HttpVersion11)
_ASKS_FOR_UPGRADE = (hdrs.UPGRADE, "HTTP2-Settings")


class SequentialConnection(HttpConnection):
    """A connection of aiohttp's that begins a request once the request before it is answered."""

    __slots__ = (
        "_body_left",
        "_closing",
        "_half_closed",
        "_payload",
        "_queued",
        "_response_pending",
        "_window",
        "head_size",
        "is_last",
    )

    def __init__(self, server: web.Server, **settings: Any) -> None:
        super().__init__(server, **settings)
        self.head_size = 0  # bytes of the head that is being read
        self._window = b""  # its last bytes, which may be the first of its end
        self._payload: StreamReader = NO_BODY
        self._body_left: float = 0  # bytes of the body that aiohttp was not given yet
        self._response_pending = False
        self.is_last = False  # no further request is read
        self._queued = b""  # bytes after the request under way
        self._half_closed = False
        self._closing: asyncio.TimerHandle | None = None

    @property
    def has_open_request(self) -> bool:
        """True while a request has no response yet, or its body is incomplete."""
        return self._response_pending or not self._payload.is_eof()

    def data_received(self, data: bytes) -> None:
        """Give aiohttp the bytes of the current request, or of the next request; keep the rest."""
        if not data:
            # aiohttp calls this to go on with a body that it kept.
            super().data_received(data)
        elif self._queued:
            self._queue(data)
        else:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        while data:
            if self._body_left:
                data = self._feed_body(data)
            elif self.is_last:
                return
            elif self.has_open_request:
                self._queue(data)
                return
            else:
                data = self._feed_head(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Cancel the timer that closes the connection."""
        if self._closing is not None:
            self._closing.cancel()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio has it
        """Keep the connection for the responses if the client only sends no more."""
        self._half_closed = True
        return self._response_pending and self._payload.is_eof()

    def after_response(self, response: web.StreamResponse) -> None:
        """Begin the next request, or end the connection after the last."""
        self._response_pending = False
        if not response.keep_alive:
            self.is_last = True
        self.response_written()
        if self.is_last and self._payload.is_eof():
            self._end_responses()
        self._resume()
        if self._half_closed and not (self._response_pending and self._payload.is_eof()):
            self.close()

    def request_started(self) -> None:
        """Called for each request once aiohttp has its head."""

    def response_written(self) -> None:
        """Called for each response that was written."""

    def _feed_head(self, data: bytes) -> bytes:
        """Give aiohttp the bytes up to the end of a head; return the rest.

        No byte of a body is passed with its head: an error in the body would hide the request.
        """
        window = self._window + data
        found = window.find(_END_OF_HEAD)
        cut = len(data) if found < 0 else found + len(_END_OF_HEAD) - len(self._window)
        self._window = window[1 - len(_END_OF_HEAD) :] if found < 0 else b""
        self.head_size += cut
        super().data_received(data[:cut])
        head = self.parsed_request()
        if head is not None:
            self._begin(head)
        return data[cut:]

    def _begin(self, head: RequestHead | BaseException) -> None:
        if isinstance(head, BaseException):
            self.is_last = True
        elif head.version not in _VERSIONS:
            self.is_last = True
            self.refuse_request("the version is neither HTTP/1.0 nor HTTP/1.1")
        else:
            self.is_last = head.should_close or _is_last(head)
            if self.is_last and not head.should_close:
                self.close_after_request()
            self._await_body(head)
        self._response_pending = True
        self.head_size = 0
        self.request_started()

    def _await_body(self, head: RequestHead) -> None:
        self._payload = head.body
        if not head.body.is_eof():
            length = head.headers.get(hdrs.CONTENT_LENGTH, "0")
            self._body_left = math.inf if head.chunked else int(length)
            on_end(head.body, self._resume_soon)

    def _feed_body(self, data: bytes) -> bytes:
        part = data if self._body_left >= len(data) else data[: int(self._body_left)]
        self._body_left -= len(part)
        super().data_received(part)
        if not self._payload.is_eof():
            self._fail_body_if_refused()
        if self._payload.is_eof():
            self._body_left = 0
        return data[len(part) :]

    def _fail_body_if_refused(self) -> None:
        refused = self.parsed_request()
        if isinstance(refused, BaseException):
            fail_body(self._payload, refused)

    def _end_responses(self) -> None:
        """End the responses; bytes that still arrive are read for a while and discarded.

        A connection that is closed with bytes unread is reset, which can take the last responses
        from a client that has not read them (RFC 9112 section 9.6).
        """
        link = self.take_transport()
        if link is not None and not link.is_closing():
            link.resume_reading()
            link.write_eof()
            loop = asyncio.get_running_loop()
            self._closing = loop.call_later(_LINGER, link.close)

    def _queue(self, data: bytes) -> None:
        self._queued += data
        self.pause_receiving()

    def _resume_soon(self) -> None:
        # The parser, which calls this, must not be called meanwhile.
        asyncio.get_running_loop().call_soon(self._resume)

    def _resume(self) -> None:
        """Begin the next request, if the previous request is over."""
        if self.has_open_request or not self._queued:
            return
        held, self._queued = self._queued, b""
        self._feed(held)
        if not self._queued:
            self.resume_receiving()


def _is_last(head: RequestHead) -> bool:
    """Report whether the bytes after this request could be misread.

    Behind an upgrade another protocol may begin (RFC 9110 section 7.8). aiohttp's parser takes the
    last field of a trailer section (RFC 9112 section 7.1.2) for a header of the next request.
    """
    asks = head.upgrade or any(name in head.headers for name in _ASKS_FOR_UPGRADE)
    return head.chunked or asks
