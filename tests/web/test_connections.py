"""Connections of one server: who has to go when there are too many, and what is not read."""

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
_FIELD = 9000  # bytes that one header may have


class Running:
    """A server that answers with many bytes, and its connections."""

    def __init__(self, kept: Connections, port: int) -> None:
        self.kept = kept
        self.port = port
        self._writers: list[asyncio.StreamWriter] = []  # one that nobody holds is closed

    async def open(self, said: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        before = len(self.kept)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        writer.write(said)
        if said:
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(_LARGE)
        await until(lambda: len(self.kept) > before or before == 3)
        return reader, writer


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async def large(_: web.Request) -> web.Response:
        return web.Response(body=bytes(_LARGE))

    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(1.5 * _KEPT)
        return web.Response()

    async def last(request: web.Request) -> web.Response:
        answer = web.Response()
        answer.force_close()
        # The next request comes when this one is answered and before the connection is closed.
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
    yield Running(kept, listening.sockets[0].getsockname()[1])
    listening.close()
    await runner.cleanup()


async def is_closed(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(10):
            return await reader.read() == b""
    except ConnectionError:
        return True


async def test_who_asked_for_nothing_the_longest_makes_room(running: Running) -> None:
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


async def test_the_first_request_has_its_time(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, writer = await running.open(_PING)
    monkeypatch.setattr(http_protocol, "_FIRST_REQUEST_TIMEOUT", 0.05)
    silent, _ = await running.open()
    half, _ = await asyncio.open_connection("127.0.0.1", running.port)
    assert await is_closed(silent)
    assert await is_closed(half)
    writer.write(_PING)
    assert await asked.readexactly(_LARGE)


async def test_one_that_asked_once_may_be_quiet(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "_FIRST_REQUEST_TIMEOUT", 0.05)
    reader, writer = await running.open(_PING)
    silent, _ = await running.open()
    assert await is_closed(silent)  # so the other's time is over, too
    writer.write(_PING)
    assert await reader.readexactly(_LARGE)


async def test_what_is_answered_at_once_is_a_request_like_others(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "_FIRST_REQUEST_TIMEOUT", 0.05)
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


async def test_a_connection_is_kept_from_its_last_answer_on(running: Running) -> None:
    reader, writer = await running.open(_PING)
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() < began + 1.5 * _KEPT:
        writer.write(_CHECK)
        assert await reader.readexactly(len(_KNOWN)) == _KNOWN
        await asyncio.sleep(_KEPT / 5)
    assert await is_closed(reader)
    assert loop.time() < began + 10 * _KEPT


async def test_an_answer_of_aiohttp_keeps_it_as_long(running: Running) -> None:
    reader, writer = await running.open()
    for said, then in ((_CHECK, 0.5), (_PING, 0.7), (_CHECK, 0.0)):
        writer.write(said)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        if said == _PING:
            await reader.readexactly(_LARGE)
        await asyncio.sleep(then * _KEPT)


@pytest.mark.parametrize("last", [_CHECK, _PING])
async def test_a_quiet_connection_is_closed_however_it_was_answered(
    running: Running, last: bytes
) -> None:
    reader, writer = await running.open()
    for said in (_CHECK, _PING, _CHECK, last):
        writer.write(said)
        await reader.readuntil(b"\r\n\r\n")
        if said == _PING:
            await reader.readexactly(_LARGE)
    # The beginning of another request keeps it no longer.
    writer.write(_CHECK[:10])
    assert await is_closed(reader)


async def test_whoever_waits_for_an_answer_is_not_closed(running: Running) -> None:
    reader, writer = await running.open()
    writer.write(_CHECK)
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    writer.write(_CHECK)
    assert await reader.readexactly(len(_KNOWN)) == _KNOWN


async def test_nothing_is_answered_after_the_last_answer(running: Running) -> None:
    reader, writer = await running.open()
    writer.write(b"GET /last HTTP/1.1\r\nHost: a\r\n\r\n")
    said = await reader.read()
    assert said.count(b"HTTP/1.1 200 ") == 1
    assert b"\r\nConnection: close\r\n" in said


@pytest.mark.parametrize("size", [_FIELD, _FIELD + 1])
async def test_a_check_is_no_larger_than_one_header_may_be(running: Running, size: int) -> None:
    reader, writer = await running.open()
    large = _CHECK.replace(b"Host", b"X: x\r\nHost")
    writer.write(large.replace(b" x\r", b" " + b"x" * (size - len(large) + 1) + b"\r"))
    # Nothing but what is answered at once has this path here.
    said = await reader.readuntil(b"\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 200 " if size == _FIELD else b"HTTP/1.1 404 ")


async def test_each_head_is_bounded_and_no_body_is(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "_MAX_HEAD_SIZE", 300_000)
    reader, writer = await running.open()
    body = bytes(1_000_000)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(_LARGE)
    large = b"".join(b"X-%d: %s\r\n" % (n, b"a" * 8000) for n in range(60))
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n" + large)
    assert await is_closed(reader)


async def test_a_head_has_its_whole_bound_after_any_answer(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "_MAX_HEAD_SIZE", 10_000)
    reader, writer = await running.open(_PING)
    connection = next(iter(running.kept._open))
    for _ in range(10):
        # What may stand before a request (RFC 9112 section 2.2) is read by aiohttp.
        connection.data_received(b"\r\n" * 2000)
        writer.write(_CHECK)
        assert await reader.readexactly(len(_KNOWN)) == _KNOWN


@pytest.mark.parametrize("cut", [0, 60])
async def test_nothing_follows_a_chunked_body(running: Running, cut: int) -> None:
    reader, writer = await running.open()
    head = b"GET /last HTTP/1.1\r\nHost: a\r\n"
    sent = b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n"
    for part in (sent[:cut], sent[cut:] + head + b"\r\n"):
        writer.write(part)
        await asyncio.sleep(0.05)
    said = await reader.read()
    assert said.count(b"HTTP/1.1 ") == 1
    assert b"\r\nConnection: close\r\n" in said


async def test_an_answer_that_nobody_takes_is_dropped(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "_UNREAD_TIMEOUT", 1)
    # What is connected inherits from what listens, so it listens anew.
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
def test_the_system_may_set_less(
    descriptors: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (descriptors, descriptors))
    assert max_connections() == most
