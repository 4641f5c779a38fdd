"""Connections of a server: limits of number, time and size, and unread responses."""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from authgw.server import http_protocol
from authgw.server.http_protocol import Connections, drop_unread, max_connections
from tests.support.raw_http import until

_PING = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
_CHECK = b"GET /authenticate HTTP/1.1\r\nHost: a\r\n\r\n"
_KNOWN = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_LARGE = 256 * 1024
_KEPT = 1.0  # seconds
_FIELD = 9000  # bytes, limit of a header


class RunningServer:
    """A server with large responses, and its connections."""

    def __init__(self, kept: Connections, port: int) -> None:
        self.kept = kept
        self.port = port
        self._writers: list[asyncio.StreamWriter] = []  # without a reference they are closed

    async def open(
        self, received: bytes = b""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        before = len(self.kept)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        writer.write(received)
        if received:
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(_LARGE)
        await until(lambda: len(self.kept) > before or before == 3)
        return reader, writer


@pytest.fixture
async def running() -> AsyncIterator[RunningServer]:
    async def large(_: web.Request) -> web.Response:
        return web.Response(body=bytes(_LARGE))

    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(1.5 * _KEPT)
        return web.Response()

    async def last(request: web.Request) -> web.Response:
        answer = web.Response()
        answer.force_close()
        # The next request arrives after this response and before the connection is closed.
        asyncio.get_running_loop().call_soon(request.protocol.data_received, _CHECK)
        return answer

    app = web.Application()
    app.router.add_get("/", large)
    app.router.add_get("/slow", slow)
    app.router.add_get("/last", last)
    runner = web.AppRunner(app)
    await runner.setup()
    assert runner.server is not None
    kept = Connections(
        runner.server,
        3,
        lambda *_: _KNOWN,
        lambda *_: web.Response(status=400),
        access_log=None,
        keepalive_timeout=_KEPT,
        max_field_size=_FIELD,
    )
    listening = await asyncio.get_running_loop().create_server(kept, "127.0.0.1", 0)
    drop_unread(listening)
    yield RunningServer(kept, listening.sockets[0].getsockname()[1])
    listening.close()
    await runner.cleanup()


async def is_closed(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(10):
            return await reader.read() == b""
    except ConnectionError:
        return True


async def test_the_longest_idle_connection_is_closed_for_a_new_connection(
    running: RunningServer,
) -> None:
    first, writer = await running.open(_PING)
    second, _ = await running.open()
    third, _ = await running.open(_PING)
    writer.write(_PING)
    await first.readexactly(_LARGE)
    await running.open()
    assert await is_closed(second)
    await running.open()
    assert await is_closed(third)
    assert len(running.kept) == 3
    assert not first.at_eof()


async def test_the_first_request_has_a_timeout(
    running: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    active, writer = await running.open(_PING)
    monkeypatch.setattr(http_protocol, "FIRST_REQUEST_TIMEOUT", 0.05)
    silent, _ = await running.open()
    half, _ = await asyncio.open_connection("127.0.0.1", running.port)
    assert await is_closed(silent)
    assert await is_closed(half)
    writer.write(_PING)
    assert await active.readexactly(_LARGE)


async def test_the_timeout_ends_with_the_first_request(
    running: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "FIRST_REQUEST_TIMEOUT", 0.05)
    reader, writer = await running.open(_PING)
    silent, _ = await running.open()
    assert await is_closed(silent)  # the timeout of the first connection has passed, too
    writer.write(_PING)
    assert await reader.readexactly(_LARGE)


async def test_a_cached_response_counts_as_activity(
    running: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "FIRST_REQUEST_TIMEOUT", 0.05)
    first, writer = await running.open()
    writer.write(_CHECK)
    assert await first.readexactly(len(_KNOWN)) == _KNOWN
    second, _ = await running.open()
    assert await is_closed(second)
    third, _ = await running.open(_PING)
    await running.open(_PING)
    writer.write(_CHECK)
    assert await first.readexactly(len(_KNOWN)) == _KNOWN
    await running.open(_PING)
    assert await is_closed(third)
    writer.write(_CHECK)
    assert await first.readexactly(len(_KNOWN)) == _KNOWN


async def test_keep_alive_counts_from_the_last_request_that_aiohttp_received(
    running: RunningServer,
) -> None:
    reader, writer = await running.open(_PING)
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() < began + 1.5 * _KEPT:
        writer.write(_CHECK)
        assert await reader.readexactly(len(_KNOWN)) == _KNOWN
        await asyncio.sleep(_KEPT / 5)
    assert await is_closed(reader)
    assert loop.time() < began + 10 * _KEPT


async def test_keep_alive_counts_from_a_response_of_aiohttp(running: RunningServer) -> None:
    reader, writer = await running.open()
    for received, then in ((_CHECK, 0.5), (_PING, 0.7), (_CHECK, 0.0)):
        writer.write(received)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        if received == _PING:
            await reader.readexactly(_LARGE)
        await asyncio.sleep(then * _KEPT)


@pytest.mark.parametrize("last", [_CHECK, _PING])
async def test_an_idle_connection_is_closed_after_any_response(
    running: RunningServer, last: bytes
) -> None:
    reader, writer = await running.open()
    for received in (_CHECK, _PING, _CHECK, last):
        writer.write(received)
        await reader.readuntil(b"\r\n\r\n")
        if received == _PING:
            await reader.readexactly(_LARGE)
    # The beginning of another request does not extend the time.
    writer.write(_CHECK[:10])
    assert await is_closed(reader)


async def test_a_connection_with_a_pending_response_stays_open(running: RunningServer) -> None:
    reader, writer = await running.open()
    writer.write(_CHECK)
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    writer.write(_CHECK)
    assert await reader.readexactly(len(_KNOWN)) == _KNOWN


async def test_no_response_follows_connection_close(running: RunningServer) -> None:
    reader, writer = await running.open()
    writer.write(b"GET /last HTTP/1.1\r\nHost: a\r\n\r\n")
    received = await reader.read()
    assert received.count(b"HTTP/1.1 200 ") == 1
    assert b"\r\nConnection: close\r\n" in received


@pytest.mark.parametrize("size", [_FIELD, _FIELD + 1])
async def test_a_cached_check_has_the_size_limit_of_a_header(
    running: RunningServer, size: int
) -> None:
    reader, writer = await running.open()
    large = _CHECK.replace(b"Host", b"X: x\r\nHost")
    writer.write(large.replace(b" x\r", b" " + b"x" * (size - len(large) + 1) + b"\r"))
    # This server has no handler for the path, only a cached response.
    received = await reader.readuntil(b"\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 200 " if size == _FIELD else b"HTTP/1.1 404 ")


async def test_heads_are_limited_and_bodies_are_not(
    running: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "MAX_HEAD_BYTES", 300_000)
    reader, writer = await running.open()
    body = bytes(1_000_000)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(_LARGE)
    large = b"".join(b"X-%d: %s\r\n" % (n, b"a" * 8000) for n in range(60))
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n" + large)
    assert await is_closed(reader)


async def test_the_head_limit_starts_again_after_each_response(
    running: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "MAX_HEAD_BYTES", 10_000)
    reader, writer = await running.open(_PING)
    connection = next(iter(running.kept._open))
    for _ in range(10):
        # Empty lines before a request (RFC 9112 section 2.2) are read by aiohttp.
        connection.data_received(b"\r\n" * 2000)
        writer.write(_CHECK)
        assert await reader.readexactly(len(_KNOWN)) == _KNOWN


@pytest.mark.parametrize("cut", [0, 60])
async def test_nothing_follows_a_chunked_body(running: RunningServer, cut: int) -> None:
    reader, writer = await running.open()
    head = b"GET /last HTTP/1.1\r\nHost: a\r\n"
    sent = b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n"
    for part in (sent[:cut], sent[cut:] + head + b"\r\n"):
        writer.write(part)
        await asyncio.sleep(0.05)
    received = await reader.read()
    assert received.count(b"HTTP/1.1 ") == 1
    assert b"\r\nConnection: close\r\n" in received


async def test_an_unread_response_is_dropped(
    running: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "UNREAD_RESPONSE_TIMEOUT", 1)
    # A connected socket inherits options from the listening socket, so listen anew.
    listening = await asyncio.get_running_loop().create_server(running.kept, "127.0.0.1", 0)
    drop_unread(listening)
    with socket.socket() as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        link.connect(("127.0.0.1", listening.sockets[0].getsockname()[1]))
        link.sendall(_PING * 20)
        await until(lambda: len(running.kept) == 1)
        await until(lambda: len(running.kept) == 0)
    listening.close()


@pytest.mark.parametrize(
    ("descriptors", "most"), [(-1, 4096), (65536, 4096), (1024, 896), (256, 128), (100, 50)]
)
def test_descriptor_limits_reduce_the_number_of_connections(
    descriptors: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (descriptors, descriptors))
    assert max_connections() == most
