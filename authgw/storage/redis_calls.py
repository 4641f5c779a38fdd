"""Calls of a Redis server: each within one deadline, none sent twice unless it did nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError, RedisError

from authgw.core.errors import StoreUnavailable

DEADLINE = 0.25  # seconds for one operation, waiting for a connection included
# uvloop raises a RuntimeError where asyncio ignores that a connection is closed already.
AWAY = (RedisError, OSError, TimeoutError, RuntimeError)

T = TypeVar("T")


async def bounded(operation: Callable[[], Awaitable[T]], deadline: float | None = None) -> T:
    """The result of an operation on Redis, within DEADLINE or a `deadline` of its own, in seconds.

    Raises:
        StoreUnavailable: it failed or took too long; whether it did something is unknown.
    """
    try:
        async with asyncio.timeout(DEADLINE if deadline is None else deadline):
            return await operation()
    except AWAY as error:
        raise StoreUnavailable(f"Redis: {type(error).__name__}") from None


async def on_each(
    client: "Redis", script: AsyncScript, calls: Sequence[tuple[Any, ...]]
) -> list[Any]:
    """Run a script on several keys, whatever their slots; `calls` are (key, arguments...)."""
    replies = await _evaluate(client, "EVALSHA", script.sha, calls)
    lost = [call for call, reply in zip(calls, replies, strict=True) if _is_lost(reply)]
    # A script that the server forgot did nothing: only these are sent again, as text.
    again = iter(await _evaluate(client, "EVAL", script.script, lost))
    replies = [next(again) if _is_lost(reply) else reply for reply in replies]
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


async def _evaluate(
    client: "Redis", command: str, script: Any, calls: Sequence[tuple[Any, ...]]
) -> list[Any]:
    async with client.pipeline(transaction=False) as pipe:
        for call in calls:
            pipe.execute_command(command, script, 1, *call)
        return list(await pipe.execute(raise_on_error=False))


def _is_lost(reply: Any) -> bool:
    return isinstance(reply, NoScriptError)


def milliseconds(seconds: float) -> int:
    """A duration as Redis takes it; the shortest is one millisecond."""
    return max(1, int(seconds * 1000))
