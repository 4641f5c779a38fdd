"""A Redis master: sends commands and waits for the acknowledgement of writes by a replica."""

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

# uvloop raises a RuntimeError where asyncio ignores that a connection is already closed.
COMMUNICATION_ERRORS = (RedisError, OSError, TimeoutError, RuntimeError)
_ROLE = Request(("ROLE",), is_role)
_TIME = Request(("TIME",), is_time)
_INFO = Request(("INFO",), is_text)
# The fraction of the remaining time for WAIT; the rest is for ROLE, to see why no replica confirms.
_WAIT_FRACTION = 0.6


class UnconfirmedWriteError(RedisError):
    """Raised when the master has executed a write and no replica has confirmed it in time."""


class RedisNode:
    """A master; `client` has a connection pool for it, `name` is its name in the log.

    `is_named` reports whether a connection leads to the master that the Sentinels name now.
    """

    def __init__(
        self, client: "Redis", name: str, is_named: Callable[[Any], Awaitable[bool]] | None = None
    ) -> None:
        self.client = client
        self.name = name
        self._is_named = is_named
        self.clock = ServerClock()
        self._clock_warning = ""
        self.without_replica = False  # at the last write that was to be confirmed

    async def execute(self, requests: Sequence[Request], *, timed: bool = False) -> list[Any]:
        """Send requests together; return their replies, with a ResponseError for each refusal.

        `timed` also reads the server's clock if that is due.

        Raises:
            COMMUNICATION_ERRORS: the effect of the requests is unknown.
        """
        if not timed or not self.clock.is_due(sent := boottime()):
            return await self._on_one_connection(requests)
        *replies, time_reply = await self._on_one_connection([*requests, _TIME])
        reading = seconds(unless_refused(time_reply))
        self.clock.set(reading, sent)
        self._compare_clocks(reading)
        return replies

    async def info(self) -> dict[str, str]:
        """Return the fields of INFO by name.

        Raises:
            COMMUNICATION_ERRORS: the server did not reply or refused.
        """
        (reply,) = await self.execute([_INFO])
        lines = unless_refused(reply).decode("utf-8").splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    async def execute_confirmed(self, requests: Sequence[Request], deadline: float) -> list[Any]:
        """As `execute`, and wait for a replica to have all writes; `deadline` in loop time.

        A master without a connected replica (by ROLE) needs no confirmation; this is logged.

        Raises:
            UnconfirmedWriteError: no replica has confirmed in time, or the Sentinels name another
                master.
            COMMUNICATION_ERRORS: as `execute`.
        """
        pool: Any = self.client.connection_pool
        link = await pool.get_connection()
        try:
            # A copy, as concurrent calls change it: it determines which request is sent below.
            without_replica = self.without_replica
            wait = Request(("WAIT", 1, _wait_milliseconds(deadline)), is_count)
            check = _ROLE if without_replica else wait
            *replies, check_reply = await _exchange(link, [*requests, check])
            if all(isinstance(reply, ResponseError) for reply in replies):
                return replies
            if without_replica and not await self._has_no_replica(link, check_reply):
                (check_reply,) = await _exchange(link, [wait])
            if unless_refused(check_reply) == 0:
                (role,) = await _exchange(link, [_ROLE])
                if not await self._has_no_replica(link, role):
                    raise UnconfirmedWriteError
            return replies
        finally:
            await pool.release(link)

    def _compare_clocks(self, reading: float) -> None:
        warning = clock_warning(time.time(), reading, self.name)
        if warning and not self._clock_warning:
            logger.warning(warning)
        elif self._clock_warning and not warning:
            logger.info(f"This machine's clock and that of {self.name} agree again")
        self._clock_warning = warning

    async def _on_one_connection(self, requests: Sequence[Request]) -> list[Any]:
        pool: Any = self.client.connection_pool
        link = await pool.get_connection()
        try:
            return await _exchange(link, requests)
        finally:
            await pool.release(link)

    async def _has_no_replica(self, link: Any, role: Any) -> bool:
        kind, _, replicas, *_ = unless_refused(role)
        without_replica = kind == b"master" and not replicas
        # A master whose replicas already follow another master is about to lose its writes.
        if without_replica and self._is_named is not None and not await self._is_named(link):
            raise UnconfirmedWriteError
        if without_replica and not self.without_replica:
            logger.error(
                f"{self.name} has no connected replica: what it confirms from now on is lost "
                "if it fails. Look at its replicas."
            )
        elif self.without_replica and not without_replica:
            logger.info(f"{self.name} has a replica again")
        self.without_replica = without_replica
        return without_replica


async def _exchange(link: Any, requests: Sequence[Request]) -> list[Any]:
    # If a call is cancelled or fails here, redis-py closes the connection, so that its replies
    # are never read as those of another call.
    await link.send_packed_command(b"".join([_packed(words) for words, _ in requests]))
    try:
        replies = [await _read_reply(link, request) for request in requests]
    except UnexpectedReplyError:
        await link.disconnect()
        raise
    if any(isinstance(reply, ReadOnlyError) for reply in replies):
        # A former master: its address may lead to another server by now.
        await link.disconnect()
    return replies


async def _read_reply(link: Any, request: Request) -> Any:
    """Return a valid reply, or the ResponseError of a refusal.

    Raises:
        UnexpectedReplyError: the reply is not valid for this request.
        COMMUNICATION_ERRORS: no reply was received.
    """
    try:
        reply = await link.read_response()
    except ResponseError as refusal:
        return refusal
    except COMMUNICATION_ERRORS:
        raise
    except Exception as error:
        # redis-py parses the text of MOVED and others, and any error of its conversions gets here.
        raise UnexpectedReplyError(_wrong_reply(request)) from error
    if not request.accepts(reply):
        raise UnexpectedReplyError(_wrong_reply(request))
    return reply


def _wrong_reply(request: Request) -> str:
    # Only the name of the command: its arguments contain sessions.
    word = request.words[0]
    name = word.decode("ascii") if isinstance(word, bytes) else word
    return f"a reply to {name} that Redis does not give: does cache.url name a Redis?"


def _packed(words: Words) -> bytes:
    # redis-py parses with hiredis where that is installed, but packs in Python, as slow as parsing.
    packed: bytes = hiredis.pack_command(tuple(words))  # type: ignore[arg-type]  # typed for one word
    return packed


def unless_refused(reply: Any) -> Any:
    """Return the reply unless it is a refusal.

    Raises:
        ResponseError: the server refused the command.
    """
    if isinstance(reply, ResponseError):
        raise reply
    return reply


def _wait_milliseconds(deadline: float) -> int:
    # With 0, WAIT would never time out.
    return max(1, int((deadline - asyncio.get_running_loop().time()) * _WAIT_FRACTION * 1000))


def seconds(reply: Any) -> float:
    """Convert a reply to TIME to Unix seconds."""
    return int(reply[0]) + int(reply[1]) / 1e6
