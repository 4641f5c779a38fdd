"""Clients that send requests through NGINX at a constant rate, each with a session."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.processes import ISSUED

_TIMEOUT = 10.0  # seconds for a response
_MAX_ATTEMPTS = 20  # attempts with the same token of a refresh that failed


@dataclass(frozen=True, slots=True)
class PageResponse:
    status: int
    head: bytes
    body: bytes


@dataclass
class PageVisitor:
    """A client with a session, which refreshes after a number of pages; 0 is never."""

    user_id: int
    pair: dict[str, Any]
    refreshes_every: int = 0


@dataclass
class Tally:
    """Responses to clients: status codes of pages and refreshes, and unexpected responses.

    `put_off` counts refreshes that had a 503 and then succeeded with the same token.
    """

    pages: Counter[int] = field(default_factory=Counter)
    refreshes: Counter[int] = field(default_factory=Counter)
    put_off: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


Judge = Callable[[PageVisitor, PageResponse], str]


def mismatch(person: PageVisitor, reply: PageResponse) -> str:
    """Return the mismatch of a response to a client that may see the page, or ""."""
    if reply.status != 200:
        return f"{reply.status} {reply.body[:100]!r}"
    headers = dict(json.loads(reply.body)["headers"])
    return "" if headers.get("Remote-User") == str(person.user_id) else f"is {headers}"


@contextmanager
def load(
    port: int, people: Sequence[PageVisitor], *, rate: float, judge: Judge = mismatch
) -> Iterator[Tally]:
    """Request `rate` pages per second in total, from a thread, until the block ends."""
    tally, over = Tally(), threading.Event()
    pause = len(people) / rate

    async def all_clients() -> None:
        begins = (number * pause / len(people) for number in range(len(people)))
        visits = (
            _visit(port, one, begin, pause, tally, judge, over)
            for one, begin in zip(people, begins, strict=True)
        )
        await asyncio.gather(*visits)

    thread = threading.Thread(target=lambda: asyncio.run(all_clients()), daemon=True)
    thread.start()
    try:
        yield tally
    finally:
        over.set()
        thread.join(_TIMEOUT * 3)
    assert not thread.is_alive(), "somebody waits for an answer for ever"


async def _visit(
    port: int,
    person: PageVisitor,
    begin: float,
    pause: float,
    tally: Tally,
    judge: Judge,
    over: threading.Event,
) -> None:
    link, clock = _NginxConnection(port), asyncio.get_running_loop().time
    due, sent = clock() + begin, 0
    while not over.is_set():
        await asyncio.sleep(max(0.0, due - clock()))
        due = max(due + pause, clock() - 1.0)
        try:
            reply = await link.get(person.pair["access"])
            wrong = judge(person, reply)
            tally.pages[reply.status] += 1
        except (OSError, EOFError, TimeoutError) as error:
            wrong = type(error).__name__
        if wrong:
            tally.wrong.append(f"user {person.user_id}: {wrong}")
        sent += 1
        if person.refreshes_every and sent % person.refreshes_every == 0:
            await _refresh(link, person, tally)
    link.close()


async def _refresh(link: "_NginxConnection", person: PageVisitor, tally: Tally) -> None:
    for _ in range(_MAX_ATTEMPTS):
        reply = await link.refresh(person.pair["refresh"])
        tally.refreshes[reply.status] += 1
        if reply.status == 200:
            person.pair = json.loads(reply.body)
            ISSUED.update((person.pair["access"], person.pair["refresh"]))
            return
        if reply.status != 503:
            break
        tally.put_off.append(reply.body.decode(errors="replace"))
        await asyncio.sleep(0.1)
    tally.wrong.append(f"user {person.user_id}: refresh {reply.status} {reply.body[:200]!r}")


class _NginxConnection:
    """A persistent connection to NGINX, which is reopened after NGINX announces its close."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writer: asyncio.StreamWriter | None = None

    async def get(self, token: str) -> PageResponse:
        """Request a protected page."""
        return await self._ask(f"GET /page HTTP/1.1\r\nAuthorization: Bearer {token}\r\n", b"")

    async def refresh(self, token: str) -> PageResponse:
        """Present a refresh token."""
        body = json.dumps({"refresh": token}).encode()
        body_headers = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return await self._ask(f"POST /refresh HTTP/1.1\r\n{body_headers}", body)

    def close(self) -> None:
        """Close the connection."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    async def _ask(self, head: str, body: bytes) -> PageResponse:
        try:
            async with asyncio.timeout(_TIMEOUT):
                return await self._exchange(head, body)
        except BaseException:
            self.close()
            raise

    async def _exchange(self, head: str, body: bytes) -> PageResponse:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(f"{head}Host: localhost\r\n\r\n".encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        fields = dict(
            line.lower().split(b": ", 1) for line in answer.split(b"\r\n")[1:] if b": " in line
        )
        text = await self._reader.readexactly(int(fields[b"content-length"]))
        if fields.get(b"connection") == b"close":
            self.close()
        return PageResponse(int(answer.split(b" ", 2)[1]), answer, text)
