"""Servers for comparison, which send a fixed response and make no decision.

`python -m bench.servers aiohttp|httptools PORT FILE asyncio|uvloop`; the file contains the bytes
of a response of the gateway.
"""

import asyncio
import sys
from pathlib import Path

import httptools
import uvloop
from aiohttp import web

from bench.http import fields

# As many routes as the gateway has.
_ROUTES = ("/ping", "/healthz", "/readyz", "/sessions", "/authenticate/forward", "/metrics")
# Headers that aiohttp adds itself.
_OWN = {"date", "server", "content-length", "content-type"}


def plain_aiohttp(port: int, given: bytes, loop: asyncio.AbstractEventLoop) -> None:
    """Serve an aiohttp application with a router, whose handler only sets the same headers."""
    headers = {name.title(): value for name, value in fields(given).items() if name not in _OWN}

    async def answer(request: web.Request) -> web.Response:
        return web.Response(headers=headers)

    app = web.Application()
    app.add_routes([web.get(path, answer) for path in (*_ROUTES, "/authenticate")])
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None, loop=loop)


class RawServer(asyncio.Protocol):
    """Protocol of minimal cost in Python: parses the request, writes the prepared bytes."""

    def __init__(self, given: bytes) -> None:
        self._given = given

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Create the parser of this connection."""
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Parse received bytes."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Write the response."""
        # uvloop's transports do not derive from asyncio.Transport but have the same methods.
        self._transport.write(self._given)  # type: ignore[attr-defined]  # a TCP transport


def raw_httptools(port: int, given: bytes, loop: asyncio.AbstractEventLoop) -> None:
    """Serve the raw protocol until the process ends."""
    loop.run_until_complete(loop.create_server(lambda: RawServer(given), "127.0.0.1", port))
    loop.run_forever()


if __name__ == "__main__":
    kind, port, file, name = sys.argv[1:]
    server = plain_aiohttp if kind == "aiohttp" else raw_httptools
    loop = uvloop.new_event_loop() if name == "uvloop" else asyncio.new_event_loop()
    server(int(port), Path(file).read_bytes(), loop)
