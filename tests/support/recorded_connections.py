"""Connections of aiohttp without a network, which record the calls of their hooks."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from authgw.web.aiohttp_internals import HttpConnection, RequestHead

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class RecordedTransport(asyncio.Transport):
    """A transport without a network."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 1)})
        self.sent = b""
        self.reads = True
        self.closed = False
        self.ended = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True
        self.ended.set()


class RecordedConnection(HttpConnection):
    """Records the calls of its hooks."""

    def __init__(self, server: web.Server, **settings: Any) -> None:
        settings["access_log"] = None
        super().__init__(server, loop=asyncio.get_running_loop(), **settings)
        self.calls: list[str] = []
        self.errors: list[tuple[int, BaseException | None]] = []
        self.received: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        self.received.append(data)
        super().data_received(data)

    def before_response(self, response: web.StreamResponse) -> None:
        self.calls.append("before")
        response.headers["Server"] = "hooked"

    def after_response(self, response: web.StreamResponse) -> None:
        self.calls.append("after")

    def error_response(
        self, request: web.BaseRequest, status: int, error: BaseException | None
    ) -> web.StreamResponse:
        self.calls.append("error")
        self.errors.append((status, error))
        response = web.Response(status=status)
        response.force_close()
        return response


async def respond(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="ok")


def connected(
    handler: Handler = respond, **settings: Any
) -> tuple[RecordedConnection, RecordedTransport]:
    connection, transport = RecordedConnection(web.Server(handler), **settings), RecordedTransport()
    connection.connection_made(transport)
    return connection, transport


def head_of(connection: RecordedConnection) -> RequestHead:
    head = connection.parsed_request()
    assert isinstance(head, RequestHead), "a parsed head is not in `_messages`, or in another form"
    return head


async def settle() -> None:
    """Let all tasks run that need no time."""
    for _ in range(20):
        await asyncio.sleep(0)
