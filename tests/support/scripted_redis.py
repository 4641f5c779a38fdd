"""A server in the event loop of its test that replies to commands as it is told."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import hiredis

_GREETING = b"%1\r\n$5\r\nproto\r\n:3\r\n"
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: close(2) sends RST


class ScriptedServer:
    """`replies` maps names of commands to raw replies; all others are OK.

    With None in place of a reply, this and all later replies on the connection wait for `release`.
    Each item of `received` is what a single read brought: the commands that were sent together.
    """

    def __init__(self) -> None:
        self.received: list[list[list[bytes]]] = []
        self.replies: dict[bytes, bytes | Callable[[list[bytes]], bytes] | None] = {
            b"HELLO": _GREETING,
            b"PING": lambda words: b"+PONG\r\n" if len(words) == 1 else bulk(words[1]),
            b"ECHO": lambda words: bulk(words[1]),
        }
        self.links: list[asyncio.StreamWriter] = []
        self.port = 0
        self._held: dict[asyncio.StreamWriter, list[bytes]] = {}

    @property
    def commands(self) -> list[list[bytes]]:
        """All commands in the order of their arrival."""
        return [words for together in self.received for words in together]

    def count(self, name: bytes) -> int:
        """Return the number of commands of this name."""
        return sum(words[0] == name for words in self.commands)

    def release(self, number: int, reply: bytes) -> None:
        """Send this reply, and those that waited behind it, on the connection of this number."""
        link = self.links[number]
        link.write(reply + b"".join(self._held.pop(link)))

    def reset(self) -> None:
        """Reset all connections."""
        for link in self.links:
            sock = link.get_extra_info("socket")
            if not link.transport.is_closing():
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            link.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Reply to the commands of a connection."""
        self.links.append(writer)
        with suppress(ConnectionError):
            await self._reply(reader, writer)
        writer.close()

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = hiredis.Reader()
        while data := await reader.read(65536):
            parser.feed(data)
            self.received.append([])
            while words := parser.gets():
                self.received[-1].append(words)
                reply = self.replies.get(words[0], b"+OK\r\n")
                text = reply(words) if callable(reply) else reply or b""
                if reply is None:
                    self._held[writer] = []
                elif writer in self._held:
                    self._held[writer].append(text)
                else:
                    writer.write(text)


@asynccontextmanager
async def scripted_server() -> AsyncIterator[ScriptedServer]:
    """Run such a server on a port of its own."""
    server = ScriptedServer()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    yield server
    listening.close()
    for link in server.links:
        link.transport.abort()


def bulk(text: bytes) -> bytes:
    """Return a text as a reply."""
    return b"$%d\r\n%b\r\n" % (len(text), text)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until a condition is true."""
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110  nothing tells when bytes have arrived
            await asyncio.sleep(0.001)
