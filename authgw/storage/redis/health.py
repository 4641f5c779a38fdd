"""How the servers of a Redis are doing: what an operator should know and nothing is refused for."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from authgw.storage.redis.commands import Servers, unavailable
from authgw.storage.redis.node import AWAY, RedisNode, obeyed, seconds
from authgw.storage.redis.replies import Request, is_settings, is_time

_DEADLINE = 2.0  # seconds for all questions


@dataclass(frozen=True, slots=True)
class Health:
    """One master; `clock_ahead` and `took` are in seconds, `appendfsync` is empty without AOF.

    `snapshots` is its `save` setting, None if it may not be asked. `saves` is whether it can
    write what it should to disk.
    """

    name: str
    version: str
    took: float
    clock_ahead: float
    appendfsync: str
    snapshots: str | None
    saves: bool


async def health(servers: Servers) -> tuple[Health, ...]:
    """How each master is doing.

    Raises:
        StoreUnavailableError: one cannot be asked now.
    """
    try:
        async with asyncio.timeout(_DEADLINE):
            return tuple([await _health(server) for server in await servers.all()])
    except AWAY as error:
        raise unavailable(error) from None


async def _health(server: RedisNode) -> Health:
    sent = time.time()
    (told,) = await server.ask([Request(("TIME",), is_time)])
    took = time.time() - sent
    info = await server.info()
    on = info.get("aof_enabled", "0") != "0"
    fsync = (await _setting(server, "appendfsync") or "unknown") if on else ""
    failed = "err" in (info.get("aof_last_write_status"), info.get("rdb_last_bgsave_status"))
    return Health(
        name=server.name,
        version=info.get("redis_version", "unknown"),
        took=took,
        clock_ahead=seconds(obeyed(told)) - (sent + took / 2),
        appendfsync=fsync,
        snapshots=await _setting(server, "save"),
        saves=not failed,
    )


async def _setting(server: RedisNode, name: str) -> str | None:
    (told,) = await server.ask([Request(("CONFIG", "GET", name), is_settings)])
    if isinstance(told, ResponseError):
        # Not granted to authgw's user, or renamed by who offers this Redis.
        return None
    found = told if isinstance(told, dict) else dict(zip(told[::2], told[1::2], strict=True))
    value: Any = found.get(name.encode(), b"")
    return str(value.decode("utf-8"))
