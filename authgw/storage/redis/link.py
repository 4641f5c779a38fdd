"""A connection to a Redis that concurrent calls share: their commands are pipelined.

The commands of a turn of the event loop are a batch, which is sent as a whole and ends with a PING
that Redis returns. Replies have the order of the commands, and calls receive them when the text of
the PING has arrived: no reply is missing then, and none was inserted. After a late, an invalid or a
superfluous reply the connection is closed, and all calls that wait for it fail. A cancelled call
keeps its place in the batch.

Messages of a subscription are passed on while the bytes are read, before anything else that this
turn of the loop reads after them.
"""

import asyncio
import math
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from operator import eq
from typing import Any, cast

import hiredis

from authgw.core.limits import MAX_WAITING_COMMANDS
from authgw.storage.redis.errors import (
    ConnectionError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    error_reply,
    without_frames,
)
from authgw.storage.redis.replies import (
    Request,
    Sendable,
    UnexpectedReplyError,
    is_hello,
    is_message,
    is_ok,
)

Address = tuple[str, int]

# uvloop raises a RuntimeError where asyncio ignores that a connection is already closed.
COMMUNICATION_ERRORS = (RedisError, OSError, TimeoutError, RuntimeError)
_INCOMPLETE = object()  # for a reply of which more is still to be received
# Idle seconds until the system checks that the peer exists, the interval, and the number of checks.
_KEEPALIVE = (
    (socket.TCP_KEEPIDLE, 30),
    (socket.TCP_KEEPINTVL, 5),
    (socket.TCP_KEEPCNT, 3),
)


class StoreBusyError(RedisError):
    """Raised when more commands wait for replies than a server can execute in time."""


@dataclass(frozen=True, slots=True)
class Login:
    """The first exchange of a connection; `tls` is None for TCP without TLS."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0
    tls: ssl.SSLContext | None = None

    def requests(self) -> list[Request]:
        """Return the commands that log in and choose the database."""
        user: tuple[str, ...] = ()
        if self.username or self.password:
            user = ("AUTH", self.username or "default", self.password or "")
        select = Request(("SELECT", self.database), is_ok)
        return [Request(("HELLO", 3, *user), is_hello), *([select] if self.database else [])]


class _Batch:
    """The requests of several calls, with the future and the place of each call's replies.

    `deadline` is the earliest of the calls, in loop time.
    """

    __slots__ = ("calls", "deadline", "replies", "requests")

    def __init__(self) -> None:
        self.requests: list[Sendable] = []
        self.replies: list[Any] = []
        self.calls: list[tuple[asyncio.Future[list[Any]], int, int]] = []
        self.deadline = math.inf

    def add(
        self, requests: Sequence[Sendable], deadline: float, future: asyncio.Future[list[Any]]
    ) -> None:
        """Append the requests of a call."""
        first = len(self.requests)
        self.requests.extend(requests)
        self.calls.append((future, first, first + len(requests)))
        self.deadline = min(self.deadline, deadline)

    def packed(self) -> bytes:
        """Return the requests as they are sent."""
        pack: Any = hiredis.pack_command  # its type takes a single word
        return b"".join([pack(tuple(request.words)) for request in self.requests])

    def finish(self) -> None:
        """Give each call its replies."""
        for future, first, end in self.calls:
            if not future.done():
                future.set_result(self.replies[first:end])

    def fail(self, error: Exception) -> None:
        """Raise the error in each call."""
        for future, _, _ in self.calls:
            if not future.done():
                future.set_exception(error)


class RedisLink(asyncio.Protocol):
    """A connection that is opened at once and used until its first failure.

    `find` determines the address, `address` is None before. `on_message` receives the messages of
    the channels to which the link subscribes. `closed` is done after the first failure. All methods
    are called in the event loop in which the link was made.
    """

    def __init__(
        self,
        find: Callable[[], Awaitable[Address]],
        login: Login,
        on_message: Callable[[bytes], None] | None = None,
    ) -> None:
        self.address: Address | None = None
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._login = login
        self._reader = hiredis.Reader(replyError=error_reply, notEnoughData=_INCOMPLETE)
        self._transport: asyncio.Transport | None = None
        self._is_logged_in = False
        self._is_demoted = False
        self._error: Exception | None = None
        self._collecting: _Batch | None = None
        self._sent: deque[_Batch] = deque()
        self._waiting_commands = 0
        self._nonces = count()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self._task: asyncio.Task[None] | None = self._loop.create_task(self._open(find))

    @property
    def is_closed(self) -> bool:
        """True after the first failure."""
        return self._error is not None

    @property
    def is_idle(self) -> bool:
        """True if the link is open and no call waits for a reply."""
        return self._error is None and self._collecting is None and not self._sent

    def send(self, requests: Sequence[Sendable], deadline: float) -> asyncio.Future[list[Any]]:
        """Send the requests with all others of this turn of the loop, and return their replies.

        A refusal is a ResponseError in the place of a reply. `deadline` is in loop time and
        includes the time until the link is open. If a reply is missing by then, the link is closed.

        Raises:
            StoreBusyError: too many commands wait for replies; the requests are not sent.
            COMMUNICATION_ERRORS: the link is closed; by the future: the effect is unknown.
        """
        if self._error is not None:
            raise self._error
        if not self.is_idle and self._waiting_commands + len(requests) > MAX_WAITING_COMMANDS:
            raise StoreBusyError
        if self._collecting is None:
            self._collecting = _Batch()
            self._loop.call_soon(self._flush)
        self._waiting_commands += len(requests)
        self._collecting.add(requests, deadline, future := self._loop.create_future())
        if deadline < self._timer_at:
            self._set_timer(deadline)
        return future

    def close(self, error: Exception) -> None:
        """Close the connection; all waiting calls, and those to come, fail with this error."""
        if self._error is not None:
            return
        self._error = without_frames(error)
        if self._task is not None:
            # It keeps its CancelledError, whose frames keep the link.
            self._task.cancel()
            self._task = None
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        for batch in self._waiting():
            batch.fail(error)
        self._sent.clear()
        self._collecting = None
        self.closed.set_result(None)

    def _waiting(self) -> list[_Batch]:
        return [*self._sent, *([self._collecting] if self._collecting is not None else [])]

    async def _open(self, find: Callable[[], Awaitable[Address]]) -> None:
        try:
            host, port = self.address = await find()
            await self._loop.create_connection(lambda: self, host, port, ssl=self._login.tls)
            await self._log_in()
        except (RedisError, TimeoutError) as error:
            self.close(error)
        except Exception as error:
            # Names that cannot be resolved or encoded, refused connections, invalid certificates.
            self.close(ConnectionError(f"cannot connect: {error}"))

    async def _log_in(self) -> None:
        assert self._transport is not None  # noqa: S101  the connection was made
        greeting, replies = _Batch(), self._loop.create_future()
        greeting.add(self._login.requests(), math.inf, replies)
        self._waiting_commands += len(greeting.requests)
        self._sent.append(greeting)
        self._transport.write(greeting.packed())
        for reply in await replies:
            if isinstance(reply, ResponseError):
                raise reply
        self._is_logged_in = True
        self._flush()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        # uvloop's transports do not derive from those of asyncio.
        self._transport = cast("asyncio.Transport", transport)
        sock: socket.socket = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)

    def data_received(self, data: bytes) -> None:
        """Give each call its replies as soon as all of them have arrived."""
        try:
            self._reader.feed(data)
            while self._error is None and (reply := self._reader.gets()) is not _INCOMPLETE:
                self._take(reply)
        except RedisError as error:
            self.close(error)
        except Exception:
            # The parser's own errors, and those of `error_reply` for the text of MOVED and ASK.
            self.close(_unexpected(self._sent[0] if self._sent else None))

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`; this also follows the end of the server's data."""
        self.close(ConnectionError("the connection was lost"))

    def _take(self, reply: Any) -> None:
        """Add the reply to the first batch.

        Raises:
            UnexpectedReplyError: no command waits, or the command cannot have this reply.
            RedisError: a refusal that concerns all commands, as of a server that is loading.
        """
        if self._on_message is not None and is_message(reply):
            self._on_message(reply[2])
            return
        if not self._sent:
            raise _unexpected(None)
        batch = self._sent[0]
        if isinstance(reply, Exception):
            if not isinstance(reply, ResponseError):
                raise reply
            self._is_demoted |= isinstance(reply, ReadOnlyError)
        elif not batch.requests[len(batch.replies)].accepts(reply):
            raise _unexpected(batch)
        batch.replies.append(reply)
        if len(batch.replies) == len(batch.requests):
            self._finish(batch)

    def _finish(self, batch: _Batch) -> None:
        """End the first batch.

        Raises:
            ConnectionError: the server is a replica: its address may lead to another server by now.
        """
        self._sent.popleft()
        self._waiting_commands -= len(batch.requests)
        batch.finish()
        if self._is_demoted:
            raise ConnectionError("the server is no longer a master")

    def _flush(self) -> None:
        """Send the batch of this turn of the loop."""
        batch = self._collecting
        if batch is None or not self._is_logged_in or self._transport is None:
            return
        # A refusal in its place ends the batch as well: a server that cannot save refuses PING.
        nonce = b"%d" % next(self._nonces)
        batch.requests.append(Request(("PING", nonce), partial(eq, nonce)))
        self._waiting_commands += 1
        self._collecting = None
        self._sent.append(batch)
        try:
            self._transport.write(batch.packed())
        except COMMUNICATION_ERRORS as error:
            self.close(ConnectionError(str(error)))

    def _set_timer(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = moment
        self._timer = self._loop.call_at(moment, self._check_deadlines)

    def _check_deadlines(self) -> None:
        """Close a link that is late, otherwise set the timer for the next deadline.

        Both event loops read what has arrived before they call timers, but for a pause of the
        process, after which the calls are late as well.
        """
        self._timer_at = math.inf
        earliest = min((batch.deadline for batch in self._waiting()), default=math.inf)
        if earliest <= self._loop.time():
            self.close(TimeoutError())
        elif earliest < math.inf:
            self._set_timer(earliest)


def _unexpected(batch: _Batch | None) -> UnexpectedReplyError:
    # Only the name of the command: its arguments contain sessions.
    name = "no command"
    if batch is not None:
        word = batch.requests[len(batch.replies)].words[0]
        name = word.decode("ascii") if isinstance(word, bytes) else str(word)
    return UnexpectedReplyError(f"the reply to {name} is not that of a Redis: correct cache.url")
