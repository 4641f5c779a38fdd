"""Servers to compare the gateway with: a constant response, no decision.

`python -m bench.servers aiohttp|httptools PORT FILE asyncio|uvloop`; the file holds the bytes of
an answer of the gateway.
"""

import asyncio
import sys
from pathlib import Path

import httptools
import uvloop
from aiohttp import web

from bench.http import fields

# As many as the gateway has, and those that aiohttp writes by itself.
_ROUTES = ("/ping", "/healthz", "/readyz", "/sessions", "/authenticate/forward", "/metrics")
_OWN = {"date", "server", "content-length", "content-type"}


def plain_aiohttp(port: int, given: bytes, loop: asyncio.AbstractEventLoop) -> None:
    """An Application with a router, whose handler answers with the same headers at once."""
    headers = {name.title(): value for name, value in fields(given).items() if name not in _OWN}

    async def answer(request: web.Request) -> web.Response:
        return web.Response(headers=headers)

    app = web.Application()
    app.add_routes([web.get(path, answer) for path in (*_ROUTES, "/authenticate")])
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None, loop=loop)


class RawServer(asyncio.Protocol):
    """The limit for Python: parse the request, write the prepared bytes."""

    def __init__(self, given: bytes) -> None:
        self._given = given

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        # uvloop's transports are no asyncio.Transport, but have the same methods.
        self._transport.write(self._given)  # type: ignore[attr-defined]  # a TCP transport


def raw_httptools(port: int, given: bytes, loop: asyncio.AbstractEventLoop) -> None:
    """Serve the raw protocol for ever."""
    loop.run_until_complete(loop.create_server(lambda: RawServer(given), "127.0.0.1", port))
    loop.run_forever()


if __name__ == "__main__":
    kind, port, file, name = sys.argv[1:]
    server = plain_aiohttp if kind == "aiohttp" else raw_httptools
    loop = uvloop.new_event_loop() if name == "uvloop" else asyncio.new_event_loop()
    server(int(port), Path(file).read_bytes(), loop)
