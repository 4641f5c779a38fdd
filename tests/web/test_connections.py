"""Connections of a server: limits of number, time and size, and unread responses."""

import asyncio
import gc
import resource
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from authgw.config.schema import ServerSettings
from authgw.server import connections, http_protocol
from authgw.server.connections import drop_unread, max_connections
from authgw.server.front_door import FrontDoor
from authgw.server.http_protocol import Connection
from authgw.server.http_reader import HeadReader
from authgw.server.http_server import HttpServer
from authgw.web.delivery import deliver
from authgw.web.dispatcher import DISPATCHER
from tests.support.gateway import MakeGateway
from tests.support.raw_http import until

_PING = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
_CHECK = b"GET /authenticate HTTP/1.1\r\nHost: a\r\n\r\n"
_KNOWN = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_LARGE = 256 * 1024
_KEPT = 1.0  # seconds


class KnownChecks(FrontDoor):
    """A front door that has a cached response to every check, and for no peer a refusal."""

    def lookup(self, *_: object) -> bytes:
        return _KNOWN


class RunningServer:
    """A server with large responses, and its connections."""

    def __init__(self, server: HttpServer) -> None:
        self.kept = server.connections
        self.server = server
        self.port = next(name[1] for name in server.addresses if isinstance(name, tuple))
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
async def running(make_gateway: MakeGateway) -> AsyncIterator[RunningServer]:
    async def large(_: web.Request) -> web.Response:
        return web.Response(body=bytes(_LARGE))

    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(1.5 * _KEPT)
        return web.Response()

    async def last(_: web.Request) -> web.Response:
        answer = web.Response()
        answer.force_close()
        return answer

    serving = (await make_gateway()).serving
    app = web.Application(middlewares=[deliver])
    app[DISPATCHER] = serving
    app.router.add_get("/", large)
    app.router.add_get("/slow", slow)
    app.router.add_get("/last", last)
    door = KnownChecks(serving, lambda *_: None)
    server = HttpServer(app, door, most=3, keep_alive=_KEPT)
    await server.set_up()
    await server.listen(ServerSettings().model_copy(update={"port": 0}), Path())
    yield RunningServer(server)
    await server.close()


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


async def test_a_closed_connection_leaves_no_cycle(running: RunningServer) -> None:
    def readers() -> int:
        return sum(isinstance(each, HeadReader) for each in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            reader, writer = await running.open()
            writer.write(_CHECK)
            assert await reader.readexactly(len(_KNOWN)) == _KNOWN
            writer.close()
            await until(lambda: len(running.kept) == 0)
        await until(lambda: readers() == 0)
    finally:
        gc.enable()


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


async def test_keep_alive_counts_from_the_last_request_to_the_application(
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


def only_connection() -> Connection:
    (connection,) = [each for each in gc.get_objects() if isinstance(each, Connection)]
    return connection


# After a pause of the process libuv calls the timer first, and then reads.
async def test_a_request_that_arrived_in_a_pause_of_the_process_is_served(
    running: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = await running.open(_PING)
    connection = only_connection()
    monkeypatch.setattr(connection, "_last_response_at", 0.0)
    writer.write(_CHECK)
    connection._end_if_idle()
    assert await reader.readexactly(len(_KNOWN)) == _KNOWN
    assert await is_closed(reader)


async def test_a_first_request_that_arrived_in_a_pause_of_the_process_is_served(
    running: RunningServer,
) -> None:
    reader, writer = await running.open()
    writer.write(_CHECK)
    only_connection()._expect_request()
    assert await reader.readexactly(len(_KNOWN)) == _KNOWN


async def test_keep_alive_counts_from_a_response_of_the_application(running: RunningServer) -> None:
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
    writer.write(b"GET /last HTTP/1.1\r\nHost: a\r\n\r\n" + _CHECK)
    received = await reader.read()
    assert received.count(b"HTTP/1.1 200 ") == 1
    assert b"\r\nConnection: close\r\n" in received


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
    assert isinstance(connection, Connection)
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
    monkeypatch.setattr(connections, "UNREAD_RESPONSE_TIMEOUT", 1)
    # A connected socket inherits options from the listening socket, so listen anew.
    listening = await asyncio.get_running_loop().create_server(
        running.server._connect, "127.0.0.1", 0
    )
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


async def test_a_client_that_sends_its_last_request_and_no_more_gets_the_response(
    running: RunningServer,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(_CHECK)
    writer.write_eof()
    async with asyncio.timeout(10):
        assert await reader.read() == _KNOWN


async def test_responses_of_the_front_door_and_of_the_application_keep_their_order(
    running: RunningServer,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(_CHECK + _PING + _CHECK + b"GET /last HTTP/1.1\r\nHost: a\r\n\r\n")
    async with asyncio.timeout(10):
        received = await reader.read()
    assert received.startswith(_KNOWN + b"HTTP/1.1 200 OK\r\n")
    after = received.index(bytes(_LARGE)) + _LARGE
    assert received[after:].startswith(_KNOWN + b"HTTP/1.1 200 OK\r\n")
