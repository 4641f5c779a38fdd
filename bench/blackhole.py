"""TCP proxy for Redis that can drop pushed messages without closing connections."""

import asyncio
from types import TracebackType

_CHUNK = 65536  # bytes


class FaultyForwarder:
    """Forwards connections to a loopback port; while `cut`, subscribed clients receive nothing.

    `lost` counts the dropped bytes.
    """

    def __init__(self, port: int) -> None:
        self.cut = False
        self.lost = 0
        self.subscribed = False
        self._port = port
        self._links: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> "FaultyForwarder":
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for link in self._links:
            link.close()
        # Let the forwarding tasks see the close and end.
        await asyncio.sleep(0.05)

    async def _forward(self, requests: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        replies, server = await asyncio.open_connection("127.0.0.1", self._port)
        self._links |= {client, server}
        subscribed = asyncio.Event()
        await asyncio.gather(
            self._forward_requests(requests, server, subscribed),
            self._forward_replies(replies, client, subscribed),
        )

    async def _forward_requests(
        self,
        requests: asyncio.StreamReader,
        server: asyncio.StreamWriter,
        subscribed: asyncio.Event,
    ) -> None:
        while data := await _read(requests):
            if b"SUBSCRIBE" in data.upper():
                self.subscribed = True
                subscribed.set()
            server.write(data)
        server.close()

    async def _forward_replies(
        self,
        replies: asyncio.StreamReader,
        client: asyncio.StreamWriter,
        subscribed: asyncio.Event,
    ) -> None:
        while data := await _read(replies):
            if self.cut and subscribed.is_set():
                self.lost += len(data)
            else:
                client.write(data)
        client.close()


async def _read(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.read(_CHUNK)
    except ConnectionError:
        return b""
