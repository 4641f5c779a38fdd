"""Checks before Redis servers are used: version, eviction policy, topology and permissions."""

import asyncio
import re

from authgw.core.errors import StoreUnavailableError
from authgw.storage import StoreSetupError
from authgw.storage.redis.commands import Command, Servers, SingleMaster
from authgw.storage.redis.errors import AuthenticationError, NoPermissionError, ResponseError
from authgw.storage.redis.link import COMMUNICATION_ERRORS
from authgw.storage.redis.node import RedisNode, unless_refused
from authgw.storage.redis.replies import (
    Request,
    UnexpectedReplyError,
    is_count,
    is_integer,
    is_role,
    is_time,
    is_value,
)

_TIMEOUT = 2.0  # seconds for all commands
_MIN_VERSION = (6, 2)
_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})")


async def check(servers: Servers, attempt: Command) -> None:
    """Refuse servers that would break the store's guarantees; `attempt` runs a script for a test.

    Raises:
        StoreSetupError: a server is older than 6.2 or may evict sessions, the ACL lacks a
            permission, the password is wrong, or the servers have another topology than the URL.
        StoreUnavailableError: a server cannot be reached.
    """
    try:
        deadline = asyncio.get_running_loop().time() + _TIMEOUT
        async with asyncio.timeout_at(deadline):
            for server in await _masters(servers):
                _check_server(server, await server.info(deadline), servers)
                await _try(server, _keyless(servers), deadline)
            await servers.discover()
            await _try(servers.holder(attempt.key), _keyed(attempt), deadline)
    except AuthenticationError:
        raise StoreSetupError(
            "Redis refuses the user or password of authgw: correct cache.password_file or cache.url"
        ) from None
    except NoPermissionError as error:
        raise StoreSetupError(
            f"Redis refuses a command ({error}): grant it to the user of authgw (ACL SETUSER)"
        ) from None
    except COMMUNICATION_ERRORS as error:
        raise StoreUnavailableError(f"Redis: {error or type(error).__name__}") from None


async def _masters(servers: Servers) -> "tuple[RedisNode, ...]":
    try:
        return tuple(await servers.masters())
    except ResponseError as error:
        if "cluster support disabled" not in str(error):
            raise
        raise StoreSetupError(
            "Redis is not a Cluster: write redis:// or redis+sentinel:// in cache.url"
        ) from None


def _check_server(server: RedisNode, info: "dict[str, str]", servers: Servers) -> None:
    version = info.get("redis_version", "")
    numbers = _VERSION.match(version)
    if numbers is None:
        raise UnexpectedReplyError(
            "INFO has no redis_version: correct cache.url, which must name a Redis"
        )
    if (int(numbers[1]), int(numbers[2])) < _MIN_VERSION:
        raise StoreSetupError(
            f"{server.name} has version {version}, which is too old: upgrade it to 6.2 or newer"
        )
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise StoreSetupError(
            f"{server.name} may evict sessions (maxmemory-policy {policy}): "
            "set maxmemory-policy noeviction"
        )
    if info.get("cluster_enabled", "0") != "0" and isinstance(servers, SingleMaster):
        raise StoreSetupError(
            f"{server.name} belongs to a Cluster: write redis+cluster:// in cache.url"
        )


def _keyless(servers: Servers) -> list[Request]:
    time = Request(("TIME",), is_time)
    # WAIT for 0 replicas returns at once.
    replicated = [Request(("ROLE",), is_role), Request(("WAIT", 0, 1), is_count)]
    return [time, *(replicated if servers.replicated else [])]


def _keyed(attempt: Command) -> list[Request]:
    assert attempt.script is not None  # noqa: S101  check's callers pass a script
    key = attempt.key
    return [
        Request(("EVALSHA", *attempt.words[1:]), attempt.accepts),
        Request(("EVAL", attempt.script.text, *attempt.words[2:]), attempt.accepts),
        Request(("GETEX", key, "PX", 1), is_value),
        Request(("PTTL", key), is_integer),
    ]


async def _try(server: RedisNode, commands: list[Request], deadline: float) -> None:
    for reply in await server.execute(commands, deadline):
        if not isinstance(reply, ResponseError) or str(reply).startswith("No matching script"):
            continue
        if "ACL failure" in str(reply) or "executing the script can't" in str(reply):
            raise NoPermissionError(str(reply))
        unless_refused(reply)
