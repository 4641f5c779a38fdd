"""The same messages on connections of their own, kept, pipelined and split: same answers.

The answer that a message has alone on a connection is the reference. It says also whether the
connection ends with it: then nothing that follows may be answered.
"""

import asyncio
import contextlib
import itertools
import json
import re
import socket
from base64 import urlsafe_b64decode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from tests.support.messages import Message

_PROBE = Message("probe", b"GET /ping HTTP/1.1\r\nHost: probe\r\n\r\n")
_READ = 65536
_TOKEN = re.compile(rb"eyJ[\w-]+\.([\w-]+)\.[\w-]+")
_RANDOM = re.compile(rb"[0-9a-f]{16}|[\w-]{21,}|(?<=_in\": )\d+")
_CHANGING = ("date:",)


@dataclass(frozen=True, slots=True)
class MessageOutcome:
    """The response to a message, without the parts that differ each time."""

    interim: int  # answers of 1xx before it
    status: str
    headers: tuple[str, ...]
    body: bytes
    last: bool  # it says that its connection ends


@dataclass(slots=True)
class Difference:
    """An answer that is not as it is on a connection of its own; None without it."""

    way: str
    message: Message
    expected: MessageOutcome | None
    found: MessageOutcome | None

    def __str__(self) -> str:
        sent = self.message.raw[:400]
        said = (f"\n- {self.expected}"[:500], f"\n+ {self.found}"[:500])
        return f"{self.way} ({self.message.kind}): {sent!r}" + "".join(said)


class NoResponseError(Exception):
    """Raised if the connection ended or timed out before a response was complete."""


class Link:
    """A connection; data sent after the server closed it is lost, received responses are not."""

    def __init__(self, link: socket.socket, patience: float) -> None:
        self._link = link
        self._patience = patience
        self._heard = b""

    def __enter__(self) -> "Link":
        return self

    def __exit__(self, *_: object) -> None:
        self._link.close()

    async def send(self, parts: Sequence[bytes]) -> None:
        """Send these, each in a packet of its own where the system lets it."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            for part in parts:
                await loop.sock_sendall(self._link, part)
                # In one turn of the loop a server of this process has not read the first part yet.
                await asyncio.sleep(0)
                await asyncio.sleep(0)

    async def answer(self, message: Message) -> MessageOutcome:
        """Return the next response, which is for this message.

        Raises:
            NoResponseError: the connection ended or timed out first.
        """
        interim = 0
        while True:
            head = await self._until_end_of_head()
            status, *lines = head.decode("latin-1").split("\r\n")[:-2]
            if not status.startswith("HTTP/1.1 1"):
                break
            interim += 1
        named = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
        # Of a request that cannot be read the gateway knows no method.
        empty = message.is_head and not status.startswith("HTTP/1.0 400 ")
        body = b"" if empty else await self._exactly(int(named.get("content-length", 0)))
        kept = "close" if status.startswith("HTTP/1.0") else "keep-alive"
        last = named.get("connection", kept) == "close"
        usual = [each for each in lines if not each.lower().startswith(_CHANGING)]
        if _TOKEN.search(body) or b"<html" in body:
            # Tokens of an answer may differ in length.
            usual = [each for each in usual if not each.startswith("Content-Length")]
        headers = tuple(sorted(_plain(each.encode("latin-1")).decode("latin-1") for each in usual))
        return MessageOutcome(interim, status, headers, _plain(body), last)

    async def is_over(self) -> bool:
        """Return True if the server closes the connection without another byte."""
        try:
            return not self._heard and not await self._more()
        except NoResponseError:
            return False

    async def _until_end_of_head(self) -> bytes:
        while b"\r\n\r\n" not in self._heard:
            await self._need_more()
        head, end, self._heard = self._heard.partition(b"\r\n\r\n")
        return head + end

    async def _exactly(self, size: int) -> bytes:
        while len(self._heard) < size:
            await self._need_more()
        body, self._heard = self._heard[:size], self._heard[size:]
        return body

    async def _need_more(self) -> None:
        if not await self._more():
            raise NoResponseError

    async def _more(self) -> bool:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._patience):
                heard = await loop.sock_recv(self._link, _READ)
        except TimeoutError:
            raise NoResponseError from None
        except ConnectionError:
            return False
        self._heard += heard
        return bool(heard)


def _plain(text: bytes) -> bytes:
    """Return a text without the parts that differ in each response; of a token, keep its user."""
    return _RANDOM.sub(b"*", _TOKEN.sub(_subject, text))


def _always(parts: Sequence[bytes]) -> Callable[[bytes], Sequence[bytes]]:
    return lambda _: parts


def _subject(found: re.Match[bytes]) -> bytes:
    claims = json.loads(urlsafe_b64decode(found[1] + b"=="))
    return f"<{claims.get('typ')} of {claims['sub']}>".encode()


@dataclass(slots=True)
class Differential:
    """Sends messages in every way to an address and keeps the differences."""

    address: tuple[str, int] | str
    choose: Random
    patience: float = 20.0  # seconds
    most: int = 64  # messages that are pipelined
    found: list[Difference] = field(default_factory=list)
    answered: int = 0

    async def run(self, messages: Sequence[Message]) -> None:
        """Send these alone, kept, pipelined, split, and alone again."""
        expected = [await self._alone(message) for message in messages]
        pairs = [(m, e) for m, e in zip(messages, expected, strict=True) if e is not None]
        await self._in_bursts("kept", pairs, lambda: 1)
        await self._in_bursts("pipelined", pairs, lambda: self.choose.randint(2, self.most))
        await self._in_bursts(
            "split", pairs, lambda: self.choose.randint(1, self.most), self._split
        )
        for message, answer in pairs:
            again = await self._alone(message)
            if again != answer:
                self.found.append(Difference("alone again", message, answer, again))

    async def run_cut(
        self, messages: Sequence[Message], places: Callable[[bytes], Sequence[int]]
    ) -> None:
        """Send these pipelined, cut once at each of these places, then byte by byte.

        Messages after the last message of the connection have no answer.
        """
        expected = [await self._alone(message) for message in messages]
        pairs = [(m, e) for m, e in zip(messages, expected, strict=True) if e is not None]
        raw = b"".join(message.raw for message, _ in pairs)
        ways = {f"cut at {place}": [raw[:place], raw[place:]] for place in places(raw)}
        ways["byte by byte"] = [raw[place : place + 1] for place in range(len(raw))]
        for way, parts in ways.items():
            with await self._connect() as link:
                await self._burst(way, link, pairs, _always(parts))

    async def _connect(self) -> Link:
        unix = isinstance(self.address, str)
        link = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        link.setblocking(False)
        if not unix:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(link, self.address)
        return Link(link, self.patience)

    async def _alone(self, message: Message) -> MessageOutcome | None:
        """Return the response on a separate connection, after which another request has its own."""
        with await self._connect() as link:
            try:
                await link.send([message.raw])
                answer = await link.answer(message)
                if answer.last:
                    over = await link.is_over()
                else:
                    await link.send([_PROBE.raw])
                    over = (await link.answer(_PROBE)).body == b"pong"
            except NoResponseError:
                answer, over = None, False
        self.answered += 1
        if not over:
            self.found.append(Difference("alone", message, None, answer))
        return answer if over else None

    async def _in_bursts(
        self,
        way: str,
        pairs: Sequence[tuple[Message, MessageOutcome]],
        size: Callable[[], int],
        split: Callable[[bytes], Sequence[bytes]] | None = None,
    ) -> None:
        """Send all in order: on the same connection as long as it is kept, several at a time."""
        left = list(pairs)
        while left:
            with await self._connect() as link:
                kept = True
                while left and kept:
                    burst = left[: size()]
                    count = await self._burst(way, link, burst, split)
                    left = left[count:]
                    kept = count == len(burst) and not burst[-1][1].last

    async def _burst(
        self,
        way: str,
        link: Link,
        burst: Sequence[tuple[Message, MessageOutcome]],
        split: Callable[[bytes], Sequence[bytes]] | None,
    ) -> int:
        """Send these together; return how many of them are done, whether they differ or not."""
        raw = b"".join(message.raw for message, _ in burst)
        sending = asyncio.create_task(link.send(split(raw) if split else [raw]))
        try:
            for number, (message, expected) in enumerate(burst, 1):
                self.answered += 1
                try:
                    found = await link.answer(message)
                except NoResponseError:
                    found = None
                if found != expected:
                    self.found.append(Difference(way, message, expected, found))
                    return number
                if expected.last:
                    if not await link.is_over():
                        self.found.append(Difference(f"{way}, then", message, None, found))
                    return number
            # A response can arrive before the whole body is sent; the next request comes after it.
            await sending
            return len(burst)
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending

    def _split(self, raw: bytes) -> Sequence[bytes]:
        """Cut at random bytes, few or many, now and then around the ends of heads."""
        often = self.choose.choice((0.0, 0.02, 0.3))
        cuts = {self.choose.randrange(len(raw)) for _ in range(self.choose.choice((1, 2, 12)))}
        for found in re.finditer(rb"\r\n\r\n", raw):
            if self.choose.random() < often:
                cuts.add(found.start() + self.choose.randint(0, 5))
        places = [0, *sorted(each for each in cuts if 0 < each < len(raw)), len(raw)]
        return [raw[a:b] for a, b in itertools.pairwise(places)]
