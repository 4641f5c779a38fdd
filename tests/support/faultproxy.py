"""A TCP proxy on loopback that can be disturbed at run time, for the way to Redis.

It disturbs as networks and servers do: TCP loses no bytes in the midst of a connection, so bytes
that a black hole held back arrive late, even if the sender has disconnected by then, and a
connection that lost a reply delivers no further reply.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

_CHUNK = 65536  # bytes
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: close(2) sends RST

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fault:
    """Effects on connections; the default passes data on.

    `delay`: seconds that every chunk waits, either way. `hold`: nothing passes until the fault
    ends. `lose_replies`: requests pass, replies don't. `refuse`: nobody listens. `reset`: every
    connection is reset at once. `cut_requests`, `cut_replies`: a connection is reset after so many
    bytes that way. `stall_replies`: after so many bytes of replies no more arrive.
    `alter_replies`: returns what arrives in place of each chunk of replies. `say`: the answer to
    every command, which the server never sees.
    """

    name: str
    delay: float = 0.0
    hold: bool = False
    lose_replies: bool = False
    refuse: bool = False
    reset: bool = False
    cut_requests: int | None = None
    cut_replies: int | None = None
    stall_replies: int | None = None
    alter_replies: Callable[[bytes], bytes] | None = None
    say: bytes = b""


NONE = Fault("none")
BLACK_HOLE = Fault("black hole", hold=True)
LOST_REPLIES = Fault("lost replies", lose_replies=True)
REFUSED = Fault("refused", refuse=True)
RESET = Fault("reset", reset=True)


def slow(seconds: float) -> Fault:
    """Everything comes this late."""
    return Fault(f"{seconds} s late", delay=seconds)


def cut_requests(size: int) -> Fault:
    """Connections end after so many bytes of requests."""
    return Fault(f"requests cut after {size} bytes", cut_requests=size)


def cut_replies(size: int) -> Fault:
    """Connections end after so many bytes of replies."""
    return Fault(f"replies cut after {size} bytes", cut_replies=size)


def stalled_replies(size: int) -> Fault:
    """Connections deliver so many bytes of replies, and no more."""
    return Fault(f"replies stall after {size} bytes", stall_replies=size)


def altered_replies(name: str, alter: Callable[[bytes], bytes]) -> Fault:
    """Each chunk of replies is replaced."""
    return Fault(name, alter_replies=alter)


def refusing(error: str) -> Fault:
    """The server says this to every command, such as `LOADING Redis is loading`."""
    return Fault(error.split()[0], say=f"-{error}\r\n".encode())


class FaultProxy:
    """Forwards to `target`, a port of loopback, from `port`; safe to steer from any thread."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._fault = NONE
        self._links: set[_ProxiedConnection] = set()
        self._loop = asyncio.new_event_loop()
        self._passing = asyncio.Event()
        self._server: asyncio.Server | None = None
        # Keeps the port while nobody listens: a connection of another process could take it.
        self._place = _bound(0)
        self.port: int = self._place.getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "FaultProxy":
        self._thread.start()
        self.set(NONE)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.set(REFUSED)
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()
        self._place.close()

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return len(self._links)

    def set(self, fault: Fault) -> None:
        """Disturb in this way from now on; it is in effect when this returns."""
        self._run(self._set(fault))

    @contextlib.contextmanager
    def disturbed(self, fault: Fault) -> Iterator[None]:
        """Disturb in this way for a while."""
        self.set(fault)
        try:
            yield
        finally:
            self.set(NONE)

    def _run(self, work: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result(10)

    async def _set(self, fault: Fault) -> None:
        self._fault = fault
        if fault.hold:
            self._passing.clear()
        else:
            self._passing.set()
        for link in list(self._links):
            link.passed = [0, 0]
            if fault.refuse or fault.reset:
                link.reset()
        if fault.refuse and self._server is not None:
            self._server.close()
            self._server = None
        if not fault.refuse and self._server is None:
            self._server = await asyncio.start_server(self._forward, sock=_bound(self.port))

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _forward(self, asked: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        link = _ProxiedConnection([client])
        self._links.add(link)
        try:
            # Bytes in transit reach the server although the client has left, as on any network.
            await self._passing.wait()
            if self._fault.reset:
                return
            answered, server = await asyncio.open_connection("127.0.0.1", self._target)
            link.ends.append(server)
            await asyncio.gather(
                self._pass(link, asked, server, 0), self._pass(link, answered, client, 1)
            )
        except OSError:
            pass
        finally:
            self._links.discard(link)
            link.reset()

    async def _pass(
        self,
        link: "_ProxiedConnection",
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        way: int,
    ) -> None:
        while data := await source.read(_CHUNK):
            fault = self._fault
            if fault.hold:
                await self._passing.wait()
            if fault.delay:
                await asyncio.sleep(fault.delay)
            if fault.say and way == 0:
                link.ends[0].write(fault.say * link.commands.count(data))
                continue
            if link.is_deaf or (fault.lose_replies and way == 1):
                link.is_deaf = True
                continue
            if fault.alter_replies is not None and way == 1:
                data = fault.alter_replies(data)
            room = _room(fault, link, way)
            sink.write(data if room is None else data[:room])
            link.passed[way] += len(data)
            await sink.drain()
            if room is not None and room < len(data):
                if fault.stall_replies is None:
                    raise ConnectionResetError
                link.is_deaf = way == 1
        sink.close()


class _ProxiedConnection:
    """A connection: its ends (client, server), and the bytes passed on since the fault began."""

    def __init__(self, ends: list[asyncio.StreamWriter]) -> None:
        self.ends = ends
        self.passed = [0, 0]
        self.is_deaf = False
        self.commands = Commands()

    def reset(self) -> None:
        for end in self.ends:
            plug: socket.socket | None = end.get_extra_info("socket")
            if plug is not None and plug.fileno() >= 0 and not end.transport.is_closing():
                plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            end.transport.abort()


class Commands:
    """Counts the commands that a Redis client sends: arrays of bulk strings (RESP)."""

    def __init__(self) -> None:
        self._left = b""

    def count(self, data: bytes) -> int:
        """Return the number of commands that end in this piece."""
        self._left += data
        ended = 0
        while (size := _size(self._left)) is not None:
            self._left = self._left[size:]
            ended += 1
        return ended


def _size(text: bytes) -> int | None:
    """The bytes of the command that this begins with, None if it is not whole."""
    number, place = _number(text, 0)
    for _ in range(number):
        length, place = _number(text, place)
        place += length + 2
    return place if 0 < place <= len(text) else None


def _number(text: bytes, place: int) -> tuple[int, int]:
    """Return the number of a line such as `*3` or `$5`, and the position of the next line."""
    end = text.find(b"\r\n", place)
    return (int(text[place + 1 : end]), end + 2) if end > 0 else (0, len(text) + 1)


def _room(fault: Fault, link: _ProxiedConnection, way: int) -> int | None:
    """Number of bytes that may still pass in this direction, None without a limit."""
    replies = fault.cut_replies if fault.stall_replies is None else fault.stall_replies
    limit = (fault.cut_requests, replies)[way]
    return None if limit is None else max(0, limit - link.passed[way])


def _bound(port: int) -> socket.socket:
    plug = socket.socket()
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    plug.bind(("127.0.0.1", port))
    return plug
