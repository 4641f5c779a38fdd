"""What the gateway is compared with; both give its answer and decide nothing.

`python -m bench.servers aiohttp|httptools PORT`
"""

import asyncio
import sys

import httptools
from aiohttp import web

HEADERS = {
    "Remote-User": "1",
    "Remote-Groups": "",
    "Remote-Email": "",
    "Remote-Name": "",
    "Cache-Control": "no-store",
}
_HEAD = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
_ANSWER = f"HTTP/1.1 200 OK\r\n{_HEAD}Content-Length: 0\r\n\r\n".encode()


def plain_aiohttp(port: int) -> None:
    """An Application with a router, whose handler answers at once."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(headers=HEADERS)

    app = web.Application()
    app.add_routes([web.get("/authenticate", answer), web.get("/healthz", answer)])
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


class Raw(asyncio.Protocol):
    """The limit for Python: parse the request, write a prepared answer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        assert isinstance(self._transport, asyncio.Transport)  # noqa: S101  as TCP servers give
        self._transport.write(_ANSWER)


async def raw_httptools(port: int) -> None:
    """Serve the raw protocol for ever."""
    server = await asyncio.get_running_loop().create_server(Raw, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    kind, port = sys.argv[1], int(sys.argv[2])
    if kind == "aiohttp":
        plain_aiohttp(port)
    else:
        asyncio.run(raw_httptools(port))
