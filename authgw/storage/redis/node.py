"""A Redis master: sends commands and waits for the acknowledgement of writes by a replica."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from loguru import logger

from authgw.storage.clock import ServerClock, boottime, clock_warning
from authgw.storage.redis.confirmed_writes import ConfirmedWrites
from authgw.storage.redis.errors import ConnectionError, RedisError, ResponseError
from authgw.storage.redis.link import Address, Login, RedisLink
from authgw.storage.redis.locations import ServerLocation
from authgw.storage.redis.replies import (
    Request,
    Sendable,
    is_count,
    is_role,
    is_text,
    is_time,
)

_ROLE = Request(("ROLE",), is_role)
_TIME = Request(("TIME",), is_time)
_INFO = Request(("INFO",), is_text)
# The fraction of the remaining time for WAIT; the rest is for ROLE, to see why no replica confirms.
_WAIT_FRACTION = 0.6


class UnconfirmedWriteError(RedisError):
    """Raised when the master has executed a write and no replica has confirmed it in time."""


class RedisNode:
    """A master; `name` is its name in the log.

    Commands share a link; messages have a link of their own.
    """

    def __init__(self, location: ServerLocation, login: Login, name: str) -> None:
        self.name = name
        self.host = ""  # as of the last connection
        self._location = location
        self._login = login
        self._link: RedisLink | None = None
        self._subscription: RedisLink | None = None
        self._writes = ConfirmedWrites(self._new_link, self._confirm)
        self.clock = ServerClock()
        self._clock_warning = ""
        self.without_replica = False  # at the last write that was to be confirmed

    async def execute(
        self, requests: Sequence[Sendable], deadline: float, *, timed: bool = False
    ) -> list[Any]:
        """Send requests together; return their replies, with a ResponseError for each refusal.

        `deadline` is in loop time. `timed` also reads the server's clock if that is due.

        Raises:
            COMMUNICATION_ERRORS: the effect of the requests is unknown.
        """
        if self._link is None or self._link.is_closed:
            self._link = self._new_link()
        if not timed or not self.clock.is_due(sent := boottime()):
            return await self._link.send(requests, deadline)
        *replies, time_reply = await self._link.send([*requests, _TIME], deadline)
        reading = seconds(unless_refused(time_reply))
        self.clock.set(reading, sent)
        self._compare_clocks(reading)
        return replies

    async def info(self, deadline: float) -> dict[str, str]:
        """Return the fields of INFO by name.

        Raises:
            COMMUNICATION_ERRORS: the server did not reply or refused.
        """
        (reply,) = await self.execute([_INFO], deadline)
        lines = unless_refused(reply).decode("utf-8").splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    async def execute_confirmed(self, requests: Sequence[Sendable], deadline: float) -> list[Any]:
        """As `execute`, and wait for a replica to have all writes.

        A master without a connected replica (by ROLE) needs no confirmation; this is logged.

        Raises:
            UnconfirmedWriteError: no replica has confirmed in time, or the Sentinels name another
                master.
            COMMUNICATION_ERRORS: as `execute`.
        """
        return await self._writes.execute(requests, deadline)

    def subscribe(self, on_message: Callable[[bytes], None]) -> RedisLink:
        """Return a new link for SUBSCRIBE, whose messages are passed to `on_message`."""
        self._subscription = RedisLink(self._current_address, self._login, on_message)
        return self._subscription

    def close_idle(self) -> None:
        """Close the links for which no call waits."""
        for link in self._links():
            if link.is_idle:
                link.close(ConnectionError("the connection is no longer needed"))

    async def close(self) -> None:
        """Close all connections; calls that still wait fail."""
        for link in self._links():
            link.close(ConnectionError("the store is closed"))
        await self._location.close()

    def _links(self) -> list[RedisLink]:
        own = [link for link in (self._link, self._subscription) if link is not None]
        return [*own, *self._writes.links]

    def _new_link(self) -> RedisLink:
        return RedisLink(self._current_address, self._login)

    async def _current_address(self) -> Address:
        address = await self._location.find()
        self.host = address[0]
        for link in self._links():
            # A former master would go on replying.
            if link.address not in (None, address):
                link.close(ConnectionError("another server has become the master"))
        return address

    async def _confirm(
        self, link: RedisLink, requests: Sequence[Sendable], deadline: float
    ) -> list[Any]:
        # A copy, as concurrent calls change it: it determines which request is sent below.
        without_replica = self.without_replica
        wait = Request(("WAIT", 1, _wait_milliseconds(deadline)), is_count)
        check = _ROLE if without_replica else wait
        *replies, check_reply = await link.send([*requests, check], deadline)
        if all(isinstance(reply, ResponseError) for reply in replies):
            return replies
        if without_replica and not await self._has_no_replica(link, check_reply):
            (check_reply,) = await link.send([wait], deadline)
        if unless_refused(check_reply) == 0:
            (role,) = await link.send([_ROLE], deadline)
            if not await self._has_no_replica(link, role):
                raise UnconfirmedWriteError
        return replies

    def _compare_clocks(self, reading: float) -> None:
        warning = clock_warning(time.time(), reading, self.name)
        if warning and not self._clock_warning:
            logger.bind(event="clock_differs").warning(warning)
        elif self._clock_warning and not warning:
            logger.bind(event="clock_agrees").info(
                f"The clocks of this machine and of {self.name} agree again."
            )
        self._clock_warning = warning

    async def _has_no_replica(self, link: RedisLink, role: Any) -> bool:
        kind, _, replicas, *_ = unless_refused(role)
        without_replica = kind == b"master" and not replicas
        # A master whose replicas already follow another master is about to lose its writes.
        if without_replica and await self._current_address() != link.address:
            raise UnconfirmedWriteError
        if without_replica and not self.without_replica:
            logger.bind(event="redis_master_alone").error(
                f"{self.name} has no connected replica, so that new writes are lost if it fails: "
                "check its replicas."
            )
        elif self.without_replica and not without_replica:
            logger.bind(event="redis_replica_restored").info(f"{self.name} has a replica again.")
        self.without_replica = without_replica
        return without_replica


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
