"""How many connections a replica keeps, and what one that brings no request may cost.

aiohttp closes a kept connection 75 s after its last answer, whether or not another request has
begun, and bounds each header and their number. What it does not bound is bounded here: how many
connections there are, how long the first request may take, how large a head may be, and how long
an answer may lie unread.

A check whose answer is known is answered here at once, which costs half of what it takes aiohttp to
make a request and a task of it. aiohttp never sees such a request; it reads and answers all others.
"""

import asyncio
import resource
import socket
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, cast

from aiohttp import hdrs, web
from loguru import logger

from authgw.server.http_pipelining import SequentialConnection
from authgw.server.http_reader import HeadReader, UnreadableRequestError
from authgw.web.context import peer_name
from authgw.web.decision_cache import PATH
from authgw.web.prepared_response import SERVER

# A replica answers tens of thousands of requests a second, each in a millisecond: proxies that keep
# theirs need a few dozen. Where the system allows fewer descriptors, they are the bound.
_MOST = 4096
_RESERVED = 128  # descriptors for the store's connections, files and the port of metrics
_FIRST_REQUEST_WITHIN = 10.0  # seconds
# NGINX sends 8 x 32 KB at most, and the address once more in its question.
_MOST_OF_A_HEAD = 512 * 1024  # bytes
_READ_WITHIN = 30  # seconds in which a peer takes something of an answer
_ALARM_EVERY = 60.0  # seconds
# How a check begins that nothing but its headers distinguishes from others.
_CHECK = f"GET {PATH} HTTP/1.1\r\n".encode()

# The whole answer to a check by this peer with these names and values of headers, if it is known.
Known = Callable[[str, tuple[bytes, ...], Sequence[bytes]], bytes | None]
# The answer to a request that aiohttp could not read, or that nobody was prepared for.
Refuse = Callable[[web.BaseRequest, int, BaseException | None], web.StreamResponse]


class Connection(SequentialConnection):
    """One connection, which is ended if its peer brings no request in time or too large a one."""

    __slots__ = (
        "_all",
        "_answered",
        "_answered_at",
        "_asked",
        "_deadline",
        "_heads",
        "_idle",
        "_link",
        "_peer",
    )

    def __init__(self, all_: "Connections", server: web.Server, **settings: Any) -> None:
        super().__init__(server, **settings)
        self._all = all_
        self._asked = False
        # None once only aiohttp can tell where a request ends.
        self._heads: HeadReader | None = HeadReader()
        self._answered = 0
        self._answered_at = 0.0
        self._idle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # aiohttp forgets its own while what was written is still unread.
        self._link = cast(asyncio.Transport, transport)
        # Read now, it is kept: of a connection that is closed there is none.
        self._peer = peer_name(self.peername)
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(_FIRST_REQUEST_WITHIN, self._expect_request)
        self._all.opened(self)

    def data_received(self, data: bytes) -> None:
        known = self._known(data, self._heads) if self._heads and data else None
        if known is not None:
            self._link.write(known)
            self._answered_at_once()
            return
        super().data_received(data)
        if self.head_size > _MOST_OF_A_HEAD:
            self.end()

    def error_response(
        self, request: web.BaseRequest, status: int, error: BaseException | None
    ) -> web.StreamResponse:
        """Return the refusal that the current gateway makes."""
        return self._all.refuse(request, status, error)

    def before_response(self, response: web.StreamResponse) -> None:
        """Set the Server header; aiohttp would name itself and Python with their versions."""
        response.headers[hdrs.SERVER] = SERVER

    def connection_lost(self, exc: BaseException | None) -> None:
        self._deadline.cancel()
        if self._idle is not None:
            self._idle.cancel()
        self._all.lost(self)
        super().connection_lost(exc)

    def begun(self) -> None:
        """aiohttp has the head of another request."""
        self._asked = True
        self._all.heard(self)
        if self.ends:
            self._heads = None

    def answered(self) -> None:
        """aiohttp has written another answer."""
        self._answered += 1
        self._answered_at = asyncio.get_running_loop().time()
        if self.ends:
            self._heads = None

    def end(self) -> None:
        """Close it at once, whatever is under way on it."""
        self._link.abort()

    def _known(self, data: bytes, heads: HeadReader) -> bytes | None:
        """The answer to what came, if that is one check and all before it is answered.

        What aiohttp has begun to read, it has to read to the end: only between two requests does it
        not matter that it never sees one. It also waits while answers are not taken.
        """
        none_before = heads.ended == self._answered
        try:
            alone = heads.read(data)
        except UnreadableRequestError:
            self._heads = None
            return None
        names, values = heads.taken()
        if not (alone and none_before and data.startswith(_CHECK)):
            return None
        # In what is no larger than one header may be, aiohttp finds none too large.
        if len(data) > self.max_field_size or self.writing_paused:
            return None
        return self._all.known(self._peer, tuple(names), values)

    def _answered_at_once(self) -> None:
        self._asked = True
        self.head_size = 0
        self._answered += 1
        self._all.heard(self)
        loop = asyncio.get_running_loop()
        self._answered_at = loop.time()
        # aiohttp counts the time to keep an idle connection from its own last answer.
        self.keep_alive(True)
        if self._idle is None:
            self._idle = loop.call_later(self.keepalive_timeout, self._end_if_idle)

    def _end_if_idle(self) -> None:
        loop = asyncio.get_running_loop()
        self._idle = None
        left = self._answered_at + self.keepalive_timeout - loop.time()
        if left > 0:
            self._idle = loop.call_later(left, self._end_if_idle)
        elif not self.under_way:
            self.force_close()

    def _expect_request(self) -> None:
        if not self._asked:
            self.end()


class Connections:
    """Makes the connections of a server (a factory of protocols) and bounds their number.

    One over the bound takes the place of the one that has asked for nothing for the longest time,
    so that whoever keeps many open keeps nobody out: a proxy that finds a kept connection closed
    opens another. `known` tells which checks can be answered at once, `refuse` answers what aiohttp
    cannot read.
    """

    def __init__(
        self, server: web.Server, most: int, known: Known, refuse: Refuse, **settings: Any
    ) -> None:
        self._server = server
        self.known = known
        self.refuse = refuse
        self._most = most
        self._settings = settings
        self._open: OrderedDict[Connection, None] = OrderedDict()
        self._alarmed_at = float("-inf")

    def __call__(self) -> Connection:
        loop = asyncio.get_running_loop()
        return Connection(self, self._server, loop=loop, **self._settings)

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, connection: Connection) -> None:
        """Take one in, and end the one that was heard least recently if there are too many."""
        self._open[connection] = None
        if len(self._open) > self._most:
            oldest, _ = self._open.popitem(last=False)
            oldest.end()
            self._alarm()

    def heard(self, connection: Connection) -> None:
        """One has brought a request."""
        # One that had to go may have asked before.
        if connection in self._open:
            self._open.move_to_end(connection)

    def lost(self, connection: Connection) -> None:
        """Forget one that has ended."""
        self._open.pop(connection, None)

    def _alarm(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._alarmed_at < _ALARM_EVERY:
            return
        self._alarmed_at = now
        logger.warning(
            f"More than {self._most} connections: those that ask for nothing are closed. "
            "Only your proxies should reach this port; LimitNOFILE or `ulimit -n` sets less."
        )


def max_connections() -> int:
    """How many connections this process can keep beside what else it has to open."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return _MOST
    return min(_MOST, max(descriptors - _RESERVED, descriptors // 2))


def drop_unread(server: asyncio.Server) -> None:
    """Let the system end TCP connections whose peer takes nothing of what was sent (tcp(7))."""
    for listening in server.sockets:
        # A connection inherits it from the socket that listens.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _READ_WITHIN * 1000)
