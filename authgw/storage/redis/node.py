"""One Redis server that takes writes, and whether a replica has what it was told."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import hiredis
from loguru import logger
from redis.asyncio import Redis
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from authgw.storage.clock import ServerClock, boottime, clock_warning
from authgw.storage.redis.replies import (
    Request,
    UnexpectedReplyError,
    Words,
    is_count,
    is_role,
    is_text,
    is_time,
)

# uvloop raises a RuntimeError where asyncio ignores that a connection is closed already.
AWAY = (RedisError, OSError, TimeoutError, RuntimeError)
_ROLE = Request(("ROLE",), is_role)
_TIME = Request(("TIME",), is_time)
_INFO = Request(("INFO",), is_text)
# What of the time that is left a replica has for confirming; the rest is for asking why not.
_PATIENCE = 0.6


class UnconfirmedWriteError(RedisError):
    """The master did what it was told, and no replica has said in time that it knows."""


class RedisNode:
    """A master; `client` has a connection pool for it, the log calls it `name`.

    `is_named` says whether a connection leads to the master that the Sentinels name now.
    """

    def __init__(
        self, client: "Redis", name: str, is_named: Callable[[Any], Awaitable[bool]] | None = None
    ) -> None:
        self.client = client
        self.name = name
        self._is_named = is_named
        self.clock = ServerClock()
        self._apart = ""  # what was said of its clock
        self.alone = False  # the last write that was to be confirmed found no replica

    async def ask(self, commands: Sequence[Request], *, timed: bool = False) -> list[Any]:
        """The replies to commands sent at once, refusals among them; `timed` keeps the clock.

        Raises:
            one of AWAY: whether anything was done is unknown.
        """
        if not timed or not self.clock.is_due(sent := boottime()):
            return await self._on_one_connection(commands)
        *replies, now = await self._on_one_connection([*commands, _TIME])
        shown = seconds(obeyed(now))
        self.clock.set(shown, sent)
        self._compare_clocks(shown)
        return replies

    async def info(self) -> dict[str, str]:
        """What INFO says, by name.

        Raises:
            one of AWAY: nothing.
        """
        (told,) = await self.ask([_INFO])
        lines = obeyed(told).decode("utf-8").splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    async def tell(self, commands: Sequence[Request], until: float) -> list[Any]:
        """As `ask`, once a replica has all that was written; `until` is the loop's time.

        A master without a connected replica (ROLE) is believed as it is, and the log says so.

        Raises:
            UnconfirmedWriteError: no replica has said so in time, or the Sentinels name another master.
            one of AWAY: as `ask`.
        """
        pool: Any = self.client.connection_pool
        link = await pool.get_connection()
        try:
            # Other calls learn about replicas meanwhile: what was asked here is what was known.
            alone = self.alone
            wait = Request(("WAIT", 1, _milliseconds_until(until)), is_count)
            *replies, told = await _talk(link, [*commands, _ROLE if alone else wait])
            if all(isinstance(reply, ResponseError) for reply in replies):
                return replies
            if alone and not await self._is_alone(link, told):
                (told,) = await _talk(link, [wait])
            if obeyed(told) == 0:
                (role,) = await _talk(link, [_ROLE])
                if not await self._is_alone(link, role):
                    raise UnconfirmedWriteError
            return replies
        finally:
            await pool.release(link)

    def _compare_clocks(self, shown: float) -> None:
        said = clock_warning(time.time(), shown, self.name)
        if said and not self._apart:
            logger.warning(said)
        elif self._apart and not said:
            logger.info(f"This machine's clock and that of {self.name} agree again")
        self._apart = said

    async def _on_one_connection(self, commands: Sequence[Request]) -> list[Any]:
        pool: Any = self.client.connection_pool
        link = await pool.get_connection()
        try:
            return await _talk(link, commands)
        finally:
            await pool.release(link)

    async def _is_alone(self, link: Any, role: Any) -> bool:
        kind, _, replicas, *_ = obeyed(role)
        alone = kind == b"master" and not replicas
        # One whose replicas follow another master already is about to forget what it is told.
        if alone and self._is_named is not None and not await self._is_named(link):
            raise UnconfirmedWriteError
        if alone and not self.alone:
            logger.error(
                f"{self.name} has no connected replica: what it confirms from now on is lost "
                "if it fails. Look at its replicas."
            )
        elif self.alone and not alone:
            logger.info(f"{self.name} has a replica again")
        self.alone = alone
        return alone


async def _talk(link: Any, commands: Sequence[Request]) -> list[Any]:
    # A call that is cancelled in here, or fails, closes the connection (redis-py does): its
    # replies are never taken for another call's.
    await link.send_packed_command(b"".join([_packed(words) for words, _ in commands]))
    try:
        replies = [await _reply(link, request) for request in commands]
    except UnexpectedReplyError:
        await link.disconnect()
        raise
    if any(isinstance(reply, ReadOnlyError) for reply in replies):
        # A former master: behind the same address may be another by now.
        await link.disconnect()
    return replies


async def _reply(link: Any, request: Request) -> Any:
    """The reply of this type, or the refusal.

    Raises:
        UnexpectedReplyError: it is of another type.
        one of AWAY: there is none.
    """
    try:
        reply = await link.read_response()
    except ResponseError as refusal:
        return refusal
    except AWAY:
        raise
    except Exception as error:
        # redis-py reads the text of MOVED and others, and raises whatever its conversions do.
        raise UnexpectedReplyError(_wrong(request)) from error
    if not request.takes(reply):
        raise UnexpectedReplyError(_wrong(request))
    return reply


def _wrong(request: Request) -> str:
    # Its name only: the arguments hold sessions.
    name = request.words[0]
    said = name.decode("ascii") if isinstance(name, bytes) else name
    return f"a reply to {said} that Redis does not give: does cache.url name a Redis?"


def _packed(words: Words) -> bytes:
    # redis-py reads by hiredis where that is installed, but packs in Python, which takes as long.
    packed: bytes = hiredis.pack_command(tuple(words))  # type: ignore[arg-type]  # typed for one word
    return packed


def obeyed(reply: Any) -> Any:
    """The reply, if it is no refusal.

    Raises:
        ResponseError: it is one.
    """
    if isinstance(reply, ResponseError):
        raise reply
    return reply


def _milliseconds_until(until: float) -> int:
    # WAIT takes 0 for ever.
    return max(1, int((until - asyncio.get_running_loop().time()) * _PATIENCE * 1000))


def seconds(told: Any) -> float:
    """A reply to TIME in Unix seconds."""
    return int(told[0]) + int(told[1]) / 1e6
