"""aiohttp behind a connection: it receives the head of one request and then exactly its body.

aiohttp parses ahead of the request that it handles, which loses requests: it never reads on after
32 requests whose bodies arrived late, drops requests in the same packet as a malformed request, and
discards the bytes after an upgrade request in its packet. Here it has nothing to parse ahead.

Only what aiohttp documents is used: `web.Server` as a factory of protocols, and a transport.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol

from aiohttp import web

from authgw.web.aiohttp_internals import fail_body
from authgw.web.delivery import ApplicationTransport

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_BAD_REQUEST = b" 400 "


class ApplicationClient(Protocol):
    """The connection whose requests an application serves."""

    def application_responded(self, *, keeps_alive: bool) -> None:
        """Called after each response."""

    def application_failed(self, *, is_malformed: bool) -> None:
        """Called instead of a response that aiohttp would write of its own."""

    def application_closed(self) -> None:
        """Called when aiohttp closes its transport."""

    def pause_body(self, *, is_paused: bool) -> None:
        """Called when aiohttp can take no more of a body, and when it can again."""


class ApplicationConnection(ApplicationTransport):
    """A connection of the application; aiohttp's transport."""

    def __init__(
        self, server: web.Server, link: asyncio.Transport, client: ApplicationClient, peer: str
    ) -> None:
        super().__init__()
        self._link = link
        self._client: ApplicationClient | None = client
        self.peer = peer
        self.closes = False
        self._request: web.BaseRequest | None = None
        self._has_bad_body = False
        self._protocol: Any = server()
        self._protocol.connection_made(self)

    def begin(self, head: bytes, *, closes: bool) -> None:
        """Pass the head of a request; `closes`: it is the last of the connection.

        No byte of its body is passed with it: an error in the body would hide the request.
        """
        self.closes, self._request, self._has_bad_body = closes, None, False
        self._protocol.data_received(head)

    def feed(self, data: bytes) -> None:
        """Pass bytes of the body."""
        self._protocol.data_received(data)

    def fail_body(self) -> None:
        """End the body with an error for its reader."""
        self._has_bad_body = True
        if self._request is not None:
            fail_body(self._request)

    def pause_protocol(self, *, is_paused: bool) -> None:
        """Let the application wait while the client does not read."""
        self._protocol.pause_writing() if is_paused else self._protocol.resume_writing()

    def lost(self, error: Exception | None) -> None:
        """Notify aiohttp that the connection is closed."""
        self._client = None
        self._protocol.connection_lost(error)

    def claim(self, request: web.BaseRequest) -> None:
        """See `ApplicationTransport.claim`."""
        self._request = request
        if self._has_bad_body:
            fail_body(request)

    def response_written(self, *, keeps_alive: bool) -> None:
        """See `ApplicationTransport.response_written`."""
        self._request = None
        if self._client is not None:
            self._client.application_responded(keeps_alive=keeps_alive)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write to the client, unless aiohttp refuses a request itself.

        It would repeat bytes of the request; and the interim response is written before a handler.
        """
        if self._client is None:
            return
        if self._request is not None or data == _CONTINUE:
            self._link.write(data)
        else:
            is_malformed = _BAD_REQUEST in bytes(data[:16])
            self._client.application_failed(is_malformed=is_malformed)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Write all of these."""
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        """Notify the connection, which decides whether it ends."""
        if self._client is not None:
            self._client.application_closed()

    def abort(self) -> None:
        """Close the connection."""
        self.close()

    def is_closing(self) -> bool:
        """Return True if nothing can be written any more."""
        return self._client is None or self._link.is_closing()

    def pause_reading(self) -> None:
        """Pause the body."""
        if self._client is not None:
            self._client.pause_body(is_paused=True)

    def resume_reading(self) -> None:
        """Resume the body."""
        if self._client is not None:
            self._client.pause_body(is_paused=False)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return a property of the socket."""
        return self._link.get_extra_info(name, default)
