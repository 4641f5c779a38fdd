"""A forwarder to Redis that can lose pushed messages silently."""

import asyncio
from types import TracebackType

_CHUNK = 65536  # bytes


class FaultyForwarder:
    """Forwards connections to a port of loopback; while `cut`, subscribers receive nothing.

    `lost` counts the bytes that they did not receive.
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
        # The forwarding ends as soon as it sees that.
        await asyncio.sleep(0.05)

    async def _forward(self, asked: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        answered, server = await asyncio.open_connection("127.0.0.1", self._port)
        self._links |= {client, server}
        subscribed = asyncio.Event()
        await asyncio.gather(
            self._questions(asked, server, subscribed),
            self._answers(answered, client, subscribed),
        )

    async def _questions(
        self, asked: asyncio.StreamReader, server: asyncio.StreamWriter, subscribed: asyncio.Event
    ) -> None:
        while data := await _read(asked):
            if b"SUBSCRIBE" in data.upper():
                self.subscribed = True
                subscribed.set()
            server.write(data)
        server.close()

    async def _answers(
        self,
        answered: asyncio.StreamReader,
        client: asyncio.StreamWriter,
        subscribed: asyncio.Event,
    ) -> None:
        while data := await _read(answered):
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
