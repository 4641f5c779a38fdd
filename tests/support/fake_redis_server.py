"""A fakeredis that is reached by TCP, as the store's connections reach a Redis.

fakeredis has a server of its own, which closes a connection after each refusal.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import fakeredis
import hiredis
from redis.exceptions import ResponseError

_GREETING = b"%1\r\n$5\r\nproto\r\n:3\r\n"


@asynccontextmanager
async def fake_redis_server() -> AsyncIterator[int]:
    """Run an empty fakeredis in this event loop; yield its port."""
    client = fakeredis.FakeAsyncRedis()
    tasks: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        connection: Any = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]  # no types there
        parser = hiredis.Reader()
        while data := await reader.read(65536):
            parser.feed(data)
            while (words := parser.gets()) is not False:
                writer.write(await _reply(connection, words))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            if task is not None:
                task.cancel()
        await client.aclose()


async def _reply(connection: Any, words: list[bytes]) -> bytes:
    if words[0] == b"HELLO":
        return _GREETING
    await connection.send_command(*words)
    try:
        return _encoded(await connection.read_response())
    except ResponseError as refusal:
        code = refusal.status_code or "ERR"
        return f"-{code} {refusal}\r\n".encode()


def _encoded(reply: Any) -> bytes:
    if reply is None:
        return b"_\r\n"
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    if isinstance(reply, list):
        return b"*%d\r\n%b" % (len(reply), b"".join(map(_encoded, reply)))
    if reply == b"OK":
        return b"+OK\r\n"
    return b"$%d\r\n%b\r\n" % (len(reply), reply)
