"""Every use of aiohttp that its documentation does not cover, as of aiohttp 3.14.

Any release may change what is used here, so pyproject.toml limits the version, and
tests/unit/web/test_aiohttp_internals.py has a test for each use. All other modules import only
documented modules and names of aiohttp.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from aiohttp import EMPTY_PAYLOAD, HttpVersion, StreamReader, http_parser, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.web_protocol import _ErrInfo
from multidict import CIMultiDictProxy

NO_BODY = EMPTY_PAYLOAD  # the body of each request that has no body; it is always at its end

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class RequestHead(NamedTuple):
    """The head of a request as aiohttp's parser read it; `body` is filled while bytes arrive.

    `should_close`: the response is the last on its connection. `upgrade`: the parser takes the
    bytes after the request for another protocol.
    """

    version: HttpVersion
    headers: CIMultiDictProxy[str]
    should_close: bool
    upgrade: bool
    chunked: bool
    body: StreamReader


class HttpConnection(web.RequestHandler):
    """A connection of aiohttp's, whose parser and responses a subclass controls.

    aiohttp documents `web.Server` as a factory of protocols, but not the protocols. Besides the
    methods below, subclasses use these inherited members:

    - `data_received` parses bytes, and is called with no bytes to go on with a paused body
    - `eof_received` closes the connection if it returns false
    - `keep_alive(True)` stops the timer of an idle connection, `keepalive_timeout` is its seconds
    - `max_field_size`, the limit of a header
    - `peername`: the socket's, kept from its first use on
    - `writing_paused`: the client does not read
    - `close()` lets the response under way end, `force_close()` does not
    """

    __slots__ = ()

    def before_response(self, response: web.StreamResponse) -> None:
        """Change the headers of a response before it is written."""

    def after_response(self, response: web.StreamResponse) -> None:
        """Act once a response is written, before aiohttp takes the next request."""

    def error_response(
        self, request: web.BaseRequest, status: int, error: BaseException | None
    ) -> web.StreamResponse:
        """Return the response to a request that cannot be parsed (400), or whose handler failed."""
        raise NotImplementedError

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write a response; aiohttp calls this for each."""
        self.before_response(resp)
        finished = await super().finish_response(request, resp, start_time)
        self.after_response(finished[0])
        return finished

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return `error_response`; aiohttp's own repeats bytes of the request, and logs them.

        Raises:
            ConnectionError: bytes of another response are written already.
        """
        if request.writer.output_size > 0:
            raise ConnectionError("another response was begun")
        return self.error_response(request, status, exc)

    def parsed_request(self) -> RequestHead | BaseException | None:
        """Return the head that was parsed last, or the parser's error.

        None after its handler was started, which happens later than the call of `data_received`.
        """
        if not self._messages:
            return None
        message, body = self._messages[-1]
        if isinstance(message, _ErrInfo):
            return message.exc
        return RequestHead(
            message.version,
            message.headers,
            message.should_close,
            message.upgrade,
            message.chunked,
            body,
        )

    def close_after_request(self) -> None:
        """Make the response to the request that was parsed last the last on its connection."""
        message, body = self._messages[-1]
        if not isinstance(message, _ErrInfo):
            self._messages[-1] = (message._replace(should_close=True), body)

    def refuse_request(self, reason: str) -> None:
        """Replace the request that was parsed last by an error of the parser."""
        self._messages[-1] = (_ErrInfo(400, BadHttpMessage(reason), ""), EMPTY_PAYLOAD)

    def pause_receiving(self) -> None:
        """Read no more from the socket; unlike `pause_reading`, parsing goes on."""
        self._pause_transport_reading()

    def resume_receiving(self) -> None:
        """Read from the socket again."""
        self._resume_transport_reading()

    def take_transport(self) -> asyncio.Transport | None:
        """Return the transport, if it is still open, and keep aiohttp from closing it."""
        transport, self.transport = self.transport, None
        return transport


def on_end(body: StreamReader, callback: Callable[[], None]) -> None:
    """Call back once a body has its last byte; the parser must not be used in the callback."""
    body.on_eof(callback)


def fail_body(body: StreamReader, error: BaseException) -> None:
    """End a body with an error for its reader; aiohttp lets readers of refused bodies wait."""
    body.set_exception(web.RequestPayloadError(), error)
    body.feed_eof()


class RawResponse(web.StreamResponse):
    """A response that writes its own bytes; aiohttp sends by `prepare` and `write_eof`.

    It keeps nothing of a request, so the same object is the response to many at once.
    """

    def block(self) -> bytes:
        """Return all bytes of the response."""
        raise NotImplementedError

    @property
    def keep_alive(self) -> bool:
        """True: `prepare`, which would set it, is replaced."""
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write the block, and wait while the client does not read.

        Raises:
            ConnectionResetError: the connection is closed.
        """
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        transport.write(self.block())
        if request.protocol.writing_paused:
            await request.writer.drain()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Write nothing: `prepare` has written all bytes."""


class Site(web.BaseSite):
    """A listening server that is made elsewhere; aiohttp's sites accept only `web.Server`."""

    def adopt(self, server: asyncio.Server) -> None:
        """Let `stop` close this server."""
        self._server = server


def wrap_handler(server: web.Server, wrap: Callable[[Handle], Handle]) -> None:
    """Put a handler around the application; its requests are instances of `web.Request`."""
    server.request_handler = wrap(server.request_handler)


def peername(request: web.BaseRequest) -> Any:
    """Return the `peername` of the request's connection."""
    return request.protocol.peername


def is_too_long(error: BaseException | None) -> bool:
    """Return whether the parser's error is a line over `max_line_size` or `max_field_size`."""
    return isinstance(error, LineTooLong)


def parses_in_python() -> bool:
    """Return whether aiohttp uses its parser in Python, which is laxer than llhttp."""
    return http_parser.HttpRequestParser is http_parser.HttpRequestParserPy
