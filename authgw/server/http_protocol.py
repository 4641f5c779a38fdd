"""A connection: reads one request after another, and responds to most without aiohttp.

A request is begun once the request before it is answered; all further bytes wait here unparsed, and
no more than the bytes of one read are kept: reading is paused. A check is served by the front door,
at once if it can; so is a JSON request whose body arrived with its head. Any other request is
passed to the application.

A request for an upgrade, or with a chunked body, is the last request on its connection.
"""

import asyncio
import math
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, cast

from authgw.core.errors import AuthgwError, RequestMalformedError
from authgw.core.limits import FIRST_REQUEST_TIMEOUT, MAX_CACHED_HEADERS_BYTES, MAX_HEAD_BYTES
from authgw.forward_auth.decision_cache import PATH
from authgw.server.connections import Connections
from authgw.server.front_door import FrontDoor, peer_name
from authgw.server.http_application import ApplicationConnection
from authgw.server.http_reader import HeadReader, RequestHead, refuse_long_line
from authgw.server.response_writes import ResponseWrites

_END_OF_HEAD = b"\r\n\r\n"  # no other is read by llhttp
_LINGER = 2.0  # seconds
_TIME_TO_READ = 0.001  # seconds: the loop reads what has arrived before a timer that it sets now
# The first line of a check that only its headers distinguish from other checks.
_CHECK = f"GET {PATH} HTTP/1.1\r\n".encode()
_UPGRADE = frozenset({b"upgrade", b"http2-settings"})

# Makes the application's side of a connection, for a peer.
OpenApplication = Callable[["Connection", asyncio.Transport, str], ApplicationConnection]


class Connection(asyncio.Protocol):
    """A connection; it is closed without a first request in time, or with too large a head.

    `keep_alive`: seconds after its last response in which an idle connection is kept.
    """

    __slots__ = (
        *("_application", "_body_left", "_connections", "_door", "_first_request", "_half_closed"),
        *("_has_requested", "_head", "_head_size", "_idle", "_is_ended", "_is_finishing"),
        *("_is_body_paused", "_keep_alive", "_last_response_at", "_link", "_linger", "_loop"),
        *("_open_application", "_peer", "_queued", "_reader", "_response_pending", "_task"),
        *("_writes", "is_last", "writing_paused"),
    )

    def __init__(
        self,
        connections: Connections,
        writes: ResponseWrites,
        door: FrontDoor,
        open_application: OpenApplication,
        keep_alive: float,
    ) -> None:
        self._connections = connections
        self._writes = writes
        self._door = door
        self._open_application = open_application
        self._keep_alive = keep_alive
        self._loop = asyncio.get_running_loop()
        self._reader = HeadReader()
        self._application: ApplicationConnection | None = None
        self._head = bytearray()  # bytes of the head that is being read
        self._head_size = 0  # with empty lines before it
        self._body_left: float = 0  # bytes of the body that the application was not given yet
        self._response_pending = False
        self._queued = b""  # bytes after the request under way
        self.is_last = False  # no further request is read
        self._is_ended = False  # no further byte is written
        self._is_finishing = False
        self._half_closed = False
        self.writing_paused = False
        self._is_body_paused = False
        self._has_requested = False
        self._last_response_at = 0.0
        self._idle: asyncio.TimerHandle | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def has_open_request(self) -> bool:
        """True while a request has no response yet, or its body is incomplete."""
        return self._response_pending or self._body_left > 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the connection and start the timeout of its first request."""
        self._link = cast(asyncio.Transport, transport)
        # Read now: a closed connection has no peer name.
        self._peer = peer_name(transport.get_extra_info("peername"))
        self._first_request = self._loop.call_later(FIRST_REQUEST_TIMEOUT, self._expect_request)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Serve the next request, or keep the bytes until the request under way is answered."""
        if self._queued:
            self._queue(data)
        elif not self._is_ended:
            self._feed(data)

    def eof_received(self) -> bool:
        """Keep the connection for the responses if the client only sends no more."""
        self._half_closed = True
        self._writes.flush()
        return self._response_pending and not self._body_left

    def pause_writing(self) -> None:
        """Begin no request while the client does not read."""
        self.writing_paused = True
        if self._application is not None:
            self._application.pause_protocol(is_paused=True)

    def resume_writing(self) -> None:
        """Go on with the next request."""
        self.writing_paused = False
        if self._application is not None:
            self._application.pause_protocol(is_paused=False)
        self._proceed()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection and its timers."""
        for timer in (self._first_request, self._idle, self._linger):
            if timer is not None:
                timer.cancel()
        self._is_ended = True
        self._queued = b""
        self._reader.close()
        self._connections.remove(self)
        if self._application is not None:
            self._application.lost(exc)

    def end(self) -> None:
        """Close the connection immediately, even during a request."""
        self._writes.flush()
        self._link.abort()

    def close(self) -> None:
        """Close the connection immediately, but send what was written if no more is to come."""
        self._close_link() if self._is_ended else self.end()

    def finish(self) -> None:
        """Close the connection after the response under way."""
        self._is_finishing = True
        if not self.has_open_request and not self._is_ended:
            self._close_link()

    def _close_link(self) -> None:
        """Close the connection once the responses that were written are sent."""
        self._writes.flush()
        self._link.close()

    def _feed(self, data: bytes) -> None:
        while data and not self._is_ended:
            if self._body_left:
                data = self._feed_body(data)
            elif self.is_last:
                return
            elif self._response_pending or self.writing_paused:
                self._queue(data)
                return
            else:
                data = self._feed_head(data)

    def _feed_head(self, data: bytes) -> bytes:
        """Parse the bytes up to the end of a head, and begin its request; return the rest."""
        cut = self._end_of_head(data)
        part, rest = (data, b"") if cut == len(data) else (data[:cut], data[cut:])
        self._head_size += cut
        try:
            is_complete = self._reader.feed(part)
            if is_complete:
                rest = self._begin(bytes(self._head) + part if self._head else part, rest)
            elif self._reader.has_begun:
                self._head += part
                refuse_long_line(self._head)
        except AuthgwError as error:
            self._refuse(self._door.refusal(error, self._peer))
        if self._head_size > MAX_HEAD_BYTES:
            self.end()
        return rest

    def _end_of_head(self, data: bytes) -> int:
        """Return the number of these bytes up to the end of a head, or of all."""
        kept = bytes(self._head[1 - len(_END_OF_HEAD) :]) if self._head else b""
        found = (kept + data if kept else data).find(_END_OF_HEAD)
        return len(data) if found < 0 else found + len(_END_OF_HEAD) - len(kept)

    def _begin(self, raw: bytes, rest: bytes) -> bytes:
        """Begin the request with this head; return the bytes that are not read of the `rest`."""
        self._head.clear()
        self._head_size = 0
        self._has_requested = True
        self._connections.mark_active(self)
        reader = self._reader
        # No line is too long if all of them together are not.
        if len(raw) <= MAX_CACHED_HEADERS_BYTES and raw.startswith(_CHECK):
            found = self._door.lookup(self._peer, tuple(reader.names), reader.values)
            if isinstance(found, bytes):
                reader.release()
                self._writes.add(self._link, found)
                self._note_response()
                return rest
            begun = None if found is None else self._door.begin_known(found)
            if begun is not None:
                reader.release()
                self._respond(begun)
                return rest
        head = reader.take()
        dialect = self._door.dialect_of(head)
        length = None if dialect else self._door.api_body_length(head)
        if length is not None and length <= len(rest):
            self._respond_to_api(head, rest[:length])
            return rest[length:]
        refused = None if dialect else self._door.refused_expectation(head, self._peer)
        if refused is not None:
            self._refuse(refused)
        elif dialect is None:
            self._pass_on(head, raw)
        else:
            self.is_last = self._door.closes(head)
            self._respond(self._door.begin(head, dialect, self._peer))
        return rest

    def _respond_to_api(self, head: RequestHead, content: bytes) -> None:
        self.is_last = self._door.closes(head)
        if content:
            self._reader.next_request()
        self._respond(self._door.respond_to_api(head, content, self._peer))

    def _respond(self, begun: bytes | Coroutine[Any, Any, bytes]) -> None:
        if isinstance(begun, bytes):
            self._writes.add(self._link, begun)
            self._after_response()
        else:
            self._response_pending = True
            self._task = self._loop.create_task(self._respond_later(begun))

    async def _respond_later(self, begun: Coroutine[Any, Any, bytes]) -> None:
        response = await begun
        self._response_pending = False
        if not self._is_ended:
            # The response may have been made during a drain that began after the request.
            self.is_last = self.is_last or self._door.is_draining
            self._writes.add(self._link, response)
            self._after_response()
            self._proceed()

    def _pass_on(self, head: RequestHead, raw: bytes) -> None:
        """Pass a request to the application."""
        is_chunked = b"transfer-encoding" in head.by_name
        upgrades = head.upgrades or not _UPGRADE.isdisjoint(head.by_name)
        self.is_last = not head.keeps_alive or is_chunked or upgrades
        self._response_pending = True
        self._body_left = math.inf if is_chunked else sum(map(int, head.sent(b"content-length")))
        if self._application is None:
            self._application = self._open_application(self, self._link, self._peer)
            if self.writing_paused:
                self._application.pause_protocol(is_paused=True)
        if self._body_left and not is_chunked:
            self._reader.next_request()
        self._writes.flush()  # the application writes at once
        self._application.begin(raw, closes=self.is_last)

    def _feed_body(self, data: bytes) -> bytes:
        part = data if self._body_left >= len(data) else data[: int(self._body_left)]
        application = self._application
        if self._body_left is math.inf:
            self._feed_chunked(part)
        else:
            self._body_left -= len(part)
        if application is not None and not self._is_ended:
            application.feed(part)
        return data[len(part) :]

    def _feed_chunked(self, part: bytes) -> None:
        """Read a chunked body, whose end only its chunks show."""
        try:
            if self._reader.feed_chunked(part):
                self._body_left = 0
        except RequestMalformedError:
            self._body_left = 0
            if self._application is not None:
                self._application.fail_body()

    def _refuse(self, response: bytes) -> None:
        """Write the response to a request that is not served; no further request is read."""
        self.is_last = True
        self._writes.add(self._link, response)
        self._after_response()

    def application_responded(self, *, keeps_alive: bool) -> None:
        """Go on after a response of the application."""
        self._response_pending = False
        self.is_last = self.is_last or not keeps_alive
        self._after_response()
        self._proceed()

    def application_failed(self, *, is_malformed: bool) -> None:
        """Respond in place of aiohttp, which refuses a request or failed outside a handler."""
        if not self._response_pending:
            return
        self._response_pending, self._body_left = False, 0
        if is_malformed:
            self._refuse(self._door.refusal(RequestMalformedError(), self._peer))
        else:
            self._refuse(self._door.failure(self._peer))

    def application_closed(self) -> None:
        """End the connection, unless aiohttp only closes it because it is idle."""
        application, self._application = self._application, None
        if application is not None:
            self._loop.call_soon(application.lost, None)
        if self.has_open_request or self.is_last:
            self._response_pending, self._body_left = False, 0
            self._end_responses()

    def pause_body(self, *, is_paused: bool) -> None:
        """Read no more of a body than the application takes."""
        self._is_body_paused = is_paused
        self._pause_reading()

    def _after_response(self) -> None:
        self._note_response()
        if self._is_finishing:
            self.is_last = True
        if self.is_last and not self._body_left:
            self._end_responses()

    def _note_response(self) -> None:
        self._last_response_at = self._loop.time()
        if self._idle is None:
            self._idle = self._loop.call_later(self._keep_alive, self._end_if_idle)

    def _end_responses(self) -> None:
        """End the responses; bytes that still arrive are read for a while and discarded.

        A connection that is closed with bytes unread is reset, which can take the last responses
        from a client that has not read them (RFC 9112 section 9.6).
        """
        if self._is_ended:
            return
        self._is_ended = True
        self._queued = b""
        self._writes.flush()
        self._connections.note_end(self)
        if not self._link.is_closing():
            self._link.resume_reading()
            self._link.write_eof()
            self._linger = self._loop.call_later(_LINGER, self._link.close)

    def _queue(self, data: bytes) -> None:
        self._queued += data
        self._pause_reading()

    def _proceed(self) -> None:
        """Begin the next request, if the previous request is over."""
        if self.has_open_request or self.writing_paused or self._is_ended:
            return
        held, self._queued = self._queued, b""
        self._feed(held)
        self._pause_reading()
        if self._half_closed and not (self._response_pending and not self._body_left):
            self._close_link()

    def _pause_reading(self) -> None:
        """Read from the socket unless bytes wait, or the application takes no more of a body."""
        if self._is_ended:
            return
        if self._queued or self._is_body_paused:
            self._link.pause_reading()
        else:
            self._link.resume_reading()

    def _end_if_idle(self, *, has_read: bool = False) -> None:
        """Close an idle connection; `has_read`: what had arrived by its timer has been read.

        After a pause of the process libuv calls timers before it reads what arrived in the pause.
        """
        self._idle = None
        left = self._last_response_at + self._keep_alive - self._loop.time()
        if left > 0:
            self._idle = self._loop.call_later(left, self._end_if_idle)
        elif has_read and not self.has_open_request:
            self._link.close()
        elif not self.has_open_request:
            then = partial(self._end_if_idle, has_read=True)
            self._idle = self._loop.call_later(_TIME_TO_READ, then)

    def _expect_request(self, *, has_read: bool = False) -> None:
        """Close a connection without a request; `has_read`: as of `_end_if_idle`."""
        if has_read and not self._has_requested:
            self.end()
        elif not self._has_requested:
            then = partial(self._expect_request, has_read=True)
            self._first_request = self._loop.call_later(_TIME_TO_READ, then)
