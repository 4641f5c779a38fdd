"""The state of the servers of a Redis, for warnings to the operator; it causes no refusal."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from authgw.storage.redis.commands import Servers, unavailable
from authgw.storage.redis.errors import ResponseError
from authgw.storage.redis.link import COMMUNICATION_ERRORS
from authgw.storage.redis.node import RedisNode, seconds, unless_refused
from authgw.storage.redis.replies import Request, is_settings, is_time

_TIMEOUT = 2.0  # seconds for all commands


@dataclass(frozen=True, slots=True)
class Health:
    """The state of a master; `clock_ahead` and `took` (the round trip) are in seconds.

    `appendfsync` is empty without AOF. `snapshots` is the `save` setting, None without permission
    to read it. `saves` is False if the last write to disk failed.
    """

    name: str
    version: str
    took: float
    clock_ahead: float
    appendfsync: str
    snapshots: str | None
    saves: bool


async def health(servers: Servers) -> tuple[Health, ...]:
    """Return the state of each master.

    Raises:
        StoreUnavailableError: a master cannot be reached.
    """
    try:
        deadline = asyncio.get_running_loop().time() + _TIMEOUT
        async with asyncio.timeout_at(deadline):
            return tuple([await _health(server, deadline) for server in await servers.masters()])
    except COMMUNICATION_ERRORS as error:
        raise unavailable(error) from None


async def _health(server: RedisNode, deadline: float) -> Health:
    sent = time.time()
    (reading,) = await server.execute([Request(("TIME",), is_time)], deadline)
    took = time.time() - sent
    info = await server.info(deadline)
    has_aof = info.get("aof_enabled", "0") != "0"
    fsync = (await _setting(server, "appendfsync", deadline) or "unknown") if has_aof else ""
    failed = "err" in (info.get("aof_last_write_status"), info.get("rdb_last_bgsave_status"))
    return Health(
        name=server.name,
        version=info.get("redis_version", "unknown"),
        took=took,
        clock_ahead=seconds(unless_refused(reading)) - (sent + took / 2),
        appendfsync=fsync,
        snapshots=await _setting(server, "save", deadline),
        saves=not failed,
    )


async def _setting(server: RedisNode, name: str, deadline: float) -> str | None:
    request = Request(("CONFIG", "GET", name), is_settings)
    (reply,) = await server.execute([request], deadline)
    if isinstance(reply, ResponseError):
        # Not granted to authgw's user, or the provider of this Redis has renamed the command.
        return None
    settings = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))
    value: Any = settings.get(name.encode(), b"")
    return str(value.decode("utf-8"))
