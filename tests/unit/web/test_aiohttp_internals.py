"""Each undocumented use of aiohttp; a failure names the change."""

import asyncio
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import aiohttp
import pytest
from aiohttp import http_parser, web

from authgw.web.aiohttp_internals import fail_body, parses_in_python


def test_the_version_is_limited_to_the_one_that_these_tests_are_for() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert "aiohttp>=3.14,<3.15" in project["project"]["dependencies"]
    assert aiohttp.__version__.startswith("3.14."), "read authgw/web/aiohttp_internals.py again"


async def test_a_refused_body_fails_for_its_reader() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        asyncio.get_running_loop().call_soon(fail_body, request)
        with pytest.raises(web.RequestPayloadError):
            await request.read()
        raised.set()
        return web.Response()

    raised = asyncio.Event()
    server = web.Server(handler, access_log=None)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    async with asyncio.timeout(10):
        await raised.wait()
        # A body at its end is not waited for.
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    writer.close()
    listening.close()
    await server.shutdown(1)


def test_the_parser_in_python_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not parses_in_python()
    script = "from authgw.web import aiohttp_internals as a; exit(a.parses_in_python())"
    env = {**os.environ, "AIOHTTP_NO_EXTENSIONS": "1"}
    found = subprocess.run([sys.executable, "-c", script], env=env, check=False)
    assert found.returncode == 1, "`HttpRequestParser` is not the class of the parser in use"
    monkeypatch.setattr(http_parser, "HttpRequestParser", http_parser.HttpRequestParserPy)
    assert parses_in_python()
