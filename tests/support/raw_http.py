"""Requests as bytes on a connection of their own, to a gateway in this process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from tests.support.gateway import ORIGINAL, RunningGateway

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(quick: RunningGateway) -> AsyncIterator[Streams]:
    server = quick.client.server
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def asking(access: str | None, line: str = "GET /authenticate HTTP/1.1", **more: str) -> bytes:
    named = {name.replace("_", "-"): value for name, value in more.items()}
    credentials = {} if access is None else {"Authorization": f"Bearer {access}"}
    headers = {"Host": "x", **ORIGINAL, **credentials, **named}
    said = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{line}\r\n{said}\r\n".encode()


async def known(quick: RunningGateway, user_id: int = 1) -> str:
    """A token whose answer is known."""
    access: str = (await quick.login(user_id))["access"]
    for _ in range(2):
        assert (await quick.check(access, **ORIGINAL)).status == 200
    return access


async def answer(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode()
    status, *lines = head.split("\r\n")[:-2]
    pairs = (line.partition(":") for line in lines)
    return status, {name: value.strip() for name, _, value in pairs}


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.01)


_READ = 256 * 1024  # bytes that asyncio reads at once


async def everything(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the connection ends, which must be soon."""
    said = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(10):
            while part := await reader.read(_READ):
                said += part
    return said


async def told(quick: RunningGateway, parts: Sequence[bytes]) -> bytes:
    """All that is answered to these packets."""
    async with connected(quick) as (reader, writer):
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.001)
        return await everything(reader)
