"""How the servers of a Redis are doing: what an operator should know and nothing is refused for."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from authgw.storage.redis_calls import Servers, unavailable
from authgw.storage.redis_server import AWAY, Server, obeyed, seconds

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
        StoreUnavailable: one cannot be asked now.
    """
    try:
        async with asyncio.timeout(_DEADLINE):
            return tuple([await _health(server) for server in await servers.all()])
    except AWAY as error:
        raise unavailable(error) from None


async def _health(server: Server) -> Health:
    sent = time.time()
    (told,) = await server.ask([("TIME",)])
    took = time.time() - sent
    info: Any = await server.client.info()
    on = bool(info.get("aof_enabled"))
    fsync = (await _setting(server, "appendfsync") or "unknown") if on else ""
    failed = "err" in (info.get("aof_last_write_status"), info.get("rdb_last_bgsave_status"))
    return Health(
        name=server.name,
        version=str(info["redis_version"]),
        took=took,
        clock_ahead=seconds(obeyed(told)) - (sent + took / 2),
        appendfsync=fsync,
        snapshots=await _setting(server, "save"),
        saves=not failed,
    )


async def _setting(server: Server, name: str) -> str | None:
    try:
        found: Any = await server.client.config_get(name)
    except RedisError:
        # Not granted to authgw's user, or renamed by who offers this Redis.
        return None
    return str(found.get(name, ""))
