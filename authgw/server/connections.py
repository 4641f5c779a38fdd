"""The open connections of a server, whose number is limited."""

import asyncio
import resource
import socket
from collections import OrderedDict
from typing import Protocol

from loguru import logger

from authgw.core.limits import MAX_CONNECTIONS, RESERVED_DESCRIPTORS, UNREAD_RESPONSE_TIMEOUT

_WARNING_INTERVAL = 60.0  # seconds


class OpenConnection(Protocol):
    """A connection that can be closed."""

    @property
    def has_open_request(self) -> bool:
        """True while a request has no response yet, or its body is incomplete."""

    def end(self) -> None:
        """Close the connection immediately, even during a request."""

    def close(self) -> None:
        """Close the connection immediately, but send what was written if no more is to come."""

    def finish(self) -> None:
        """Close the connection after the response under way."""


class Connections:
    """The open connections, in the order of their last requests.

    A connection over the limit replaces that with the oldest last request, so that a client
    with many open connections locks nobody out: a proxy opens another when its idle connection is
    closed.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: OrderedDict[OpenConnection, None] = OrderedDict()
        self._alarmed_at = float("-inf")
        self._finished: asyncio.Event | None = None

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: OpenConnection) -> None:
        """Add a connection; over the limit, close that with the oldest last request."""
        self._open[connection] = None
        if len(self._open) > self._most:
            oldest, _ = self._open.popitem(last=False)
            oldest.end()
            self._alarm()

    def mark_active(self, connection: OpenConnection) -> None:
        """Register a request on a connection."""
        try:
            self._open.move_to_end(connection)
        except KeyError:
            return  # it has been removed over the limit

    def note_end(self, connection: OpenConnection) -> None:
        """Register that a connection has written its last response."""
        if self._finished is not None and not self._has_open_requests():
            self._finished.set()

    def remove(self, connection: OpenConnection) -> None:
        """Remove a closed connection."""
        self._open.pop(connection, None)
        self.note_end(connection)

    async def finish(self) -> None:
        """Close every connection after its response; return when no request is in progress."""
        self._finished = asyncio.Event()
        for connection in list(self._open):
            connection.finish()
        if self._has_open_requests():
            await self._finished.wait()

    def close(self) -> None:
        """Close all connections immediately."""
        for connection in list(self._open):
            connection.close()

    def _has_open_requests(self) -> bool:
        return any(connection.has_open_request for connection in self._open)

    def _alarm(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._alarmed_at < _WARNING_INTERVAL:
            return
        self._alarmed_at = now
        logger.bind(event="too_many_connections").warning(
            f"More than {self._most} connections, so that idle connections are closed: let only "
            "your proxies reach this port, or raise LimitNOFILE (`ulimit -n`)."
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
