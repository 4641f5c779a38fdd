"""Each undocumented use of aiohttp's bodies, responses and servers; a failure names the change."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import http_parser, web

from authgw.web.aiohttp_internals import (
    RawResponse,
    Site,
    fail_body,
    on_end,
    parses_in_python,
    wrap_handler,
)
from tests.support.recorded_connections import (
    CHUNKED,
    GET,
    POST,
    Handler,
    RecordedConnection,
    RecordedTransport,
    connected,
    head_of,
    settle,
)


async def test_the_end_of_a_body_is_called_back() -> None:
    connection, _ = connected()
    connection.data_received(POST)
    body, ends = head_of(connection).body, []
    on_end(body, lambda: ends.append(body.is_eof()))
    connection.data_received(b"123")
    assert not ends
    connection.data_received(b"4")
    assert ends == [True], "`on_eof` does not call back"


async def test_a_refused_body_fails_for_its_reader() -> None:
    async def read(request: web.BaseRequest) -> web.StreamResponse:
        with pytest.raises(web.RequestPayloadError):
            await request.read()
        raised.append(True)
        return web.Response()

    raised: list[bool] = []
    connection, _ = connected(read)
    connection.data_received(CHUNKED)
    body = head_of(connection).body
    await settle()
    connection.data_received(b"no chunk\r\n")
    error = connection.parsed_request()
    assert isinstance(error, BaseException), "the error of a body is not in `_messages`"
    fail_body(body, error)
    await settle()
    assert raised, "a body that was failed is not at its end"
    assert body.is_eof()


Next = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FixedResponse(RawResponse):
    def block(self) -> bytes:
        return b"HTTP/1.1 204 No Content\r\n\r\n"


async def test_a_raw_response_is_sent_as_it_is_as_often_as_it_is_returned() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return raw

    raw = FixedResponse()
    connection, transport = connected(handler)
    connection.data_received(GET + GET)
    await settle()
    assert transport.sent == raw.block() * 2, "`prepare` and `write_eof` are not all that is called"
    assert not transport.closed, "`keep_alive` of the response is not what counts"


async def test_a_raw_response_waits_for_its_reader() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return FixedResponse()

    connection, transport = connected(handler)
    assert not connection.writing_paused
    connection.pause_writing()
    assert connection.writing_paused
    connection.data_received(GET)
    await settle()
    assert transport.sent
    assert connection.calls == ["before"], "`writer.drain` does not wait"
    connection.resume_writing()
    await settle()
    assert connection.calls == ["before", "after"]


async def test_a_site_closes_the_server_that_it_adopted() -> None:
    class Ours(Site):
        @property
        def name(self) -> str:
            return "ours"

        async def start(self) -> None:
            await super().start()
            self.adopt(listening)

    runner = web.AppRunner(web.Application())
    await runner.setup()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    site = Ours(runner)
    await site.start()
    assert runner.sites == {site}
    await site.stop()
    assert not listening.is_serving(), "`_server` is not what `stop` closes"
    await runner.cleanup()


async def test_a_wrapped_handler_is_called_with_requests_of_the_application() -> None:
    async def here(request: web.Request) -> web.StreamResponse:
        return web.Response(text="inner")

    def wrap(inner: Handler) -> Handler:
        async def outer(request: web.BaseRequest) -> web.StreamResponse:
            types.append(type(request))
            return await inner(request)

        return outer

    types: list[type] = []
    application = web.Application()
    application.router.add_get("/", here)
    runner = web.AppRunner(application)
    await runner.setup()
    assert runner.server is not None
    wrap_handler(runner.server, wrap)
    connection, transport = RecordedConnection(runner.server), RecordedTransport()
    connection.connection_made(transport)
    connection.data_received(GET)
    await settle()
    assert types == [web.Request], "`request_handler` is not what a server calls"
    assert transport.sent.endswith(b"inner")
    await runner.cleanup()


async def test_a_middleware_can_be_put_around_those_of_an_application() -> None:
    @web.middleware
    async def inner(request: web.Request, handler: Next) -> web.StreamResponse:
        calls.append("inner")
        return await handler(request)

    @web.middleware
    async def outer(request: web.Request, handler: Next) -> web.StreamResponse:
        calls.append("outer")
        return await handler(request)

    calls: list[str] = []
    application = web.Application(middlewares=[inner])
    application.middlewares.insert(0, outer)
    runner = web.AppRunner(application)
    await runner.setup()
    assert runner.server is not None
    connection = RecordedConnection(runner.server)
    connection.connection_made(RecordedTransport())
    connection.data_received(GET)
    await settle()
    assert calls == ["outer", "inner"], "`middlewares` is not what an application runs, in order"
    await runner.cleanup()


def test_the_parser_in_python_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not parses_in_python()
    script = "from authgw.web import aiohttp_internals as a; exit(a.parses_in_python())"
    env = {**os.environ, "AIOHTTP_NO_EXTENSIONS": "1"}
    result = subprocess.run([sys.executable, "-c", script], env=env, check=False)
    assert result.returncode == 1, "`HttpRequestParser` is not the class of the parser in use"
    monkeypatch.setattr(http_parser, "HttpRequestParser", http_parser.HttpRequestParserPy)
    assert parses_in_python()
