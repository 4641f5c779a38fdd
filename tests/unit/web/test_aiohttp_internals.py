"""Each undocumented use of aiohttp's connections; a failure names the change."""

import asyncio
import tomllib
from pathlib import Path

import aiohttp
import pytest
from aiohttp import HttpVersion10, HttpVersion11, web

from authgw.web.aiohttp_internals import NO_BODY, is_too_long, peername
from tests.support.recorded_connections import (
    CHUNKED,
    GET,
    POST,
    RecordedConnection,
    RecordedTransport,
    connected,
    head_of,
    respond,
    settle,
)


def test_the_version_is_limited_to_the_one_that_these_tests_are_for() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert "aiohttp>=3.14,<3.15" in project["project"]["dependencies"]
    assert aiohttp.__version__.startswith("3.14."), "read authgw/web/aiohttp_internals.py again"


async def test_messages_are_pairs_of_a_head_and_its_body() -> None:
    connection, _ = connected()
    connection.data_received(GET)
    assert len(connection._messages) == 1, "a parsed head is not in `_messages`"
    assert len(connection._messages[0]) == 2, "`_messages` holds more than head and body"


async def test_a_head_can_be_read_until_its_handler_starts() -> None:
    connection, transport = connected()
    connection.data_received(GET[:-2])
    assert connection.parsed_request() is None, "a request is parsed before its head is complete"
    connection.data_received(GET[-2:])
    head = head_of(connection)
    assert head.version == HttpVersion11
    assert head.headers["Host"] == "x"
    assert (head.should_close, head.upgrade, head.chunked) == (False, False, False)
    assert head.body is NO_BODY, "a request without a body has not EMPTY_PAYLOAD"
    assert NO_BODY.is_eof()
    await settle()
    assert connection.parsed_request() is None, "a request stays in `_messages` while it is handled"
    assert transport.sent.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("request_", "is_last", "upgrade", "chunked"),
    [
        (GET.replace(b"Host: x", b"Host: x\r\nConnection: close"), True, False, False),
        (GET.replace(b"HTTP/1.1", b"HTTP/1.0"), True, False, False),
        (GET.replace(b"x", b"x\r\nConnection: upgrade\r\nUpgrade: websocket"), False, True, False),
        (CHUNKED, False, False, True),
    ],
)
async def test_a_head_tells_what_follows_it(
    request_: bytes, is_last: bool, upgrade: bool, chunked: bool
) -> None:
    connection, _ = connected()
    connection.data_received(request_)
    head = head_of(connection)
    assert (head.should_close, head.upgrade, head.chunked) == (is_last, upgrade, chunked)
    assert (head.version == HttpVersion10) == (b"HTTP/1.0" in request_)


async def test_a_refused_head_is_an_error_and_is_answered_by_error_response() -> None:
    connection, transport = connected()
    connection.data_received(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n")
    error = connection.parsed_request()
    assert isinstance(error, BaseException), "a parser's error is not in `_messages` as `_ErrInfo`"
    await settle()
    assert connection.errors == [(400, error)], "`handle_error` is not called for a parser's error"
    assert connection.calls == ["error", "before", "after"]
    assert transport.sent.startswith(b"HTTP/1.")
    assert b"400 Bad Request" in transport.sent
    assert transport.closed


@pytest.mark.parametrize("length", [100, 101])
async def test_a_header_of_max_field_size_is_not_too_long(length: int) -> None:
    connection, _ = connected(max_field_size=100)
    assert connection.max_field_size == 100
    connection.data_received(GET.replace(b"Host: x", b"Host: x\r\nX: " + b"x" * length))
    error = connection.parsed_request()
    assert is_too_long(error if isinstance(error, BaseException) else None) == (length > 100)
    assert not is_too_long(ValueError())


async def test_the_last_request_can_be_made_the_last_on_its_connection() -> None:
    connection, transport = connected()
    connection.data_received(GET)
    connection.close_after_request()
    assert head_of(connection).should_close
    await settle()
    assert b"Connection: close" in transport.sent
    assert transport.closed, "`should_close` of a message in `_messages` has no effect"


async def test_a_parsed_request_can_be_refused() -> None:
    async def never(request: web.BaseRequest) -> web.StreamResponse:
        pytest.fail("the handler of a refused request is called")

    connection, transport = connected(never)
    connection.data_received(GET)
    connection.refuse_request("our reason")
    await settle()
    assert [(status, str(error)) for status, error in connection.errors] == [
        (400, "400, message:\n  our reason")
    ]
    assert transport.closed


async def test_each_response_passes_the_hooks_before_the_next_request_begins() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        connection.calls.append(request.path)
        if request.path == "/raised":
            raise web.HTTPNotFound
        return web.Response()

    connection, transport = connected(handler)
    connection.data_received(GET + GET.replace(b"GET /", b"GET /raised") + GET)
    await settle()
    once = ["before", "after"]
    assert connection.calls == ["/", *once, "/raised", *once, "/", *once], (
        "`finish_response` is not called once for each response, in order"
    )
    assert transport.sent.count(b"Server: hooked\r\n") == 3, "headers are written before the hook"


async def test_a_response_is_written_when_after_response_is_called() -> None:
    class Last(RecordedConnection):
        def after_response(self, response: web.StreamResponse) -> None:
            self.calls.append(transport.sent.decode())

    connection, transport = Last(web.Server(respond)), RecordedTransport()
    connection.connection_made(transport)
    connection.data_received(GET)
    await settle()
    assert connection.calls[0] == "before"
    assert connection.calls[1].endswith("ok"), "`finish_response` does not write the response"


async def test_a_failed_handler_is_answered_by_error_response() -> None:
    failure = ValueError()

    async def fail(request: web.BaseRequest) -> web.StreamResponse:
        raise failure

    connection, transport = connected(fail)
    connection.data_received(GET)
    await settle()
    assert connection.errors == [(500, failure)], "`handle_error` is not called for exceptions"
    assert b"500 Internal Server Error" in transport.sent


async def test_nothing_is_written_into_a_response_that_was_begun() -> None:
    async def fail(request: web.BaseRequest) -> web.StreamResponse:
        begun = web.StreamResponse()
        await begun.prepare(request)
        await begun.write(b"half")
        raise ValueError

    connection, transport = connected(fail)
    connection.data_received(GET)
    await settle()
    assert not connection.errors, "`request.writer.output_size` does not count written bytes"
    assert transport.sent.endswith(b"half\r\n")
    assert transport.closed


async def test_a_paused_body_goes_on_by_a_call_without_bytes() -> None:
    connection, transport = connected()
    connection.data_received(POST)
    connection.pause_reading()
    assert not transport.reads
    connection.received.clear()
    connection.resume_reading()
    assert connection.received == [b""], "`data_received` is not called to go on"
    assert transport.reads


async def test_receiving_can_be_paused_without_the_parser() -> None:
    connection, transport = connected()
    connection.pause_receiving()
    assert not transport.reads, "`_pause_transport_reading` does not pause"
    connection.data_received(GET)
    assert connection.parsed_request() is not None, "the parser is paused too"
    connection.resume_receiving()
    assert transport.reads, "`_resume_transport_reading` does not resume"


async def test_a_transport_that_was_taken_is_not_closed_by_aiohttp() -> None:
    class Taking(RecordedConnection):
        def after_response(self, response: web.StreamResponse) -> None:
            taken.append(self.take_transport())

    taken: list[asyncio.Transport | None] = []
    connection, transport = Taking(web.Server(respond)), RecordedTransport()
    connection.connection_made(transport)
    connection.data_received(GET.replace(b"HTTP/1.1", b"HTTP/1.0"))
    await settle()
    assert taken == [transport]
    assert not transport.closed, "aiohttp closes a transport that is not in `transport`"
    assert connection.take_transport() is None


async def test_the_idle_timer_stops_by_keep_alive() -> None:
    connections = [connected(keepalive_timeout=0.01) for _ in range(2)]
    assert connections[0][0].keepalive_timeout == 0.01
    for connection, _ in connections:
        connection.data_received(GET)
    await settle()
    connections[0][0].keep_alive(True)
    async with asyncio.timeout(10):
        await connections[1][1].ended.wait()
    assert not connections[0][1].closed, "`keep_alive` does not stop the timer"


async def test_close_lets_the_response_end_and_force_close_does_not() -> None:
    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        await go_on.wait()
        return web.Response(text="ok")

    for forced in (False, True):
        go_on = asyncio.Event()
        connection, transport = connected(slow)
        connection.data_received(GET)
        await settle()
        connection.force_close() if forced else connection.close()
        assert transport.closed == forced
        go_on.set()
        await settle()
        assert transport.sent.endswith(b"ok") != forced
        assert transport.closed


async def test_aiohttp_lets_the_end_of_input_to_us() -> None:
    connection, transport = connected()
    connection.eof_received()
    assert not transport.closed, "aiohttp closes a connection whose client sends no more"


async def test_a_peer_has_its_name_when_the_connection_is_closed() -> None:
    names: list[object] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        connection.connection_lost(None)
        names.append(peername(request))
        return web.Response()

    connection, _ = connected(handler)
    assert connection.peername == ("192.0.2.1", 1)
    connection.data_received(GET)
    await settle()
    assert names == [("192.0.2.1", 1)], "`peername` is not kept: a lost client passes as unix"
