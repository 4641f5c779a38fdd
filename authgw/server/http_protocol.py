"""Limits of connections, and immediate responses to checks that are cached.

aiohttp closes an idle connection 75 s after its last response, even if another request has begun,
and limits the size and number of headers. This module limits the number of connections, the time
until the first request, the size of a request's head, and the time a response may stay unread.

A check in the decision cache gets its response here, at half the cost of a request object and a
task of aiohttp, which never sees such a request; it handles all others.
"""

import asyncio
import resource
import socket
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, cast

from aiohttp import hdrs, web
from loguru import logger

from authgw.core.limits import (
    FIRST_REQUEST_TIMEOUT,
    MAX_CONNECTIONS,
    MAX_HEAD_BYTES,
    RESERVED_DESCRIPTORS,
    UNREAD_RESPONSE_TIMEOUT,
)
from authgw.forward_auth.decision_cache import PATH
from authgw.forward_auth.response_bytes import SERVER
from authgw.server.http_pipelining import SequentialConnection
from authgw.server.http_reader import HeadReader, UnreadableRequestError
from authgw.web.context import peer_name

_WARNING_INTERVAL = 60.0  # seconds
# The first line of a check that only its headers distinguish from other checks.
_CHECK = f"GET {PATH} HTTP/1.1\r\n".encode()

# Returns the cached response to a check, by peer, header names and header values, or None.
CacheLookup = Callable[[str, tuple[bytes, ...], Sequence[bytes]], bytes | None]
# Returns the response to a request that aiohttp could not parse, or whose handler failed.
Refuse = Callable[[web.BaseRequest, int, BaseException | None], web.StreamResponse]


class Connection(SequentialConnection):
    """A connection; it is closed without a first request in time, or with too large a head."""

    __slots__ = (
        "_connections",
        "_deadline",
        "_has_requested",
        "_heads",
        "_idle",
        "_last_response_at",
        "_link",
        "_peer",
        "_responses",
    )

    def __init__(self, connections: "Connections", server: web.Server, **settings: Any) -> None:
        super().__init__(server, **settings)
        self._connections = connections
        self._has_requested = False
        # None after the connection was handed over to aiohttp, which alone finds ends of requests.
        self._heads: HeadReader | None = HeadReader()
        self._responses = 0
        self._last_response_at = 0.0
        self._idle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the connection and start the timeout of its first request."""
        super().connection_made(transport)
        # aiohttp drops its reference while written bytes are still unread.
        self._link = cast(asyncio.Transport, transport)
        # Read now: a closed connection has no peer name.
        self._peer = peer_name(self.peername)
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(FIRST_REQUEST_TIMEOUT, self._expect_request)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Respond to a cached check, or pass the bytes to aiohttp."""
        cached = self._cached_response(data, self._heads) if self._heads and data else None
        if cached is not None:
            self._link.write(cached)
            self._after_cached_response()
            return
        super().data_received(data)
        if self.head_size > MAX_HEAD_BYTES:
            self.end()

    def error_response(
        self, request: web.BaseRequest, status: int, error: BaseException | None
    ) -> web.StreamResponse:
        """Return the refusal of the current gateway."""
        return self._connections.refuse(request, status, error)

    def before_response(self, response: web.StreamResponse) -> None:
        """Set the Server header; aiohttp would name itself and Python with their versions."""
        response.headers[hdrs.SERVER] = SERVER

    def connection_lost(self, exc: BaseException | None) -> None:
        """Remove the connection and its timers."""
        self._deadline.cancel()
        if self._idle is not None:
            self._idle.cancel()
        self._connections.remove(self)
        super().connection_lost(exc)

    def request_started(self) -> None:
        """Register that aiohttp has the head of another request."""
        self._has_requested = True
        self._connections.mark_active(self)
        if self.is_last:
            self._heads = None

    def response_written(self) -> None:
        """Register that aiohttp has written another response."""
        self._responses += 1
        self._last_response_at = asyncio.get_running_loop().time()
        if self.is_last:
            self._heads = None

    def end(self) -> None:
        """Close the connection immediately, even during a request."""
        self._link.abort()

    def _cached_response(self, data: bytes, heads: HeadReader) -> bytes | None:
        """Return the cached response if `data` is a single check and no response is pending.

        aiohttp must read every request to the end that it has begun to read: only between two
        requests may bytes be kept from it. It also waits while the client reads no responses.
        """
        is_idle = heads.completed == self._responses
        try:
            alone = heads.read(data)
        except UnreadableRequestError:
            self._heads = None
            return None
        names, values = heads.taken()
        if not (alone and is_idle and data.startswith(_CHECK)):
            return None
        # No header exceeds aiohttp's limit if all bytes together do not.
        if len(data) > self.max_field_size or self.writing_paused:
            return None
        return self._connections.lookup(self._peer, tuple(names), values)

    def _after_cached_response(self) -> None:
        self._has_requested = True
        self.head_size = 0
        self._responses += 1
        self._connections.mark_active(self)
        loop = asyncio.get_running_loop()
        self._last_response_at = loop.time()
        # aiohttp measures the idle time of a connection from its own last response.
        self.keep_alive(True)
        if self._idle is None:
            self._idle = loop.call_later(self.keepalive_timeout, self._end_if_idle)

    def _end_if_idle(self) -> None:
        loop = asyncio.get_running_loop()
        self._idle = None
        left = self._last_response_at + self.keepalive_timeout - loop.time()
        if left > 0:
            self._idle = loop.call_later(left, self._end_if_idle)
        elif not self.has_open_request:
            self.force_close()

    def _expect_request(self) -> None:
        if not self._has_requested:
            self.end()


class Connections:
    """Factory of a server's connections; it limits their number.

    A connection over the limit replaces that with the oldest last request, so that a client
    with many open connections locks nobody out: a proxy opens another when its idle connection is
    closed. `lookup` returns cached responses to checks, `refuse` those to unreadable requests.
    """

    def __init__(
        self, server: web.Server, most: int, lookup: CacheLookup, refuse: Refuse, **settings: Any
    ) -> None:
        self._server = server
        self.lookup = lookup
        self.refuse = refuse
        self._most = most
        self._settings = settings
        self._open: OrderedDict[Connection, None] = OrderedDict()
        self._alarmed_at = float("-inf")

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        loop = asyncio.get_running_loop()
        return Connection(self, self._server, loop=loop, **self._settings)

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Connection) -> None:
        """Add a connection; over the limit, close that with the oldest last request."""
        self._open[connection] = None
        if len(self._open) > self._most:
            oldest, _ = self._open.popitem(last=False)
            oldest.end()
            self._alarm()

    def mark_active(self, connection: Connection) -> None:
        """Register a request on a connection."""
        # It may have been removed before, over the limit.
        if connection in self._open:
            self._open.move_to_end(connection)

    def remove(self, connection: Connection) -> None:
        """Remove a closed connection."""
        self._open.pop(connection, None)

    def _alarm(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._alarmed_at < _WARNING_INTERVAL:
            return
        self._alarmed_at = now
        logger.warning(
            f"More than {self._most} connections: those that ask for nothing are closed. "
            "Only your proxies should reach this port; LimitNOFILE or `ulimit -n` sets less."
        )


def max_connections() -> int:
    """Return the number of connections for which this process has descriptors."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, max(descriptors - RESERVED_DESCRIPTORS, descriptors // 2))


def drop_unread(server: asyncio.Server) -> None:
    """Let the system close TCP connections whose peer acknowledges nothing (tcp(7))."""
    for listening in server.sockets:
        # Connections inherit the option from the listening socket.
        listening.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_RESPONSE_TIMEOUT * 1000
        )
